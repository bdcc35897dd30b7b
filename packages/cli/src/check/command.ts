import { Command } from 'commander'
import { readChannels } from '../channels-file.ts'
import { columns } from '../columns.ts'
import { EXIT } from '../exit-codes.ts'
import { printable } from '../printable.ts'
import { refusing } from '../refusal.ts'
import { createScreen, type Screen } from '../screen.ts'
import { type ChannelCheck, checkChannels } from './channel-check.ts'
import { openDirectory } from './recipients-file.ts'

interface CheckOptions {
  readonly channels: string
  readonly recipients: string
  readonly allowInsecureLoopback: boolean
  readonly json?: true
}

/** `sealbus check`: whether sealing would find a key for everyone who is to read. */
export function checkCommand(): Command {
  return new Command('check')
    .description('say whether every recipient of every channel has a key that can be sealed for')
    .requiredOption('--channels <file>', 'JSON, or a module that exports `channels`')
    .requiredOption('--recipients <file>', "JSON with each recipient's source (a URL, or as in createJwksDirectory), or a module that exports `directory` or `recipients`")
    .option('--allow-insecure-loopback', 'loopback hosts, and http for them', false)
    .option('--json', 'print JSON')
    .addHelpText('after', `
Exit codes: 0 each has one, 1 one has none, 2 wrong arguments. Recipients that a function chooses for each message
are not known before there is a message: they are named as not checked.`)
    .action(refusing(async ({ channels: channelsFile, recipients, allowInsecureLoopback, json }: CheckOptions) => {
      const channels = await readChannels(channelsFile)
      const directory = await openDirectory(recipients, allowInsecureLoopback)
      try {
        const checks = await checkChannels(channels, directory)
        const failed = checks.some((check) => check.recipients.some(({ problem }) => problem !== undefined))
        if (json) console.log(JSON.stringify({ ok: !failed, channels: checks }))
        else show(createScreen(process.stdout), checks)
        process.exitCode = failed ? EXIT.failed : EXIT.ok
      } finally {
        await directory.close?.()
      }
    }))
}

function show(screen: Screen, checks: readonly ChannelCheck[]): void {
  const rows = checks.flatMap(({ channel, state, recipients }): string[][] => {
    if (state !== 'sealed') return [[channel, '-', '-', '-', '-', state === 'plaintext' ? 'plaintext, as declared' : 'not checked: a function chooses the recipients']]
    return recipients.map(({ recipient, key, problem }) => [channel, recipient, key?.kid ?? '-', key?.alg ?? '-', key?.expires ?? '-', problem ? `${problem.code}: ${problem.message}` : 'ok'])
  })
  const [head = '', ...lines] = columns([['CHANNEL', 'RECIPIENT', 'KEY', 'ALG', 'EXPIRES', ''], ...rows.map((row) => row.map(printable))])
  screen.line(screen.tone('strong', head))
  for (const line of lines) screen.line(line)
}
