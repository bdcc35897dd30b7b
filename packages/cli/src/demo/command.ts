import { Command, InvalidArgumentError, Option } from 'commander'
import { amqpUrlOption, type BrokerOptions, checkAmqpUrl, kafkaBrokersOption } from '../broker-options.ts'
import { EXIT } from '../exit-codes.ts'
import type { DemoBroker } from './brokers/broker.ts'
import { BrokerUnreachableError } from '../unreachable.ts'
import { listenForInterruption } from '../interruption.ts'
import { createScreen } from '../screen.ts'

export interface DemoOptions extends BrokerOptions {
  readonly broker: 'memory' | 'kafka' | 'rabbitmq'
  readonly messages: number
}

/** How the demo comes by its broker. */
export type Connect = (options: DemoOptions) => Promise<DemoBroker>

/** `sealbus demo`. It sets the process's exit code. */
export function demoCommand(connect: Connect = connectAs): Command {
  return new Command('demo')
    .description('show in half a minute what Sealbus does, on a broker inside this process or on a real one')
    .addOption(new Option('--broker <name>', 'where the messages go').choices(['memory', 'kafka', 'rabbitmq']).default('memory'))
    .addOption(kafkaBrokersOption())
    .addOption(amqpUrlOption())
    .addOption(new Option('--messages <n>', 'orders before the rush hour, 10 to 10000').default(200).argParser(parseMessages))
    .addHelpText('after', `
Exit codes: 0 all that the demo shows was checked and holds, 1 a check failed, 2 wrong arguments,
3 the broker cannot be reached, 130 after Ctrl-C. Everything that it makes on a broker is removed at the end.`)
    .action(async (options: DemoOptions, command: Command) => {
      checkAmqpUrl(options, command)
      process.exitCode = await runDemo(options, connect)
    })
}

async function runDemo(options: DemoOptions, connect: Connect): Promise<number> {
  const interruption = listenForInterruption()
  const connecting = connect(options)
  try {
    const [broker, { tellStory }] = await interruption.orInterrupted(Promise.all([connecting, import('./story.ts')]))
    const story = tellStory({ screen: createScreen(process.stdout), broker, messages: options.messages, signal: interruption.signal })
    const { checks } = await interruption.orInterrupted(story)
    return checks.every(({ holds }) => holds) ? EXIT.ok : EXIT.failed
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode
    complain(error)
    if (!(error instanceof BrokerUnreachableError)) return EXIT.failed
    console.error('Start both brokers with: docker compose up -d --wait\nOr stay inside this process: --broker memory')
    return EXIT.unreachable
  } finally {
    // An interruption does not wait for the connection; leaving does, so that it is closed.
    const broker = await connecting.catch(() => undefined)
    await broker?.close().catch((error: unknown) => complain(error, 'not everything could be removed from the broker: '))
    interruption.dispose()
  }
}

function complain(error: unknown, prefix = ''): void {
  console.error(`\nerror: ${prefix}${error instanceof Error ? error.message : 'unknown'}`)
}

/** Loads what it needs, so that other commands do not wait for it. */
async function connectAs({ broker, kafkaBrokers, amqpUrl }: DemoOptions): Promise<DemoBroker> {
  switch (broker) {
    case 'memory':
      return (await import('./brokers/memory.ts')).connectMemory()
    case 'kafka':
      return (await import('./brokers/kafka.ts')).connectKafka(kafkaBrokers)
    case 'rabbitmq':
      return (await import('./brokers/rabbitmq.ts')).connectRabbit(amqpUrl)
  }
}

function parseMessages(given: string): number {
  const messages = Number(given)
  if (!/^\d+$/.test(given) || messages < 10 || messages > 10_000) throw new InvalidArgumentError('It is a whole number from 10 to 10000.')
  return messages
}
