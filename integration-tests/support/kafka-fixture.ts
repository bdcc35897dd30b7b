import type { Channels, Opener, OpenerOptions, Sealer } from '@sealbus/core'
import { sealKafka, type SealKafkaOptions } from '@sealbus/kafka'
import { type Admin, type Consumer, type ConsumerConfig, Kafka, type KafkaConfig, type KafkaMessage, logLevel, type Producer } from 'kafkajs'
import { afterAll, afterEach, beforeAll, expect, vi } from 'vitest'
import { uniqueName } from './brokers.ts'
import { remoteIdentities, type Services, startServices } from './services.ts'

/** How long a test waits for what is to happen; what is not to happen is told by counts and offsets. */
export const WAIT: { readonly timeout: number } = { timeout: 30_000 }

export interface ConsumerOptions extends Partial<SealKafkaOptions> {
  readonly topics: readonly string[]
  readonly groupId?: string
  readonly config?: Partial<ConsumerConfig>
}

/** What every suite on a Kafka needs: clients, services with keys, and an end for all of it. */
export interface KafkaFixture {
  readonly kafka: Kafka
  readonly services: Services
  readonly sealer: Sealer
  readonly admin: Admin
  /** A producer of the client itself. */
  readonly raw: Producer
  /** A producer that seals. */
  readonly sealed: Producer
  /** Creates a topic, whose name begins with the channel's. */
  readonly topic: (channel?: string, options?: { partitions?: number; config?: Readonly<Record<string, string>> }) => Promise<string>
  /** A consumer that opens, connected and subscribed from the beginning. */
  readonly consumer: (options: ConsumerOptions) => Promise<Consumer>
  /** A producer that seals, with a configuration of its own, connected. */
  readonly producer: (config: Parameters<Kafka['producer']>[0], options?: Partial<SealKafkaOptions>) => Promise<Producer>
  readonly opener: (options?: Partial<OpenerOptions>) => Opener
  /** An opener of `billing` whose key source can be switched off and on. */
  readonly remote: () => { source: ReturnType<typeof remoteIdentities>; opener: Opener }
  /** Committed offsets, in the order of the partitions; '-1' where there is none. */
  readonly committed: (groupId: string, topic: string) => Promise<string[]>
  /** The ends of the partitions. */
  readonly ends: (topic: string) => Promise<string[]>
  /** The records as the broker has them, as many as are asked for, in the order of the partitions. */
  readonly stored: (topic: string, count: number) => Promise<KafkaMessage[]>
  /** Ends this after the test. */
  readonly closeLater: (close: () => Promise<unknown>) => void
}

