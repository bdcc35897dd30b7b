import { Command, Option } from 'commander'
import { parseDuration } from '../duration.ts'
import { refusing } from '../refusal.ts'
import { createScreen } from '../screen.ts'
import { readKeyFile } from './key-file.ts'
import { showKeys, viewOf } from './key-view.ts'
import { DEFAULT_HORIZON } from './life-cycle.ts'

interface ListOptions {
  readonly retention?: number
  readonly maxStale: number
  readonly json?: true
}

export function listCommand(): Command {
  return horizonOptions(new Command('list'))
    .description('show the keys, their states, and when the old ones may be destroyed')
    .argument('<file>', 'a private JWK Set')
    .option('--json', 'print JSON')
    .action(refusing(async (path: string, { retention, maxStale, json }: ListOptions) => {
      const file = await readKeyFile(path)
      const keys = file.entries.map((entry) => viewOf(entry, file, { retentionMs: retention ?? 0, maxStaleMs: maxStale }))
      if (json) console.log(JSON.stringify({ file: path, retentionMs: retention ?? null, keys }))
      else showKeys(createScreen(process.stdout), keys, { now: new Date(), retentionKnown: retention !== undefined })
    }))
}

/** How far back messages may come from, for whoever destroys their key. */
export function horizonOptions(command: Command): Command {
  return command
    .addOption(new Option('--retention <time>', 'how long messages are kept: the longest of log, dead letters and replays, such as 7d').argParser(parseDuration))
    .addOption(new Option('--max-stale <time>', "the longest maxStaleMs of the sealers' directories").default(DEFAULT_HORIZON.maxStaleMs, '1h').argParser(parseDuration))
}
