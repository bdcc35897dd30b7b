import { dockerMissing, startKafkaContainer, startRabbitContainer } from './docker-containers.ts'
import { startKafkaCluster } from './kafka-cluster.ts'
import { kafkaMissing } from './kafka-distribution.ts'
import { rabbitMissing } from './rabbitmq-cluster.ts'
import { startRabbitNode } from './rabbitmq-node.ts'

export interface KafkaAddress {
  bootstrap: string[]
  /** Empty where the files of the brokers are out of reach. */
  dataDirs: string[]
}

export interface RabbitAddress {
  url: string
  /** Undefined where the files of the broker are out of reach. */
  dataDir: string | undefined
}

/** A broker for the whole run, or why there is none. Plain data: it travels to the test processes. */
export type Offer<Address> = (Address & { available: true }) | { available: false; reason: string }

/** One way to come by a broker. */
export interface Provider<Address> {
  /** Its name in SEALBUS_BROKERS. */
  name: string
  /** Why it cannot serve here, or undefined when it can. */
  missing(): Promise<string | undefined>
  start(): Promise<{ address: Address; stop: () => Promise<void> }>
}

// In the order of preference.
export const kafkaProviders: readonly Provider<KafkaAddress>[] = [
  {
    name: 'env',
    missing: async () => (process.env.SEALBUS_KAFKA_BROKERS ? undefined : 'SEALBUS_KAFKA_BROKERS is not set'),
    start: async () => ({
      address: { bootstrap: (process.env.SEALBUS_KAFKA_BROKERS ?? '').split(',').map((host) => host.trim()), dataDirs: [] },
      stop: async () => {},
    }),
  },
  {
    name: 'docker',
    missing: dockerMissing,
    async start() {
      const container = await startKafkaContainer()
      return { address: { bootstrap: container.bootstrap, dataDirs: [] }, stop: () => container.stop() }
    },
  },
  {
    name: 'local',
    missing: async () => kafkaMissing(),
    async start() {
      const cluster = await startKafkaCluster()
      return { address: { bootstrap: cluster.bootstrap, dataDirs: cluster.dataDirs }, stop: () => cluster.stop() }
    },
  },
]

export const rabbitProviders: readonly Provider<RabbitAddress>[] = [
  {
    name: 'env',
    missing: async () => (process.env.SEALBUS_AMQP_URL ? undefined : 'SEALBUS_AMQP_URL is not set'),
    start: async () => ({
      address: { url: process.env.SEALBUS_AMQP_URL ?? '', dataDir: undefined },
      stop: async () => {},
    }),
  },
  {
    name: 'docker',
    missing: dockerMissing,
    async start() {
      const container = await startRabbitContainer()
      return { address: { url: container.url, dataDir: undefined }, stop: () => container.stop() }
    },
  },
  {
    name: 'local',
    missing: async () => rabbitMissing(),
    async start() {
      const node = await startRabbitNode()
      return { address: { url: node.url, dataDir: node.dataDir }, stop: () => node.stop() }
    },
  },
]

export interface Choice<Address> {
  offer: Offer<Address>
  stop(): Promise<void>
}

/** Starts the first provider that can serve, or the one that SEALBUS_BROKERS names. */
export async function chooseBroker<Address>(providers: readonly Provider<Address>[]): Promise<Choice<Address>> {
  const forced = process.env.SEALBUS_BROKERS
  const candidates = providers.filter(({ name }) => !forced || name === forced)
  if (candidates.length === 0) {
    throw new Error(`SEALBUS_BROKERS=${forced} is none of: ${providers.map(({ name }) => name).join(', ')}`)
  }
  const reasons: string[] = []
  for (const provider of candidates) {
    try {
      const missing = await provider.missing()
      if (missing === undefined) {
        const { address, stop } = await provider.start()
        return { offer: { ...address, available: true }, stop }
      }
      reasons.push(`${provider.name}: ${missing}`)
    } catch (error) {
      reasons.push(`${provider.name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return { offer: { available: false, reason: reasons.join('; ') }, stop: async () => {} }
}
