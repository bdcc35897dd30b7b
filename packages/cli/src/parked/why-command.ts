import type { ListedCopy } from '@sealbus/kafka'
import { Command } from 'commander'
import { EXIT } from '../exit-codes.ts'
import { number } from '../number.ts'
import { printable } from '../printable.ts'
import { Refusal, refusing } from '../refusal.ts'
import { createScreen, type Screen } from '../screen.ts'
import { atPlace } from './at-place.ts'
import { readParts, viewCopy } from './copy-view.ts'
import { explain } from './explanation.ts'
import { addPlaceOptions, type PlaceOptions } from './place.ts'

interface WhyOptions extends PlaceOptions {
  readonly json?: true
}

export function whyCommand(): Command {
  return addPlaceOptions(new Command('why'))
    .description('explain one parked message: its code, the keys that it names, and what to do')
    .argument('<id>', 'as `sealbus parked list` shows it')
    .option('--json', 'print JSON')
    .addHelpText('after', `
Shows what anyone who holds the message can read in it; nothing is opened. Exit codes: 0 found, 1 no such message,
2 wrong arguments, 3 the broker cannot be reached.`)
    .action(refusing((id: string, options: WhyOptions, command: Command) => atPlace(options, command, async (place, { signal }) => {
      const copies = await place.list({ id, signal, redriven: true })
      const [copy] = copies
      if (!copy) throw new Refusal(`no message with this id is parked in ${place.name}`)
      const explanation = await explain(copy.code)
      const envelope = readParts(copy.bytes)
      if (options.json) console.log(JSON.stringify({ ...viewCopy(copy), copies: copies.length, explanation, envelope }))
      else show(createScreen(process.stdout), copy, { copies: copies.length, explanation, envelope })
      return EXIT.ok
    })))
}

interface Findings {
  readonly copies: number
  readonly explanation: readonly string[]
  readonly envelope: ReturnType<typeof readParts>
}

function show(screen: Screen, { id, code, by, origin, time, bytes, redriven }: ListedCopy, { copies, explanation, envelope }: Findings): void {
  const fact = (name: string, value: string | undefined): void => screen.line(`${screen.tone('quiet', name.padEnd(12))}${printable(value ?? '-')}`)
  screen.heading(code)
  for (const paragraph of explanation) screen.say(paragraph)
  screen.line()
  fact('id', id)
  fact('parked by', by)
  fact('parked at', time?.toISOString())
  fact('origin', origin)
  fact('bytes', number(bytes.length))
  if (copies > 1) fact('copies', `${copies}: a redrive delivers one`)
  if (redriven) fact('redriven', 'yes: it is delivered already, and this is what the topic keeps')
  screen.heading('What its envelope says')
  if ('problem' in envelope) {
    screen.say(`Nothing: ${envelope.problem}.`)
    return
  }
  screen.say('Not authenticated before it is opened: whoever can write to the broker can write this.')
  screen.line()
  fact('id', envelope.id)
  fact('sealed at', envelope.time?.toISOString())
  fact('channel', envelope.channel)
  fact('to', envelope.to?.join(', '))
  if (envelope.realm !== undefined) fact('realm', envelope.realm)
  fact('encryption', envelope.enc)
  for (const { kid, alg } of envelope.recipients) fact('key', `${kid ?? '(no kid)'}  ${alg ?? ''}`)
}
