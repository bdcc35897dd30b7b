import { Command, InvalidArgumentError, Option } from 'commander'
import { columns } from '../columns.ts'
import { EXIT } from '../exit-codes.ts'
import { number } from '../number.ts'
import { printable } from '../printable.ts'
import { refusing } from '../refusal.ts'
import { createScreen } from '../screen.ts'
import { atPlace } from './at-place.ts'
import { type CopyView, viewCopy } from './copy-view.ts'
import { addPlaceOptions, type PlaceOptions } from './place.ts'

interface ListOptions extends PlaceOptions {
  readonly by?: string
  readonly limit: number
  readonly redriven?: true
  readonly json?: true
}

export function listCommand(): Command {
  return addPlaceOptions(new Command('list'))
    .description('show what is parked: why, by whom, since when')
    .option('--by <name>', 'only what this group or queue parked')
    .addOption(new Option('--limit <n>', 'at most so many, 1 to 10000').default(100).argParser(parseLimit))
    .option('--redriven', 'also copies that were redriven, where the place keeps them (Kafka)')
    .option('--json', 'print JSON')
    .action(refusing((options: ListOptions, command: Command) => atPlace(options, command, async (place, { signal }) => {
      const { by, limit, redriven, json } = options
      const copies = (await place.list({ limit, signal, ...(by !== undefined && { by }), ...(redriven && { redriven }) })).map(viewCopy)
      if (json) console.log(JSON.stringify({ place: place.name, copies }))
      else show(copies, limit)
      return EXIT.ok
    })))
}

function show(copies: readonly CopyView[], limit: number): void {
  const screen = createScreen(process.stdout)
  if (copies.length === 0) {
    screen.line('Nothing is parked here.')
    return
  }
  const [head = '', ...lines] = columns([HEAD, ...copies.map(row)])
  screen.line(screen.tone('strong', head))
  for (const line of lines) screen.line(line)
  if (copies.length === limit) screen.line(screen.tone('quiet', `The first ${number(limit)}; there may be more: --limit`))
}

const HEAD = ['ID', 'CODE', 'KEYS', 'ORIGIN', 'BY', 'PARKED AT', 'BYTES']

function row({ id, code, kids, origin = '-', by, time = '-', bytes, redriven }: CopyView): string[] {
  return [id, redriven ? `${code} (redriven)` : code, kids.join(',') || '-', origin, by, time, number(bytes)].map(printable)
}

function parseLimit(given: string): number {
  const limit = Number(given)
  if (!/^\d+$/.test(given) || limit < 1 || limit > 10_000) throw new InvalidArgumentError('It is a whole number from 1 to 10000.')
  return limit
}