/** The services that the channels name are `recipients`. */
export function useKafka(bootstrap: readonly string[], channels: Channels, { recipients = ['billing', 'audit'], ...client }: Partial<KafkaConfig> & { readonly recipients?: readonly string[] } = {}): KafkaFixture {
  const kafka = new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100, retries: 12 }, ...client })
  const admin = kafka.admin()
  const raw = kafka.producer()
  const closing: (() => Promise<unknown>)[] = []
  let services: Services | undefined
  let sealer: Sealer | undefined
  let sealed: Producer | undefined

  beforeAll(async () => {
    services = await startServices(...recipients)
    sealer = await services.sealer(channels)
    sealed = sealKafka(kafka, { sealer }).producer()
    await Promise.all([admin.connect(), raw.connect(), sealed.connect()])
    await untilGroupsServe(admin)
  })
  afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()))
  })
  afterAll(async () => {
    await Promise.all([admin.disconnect(), raw.disconnect(), sealed?.disconnect()])
    services?.close()
  })

  const started = <Value>(value: Value | undefined): Value => value ?? expect.fail('only within a test')
  const byPartition = (a: { partition: number }, b: { partition: number }): number => a.partition - b.partition
  const fixture: KafkaFixture = {
    kafka,
    admin,
    raw,
    get services() { return started(services) },
    get sealer() { return started(sealer) },
    get sealed() { return started(sealed) },
    async topic(channel = 'orders', { partitions = 1, config = {} } = {}): Promise<string> {
      const topic = uniqueName(channel)
      await admin.createTopics({ topics: [{ topic, numPartitions: partitions, configEntries: Object.entries(config).map(([name, value]) => ({ name, value })) }], waitForLeaders: true })
      return topic
    },
    async consumer({ topics, groupId = uniqueName('group'), config = {}, ...options }): Promise<Consumer> {
      const opener = options.opener ?? fixture.opener()
      const consumer = sealKafka(kafka, { onStopped: () => {}, dispositions: { holdBackoffMs: { first: 50, longest: 200 } }, ...options, opener }).consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 300, maxWaitTimeInMs: 100, ...config })
      closing.push(() => consumer.disconnect())
      await consumer.connect()
      await consumer.subscribe({ topics: [...topics], fromBeginning: true })
      return consumer
    },
    async producer(config, options = {}): Promise<Producer> {
      const producer = sealKafka(kafka, { sealer: fixture.sealer, ...options }).producer(config)
      closing.push(() => producer.disconnect())
      await producer.connect()
      return producer
    },
    opener: (options = {}) => fixture.services.named('billing').opener(channels, options),
    remote() {
      const source = remoteIdentities(fixture.services.named('billing'))
      return { source, opener: fixture.opener({ identities: source }) }
    },
    async committed(groupId, topic): Promise<string[]> {
      const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] })
      return (offsets?.partitions ?? []).toSorted(byPartition).map(({ offset }) => offset)
    },
    ends: async (topic) => (await admin.fetchTopicOffsets(topic)).toSorted(byPartition).map(({ high }) => high),
    async stored(topic, count): Promise<KafkaMessage[]> {
      const found: { partition: number; message: KafkaMessage }[] = []
      const reader = kafka.consumer({ groupId: uniqueName('reader'), maxWaitTimeInMs: 100 })
      await reader.connect()
      try {
        await reader.subscribe({ topic, fromBeginning: true })
        await reader.run({ eachMessage: async ({ partition, message }) => void found.push({ partition, message }) })
        await expect.poll(() => found.length, WAIT).toBe(count)
      } finally {
        await reader.disconnect()
      }
      return found.toSorted(byPartition).map(({ message }) => message)
    },
    closeLater: (close) => void closing.push(close),
  }
  return fixture
}

/**
 * A broker that has just started may still load the coordinators of groups, which kafkajs takes for a crash of its own.
 * Groups are spread by the hash of their name, so consecutive letters meet each of up to 50 coordinators.
 */
async function untilGroupsServe(admin: Admin): Promise<void> {
  await Promise.all(Array.from({ length: 50 }, (_, index) => vi.waitFor(() => admin.fetchOffsets({ groupId: String.fromCharCode(48 + index) }), { timeout: 60_000, interval: 100 })))
}

/** A record without anything in it, for a list that turns out to be empty. */
export const NOTHING: { readonly key: null; readonly value: null; readonly headers?: KafkaMessage['headers'] } = { key: null, value: null }

/** Names of the events of a consumer, as they come; of a crash, why too. */
export function eventsOf(consumer: Consumer, ...names: (keyof Consumer['events'])[]): string[] {
  const seen: string[] = []
  for (const name of names) consumer.on(consumer.events[name] as never, ({ payload }: { payload?: { error?: Error } | null }) => void seen.push(payload?.error ? `${name}: ${payload.error.stack}` : name))
  return seen
}

/** An envelope whose tag was changed on the way: it can be parsed, and never opens. */
export function tamper(envelope: Buffer): Buffer {
  const jwe = JSON.parse(envelope.toString()) as object
  return Buffer.from(JSON.stringify({ ...jwe, tag: Buffer.alloc(16, 7).toString('base64url') }))
}
