import type { Kafka, KafkaConfig } from 'kafkajs'
import { BrokerUnreachableError } from './unreachable.ts'

/** What the commands use of a Kafka client: kafkajs, or the one in the process. */
export type KafkaClient = Pick<Kafka, 'producer' | 'consumer' | 'admin'>

/**
 * A client of a real Kafka that has answered once. `config` is kafkajs' own, for TLS and SASL.
 *
 * @throws BrokerUnreachableError
 */
export async function openKafka({ brokers, clientId, config }: { readonly brokers: readonly string[]; readonly clientId: string; readonly config?: Partial<KafkaConfig> }): Promise<KafkaClient> {
  silenceTimerWarning()
  // Only here: whoever needs no Kafka does not load the client.
  const { Kafka, logLevel, Partitioners } = await import('kafkajs')
  const common = { connectionTimeout: 3_000, ...config, brokers: [...brokers], logLevel: logLevel.NOTHING }
  const probe = new Kafka({ ...common, requestTimeout: 5_000, retry: { retries: 0 } }).admin()
  try {
    await probe.connect()
    await probe.describeCluster()
  } catch (error) {
    throw new BrokerUnreachableError('Kafka', brokers.join(', '), error)
  } finally {
    await probe.disconnect().catch(() => {})
  }
  const client = new Kafka({ clientId, ...common, retry: { initialRetryTime: 100, retries: 8 } })
  return {
    // Its default, named: without a name it prints a warning.
    producer: (given) => client.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...given }),
    consumer: (given) => client.consumer(given),
    admin: (given) => client.admin(given),
  }
}

/** kafkajs sets timers for moments already past, and Node warns of each such run. All other warnings stay. */
function silenceTimerWarning(): void {
  const emitWarning = process.emitWarning.bind(process) as (...args: unknown[]) => void
  process.emitWarning = (...args: unknown[]): void => {
    if (args[1] !== 'TimeoutNegativeWarning') emitWarning(...args)
  }
}
