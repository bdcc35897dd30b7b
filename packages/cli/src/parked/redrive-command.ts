import type { SealbusErrorCode } from '@sealbus/core'
import type { RedriveGroup, RedriveProgress, RedriveResult } from '@sealbus/kafka'
import { Command, InvalidArgumentError, Option } from 'commander'
import { columns } from '../columns.ts'
import { EXIT } from '../exit-codes.ts'
import { number } from '../number.ts'
import { printable } from '../printable.ts'
import { refusing } from '../refusal.ts'
import { createScreen, type Screen } from '../screen.ts'
import { atPlace } from './at-place.ts'
import { addOpeningOptions, openerOf, type OpeningOptions } from './opening-options.ts'
import { addPlaceOptions, type PlaceOptions } from './place.ts'

interface RedriveOptions extends PlaceOptions, OpeningOptions {
  readonly by: string
  readonly to?: string
  readonly channel?: string
  readonly code: readonly SealbusErrorCode[]
  readonly origin: readonly string[]
  readonly limit?: number
  readonly transactions: boolean
  readonly toOrigin?: true
  readonly yes?: true
  readonly json?: true
}

export function redriveCommand(): Command {
  return addOpeningOptions(addPlaceOptions(new Command('redrive')))
    .description('bring parked messages back to the group or queue that parked them; without --yes, tell what would happen')
    .requiredOption('--by <name>', 'the group or queue that parked')
    .option('--to <name>', 'Kafka: a topic that no other group reads; RabbitMQ: a queue, by default the one that parked')
    .option('--channel <name>', 'the channel to open on; by default the one that the topic or queue carries')
    .option('--code <code>', 'only what was parked with this code; more than once for more', collect, [])
    .option('--origin <name>', 'only what came from this topic or exchange; more than once for more', collect, [])
    .addOption(new Option('--limit <n>', 'deliver at most so many').argParser(parseLimit))
    .option('--no-transactions', 'Kafka: deliver and mark one after the other, where transactions are not allowed')
    .option('--to-origin', 'Kafka: also what came from --to itself, such as a retry topic that was parked from')
    .option('--yes', 'do it')
    .option('--json', 'print JSON')
    .addHelpText('after', `
A run that ends early is taken up by the next. Exit codes: 0 done (a dry run: all would be delivered), 1 some stay parked,
because they still do not open, 2 wrong arguments, 3 the broker cannot be reached, 130 after Ctrl-C.`)
    .action(refusing((options: RedriveOptions, command: Command) => atPlace(options, command, async (place, { signal }) => {
      const { by, to, channel, code: codes, origin: origins, limit, transactions, toOrigin, yes, json } = options
      const opener = await openerOf(options)
      const counter = createCounter(process.stderr)
      const result = await place.redrive({
        by,
        dryRun: !yes,
        signal,
        onProgress: counter.show,
        transactions,
        ...(toOrigin && { toOrigin }),
        ...(to !== undefined && { to }),
        ...(opener && { opener }),
        ...(channel !== undefined && { channel }),
        ...(codes.length > 0 && { codes }),
        ...(origins.length > 0 && { origins }),
        ...(limit !== undefined && { limit }),
      }).finally(counter.clear)
      if (json) console.log(JSON.stringify(result))
      else show(createScreen(process.stdout), result, opener !== undefined)
      return result.kept === 0 ? EXIT.ok : EXIT.failed
    })))
}

/** A line that counts, while somebody is watching. */
function createCounter(stream: NodeJS.WriteStream): { readonly show: (progress: RedriveProgress) => void; readonly clear: () => void } {
  let shownAt = 0
  return {
    show({ seen, total, delivered, kept }): void {
      if (!stream.isTTY || Date.now() - shownAt < 100) return
      shownAt = Date.now()
      stream.write(`\r\u001b[K${number(seen)} of ${number(total)} looked at, ${number(delivered)} delivered, ${number(kept)} stay`)
    },
    clear(): void {
      if (shownAt > 0) stream.write('\r\u001b[K')
    },
  }
}

function show(screen: Screen, result: RedriveResult, opens: boolean): void {
  const { dryRun, ended, delivered, kept, filtered, duplicates, earlier, others, groups } = result
  if (groups.length > 0) {
    const [head = '', ...lines] = columns([['MESSAGES', 'PARKED WITH', 'KEYS', dryRun ? 'WOULD' : 'NOW'], ...groups.map((group) => row(group, dryRun, opens))])
    screen.line(screen.tone('strong', head))
    for (const line of lines) screen.line(line)
    screen.line()
  }
  const parts = [
    `${number(delivered)} ${dryRun ? 'would be delivered' : 'delivered'}`,
    `${number(kept)} ${dryRun ? 'would stay' : 'stay'} parked`,
    ...[[filtered, 'left out by the filters'], [duplicates, 'second copies'], [earlier, 'redriven earlier'], [others, 'of others']].flatMap(([count, what]) => (count ? [`${number(Number(count))} ${what}`] : [])),
  ]
  screen.say(`${parts.join(', ')}.`)
  if (ended === 'limit') screen.say('The limit was reached; the next run goes on there.')
  if (ended === 'aborted') screen.say('It was ended early; the next run goes on there.')
  if (dryRun) screen.say(screen.tone('quiet', 'This was a dry run: nothing was delivered. Add --yes to do it.'))
}

function row({ messages, parkedWith, kids, outcome, reason }: RedriveGroup, dryRun: boolean, opens: boolean): string[] {
  const fate = outcome === 'kept' ? (reason === 'origin' ? 'stay: they came from --to itself (--to-origin)' : `still fail with ${reason ?? 'an error'}`) : dryRun ? (opens ? 'open now' : 'be delivered unopened') : 'delivered'
  return [number(messages), parkedWith, kids.join(',') || '-', fate].map(printable)
}

const collect = (given: string, before: readonly string[]): readonly string[] => [...before, given]

function parseLimit(given: string): number {
  const limit = Number(given)
  if (!/^\d{1,9}$/.test(given) || limit < 1) throw new InvalidArgumentError('It is a whole number from 1.')
  return limit
}
