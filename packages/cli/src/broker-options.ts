import { type Command, InvalidArgumentError, Option } from 'commander'

export interface BrokerOptions {
  readonly kafkaBrokers: readonly string[]
  readonly amqpUrl: string
}

/** The options that say where brokers are, also by the environment. */
export const kafkaBrokersOption = (): Option => new Option('--kafka-brokers <list>', 'host:port, more with commas').env('SEALBUS_KAFKA_BROKERS').default(['127.0.0.1:9092'], '127.0.0.1:9092').argParser(parseBrokers)
export const amqpUrlOption = (): Option => new Option('--amqp-url <url>', 'amqp:// or amqps://').env('SEALBUS_AMQP_URL').default('amqp://127.0.0.1:5673')

/** Not by an argument parser: its error quotes the value, which may hold a password. */
export function checkAmqpUrl({ amqpUrl }: Pick<BrokerOptions, 'amqpUrl'>, command: Command): void {
  if (!URL.canParse(amqpUrl) || !['amqp:', 'amqps:'].includes(new URL(amqpUrl).protocol)) command.error('error: --amqp-url (or SEALBUS_AMQP_URL) is no URL that starts with amqp:// or amqps://')
}

function parseBrokers(given: string): string[] {
  const brokers = given.split(',').map((each) => each.trim())
  if (!brokers.every((each) => /^[^\s:]+:\d{1,5}$/.test(each) || /^\[[\da-f:]+\]:\d{1,5}$/i.test(each))) throw new InvalidArgumentError('It is host:port, more with commas.')
  return brokers
}
