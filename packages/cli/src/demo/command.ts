import { Command, InvalidArgumentError, Option } from 'commander'
import { EXIT } from '../exit-codes.ts'
import type { DemoBroker } from './brokers/broker.ts'
import { connectKafka } from './brokers/kafka.ts'
import { connectMemory } from './brokers/memory.ts'
import { connectRabbit } from './brokers/rabbitmq.ts'
import { BrokerUnreachableError } from './brokers/unreachable.ts'
import { listenForInterruption } from './interruption.ts'
import { createScreen } from './screen.ts'
import { tellStory } from './story.ts'

export interface DemoOptions {
  readonly broker: 'memory' | 'kafka' | 'rabbitmq'
  readonly kafkaBrokers: readonly string[]
  readonly amqpUrl: string
  readonly messages: number
}

/** How the demo comes by its broker. */
export type Connect = (options: DemoOptions) => Promise<DemoBroker>

/** `sealbus demo`. It sets the process's exit code. */
export function demoCommand(connect: Connect = connectAs): Command {
  return new Command('demo')
    .description('show in half a minute what Sealbus does, on a broker inside this process or on a real one')
    .addOption(new Option('--broker <name>', 'where the messages go').choices(['memory', 'kafka', 'rabbitmq']).default('memory'))
    .addOption(new Option('--kafka-brokers <list>', 'host:port, more with commas').env('SEALBUS_KAFKA_BROKERS').default(['127.0.0.1:9092'], '127.0.0.1:9092').argParser(parseBrokers))
    .addOption(new Option('--amqp-url <url>', 'amqp:// or amqps://').env('SEALBUS_AMQP_URL').default('amqp://127.0.0.1:5673').argParser(parseAmqpUrl))
    .addOption(new Option('--messages <n>', 'orders before the rush hour, 10 to 10000').default(200).argParser(parseMessages))
    .addHelpText('after', `
Exit codes: 0 all that the demo shows was checked and holds, 1 a check failed, 2 wrong arguments,
3 the broker cannot be reached, 130 Ctrl-C. Everything that it makes on a broker is removed at the end.`)
    .action(async (options: DemoOptions) => {
      process.exitCode = await runDemo(options, connect)
    })
}

async function runDemo(options: DemoOptions, connect: Connect): Promise<number> {
  const interruption = listenForInterruption()
  let broker: DemoBroker | undefined
  try {
    const connecting = connect(options)
    broker = await interruption.orInterrupted(connecting)
    const story = tellStory({ screen: createScreen(process.stdout), broker, messages: options.messages, signal: interruption.signal })
    const { checks } = await interruption.orInterrupted(story)
    return checks.every(({ holds }) => holds) ? EXIT.ok : EXIT.failed
  } catch (error) {
    if (interruption.signal.aborted) return EXIT.interrupted
    console.error(`\nerror: ${error instanceof Error ? error.message : 'unknown'}`)
    if (!(error instanceof BrokerUnreachableError)) return EXIT.failed
    console.error('Start both brokers with: docker compose up -d --wait\nOr stay inside this process: --broker memory')
    return EXIT.unreachable
  } finally {
    await broker?.close()
    interruption.dispose()
  }
}

function connectAs({ broker, kafkaBrokers, amqpUrl }: DemoOptions): Promise<DemoBroker> {
  switch (broker) {
    case 'memory':
      return connectMemory()
    case 'kafka':
      return connectKafka(kafkaBrokers)
    case 'rabbitmq':
      return connectRabbit(amqpUrl)
  }
}

function parseBrokers(given: string): string[] {
  const brokers = given.split(',').map((each) => each.trim())
  if (!brokers.every((each) => /^[^\s:]+:\d{1,5}$/.test(each) || /^\[[\da-f:]+\]:\d{1,5}$/i.test(each))) throw new InvalidArgumentError('It is host:port, more with commas.')
  return brokers
}

function parseAmqpUrl(given: string): string {
  // Not quoted: it may hold a password.
  if (!URL.canParse(given) || !['amqp:', 'amqps:'].includes(new URL(given).protocol)) throw new InvalidArgumentError('It is a URL that starts with amqp:// or amqps://.')
  return given
}

function parseMessages(given: string): number {
  const messages = Number(given)
  if (!/^\d+$/.test(given) || messages < 10 || messages > 10_000) throw new InvalidArgumentError('It is a whole number from 10 to 10000.')
  return messages
}
