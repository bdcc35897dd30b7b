import type { Consumer, EachBatchPayload, Kafka, KafkaMessage, Producer, Transaction } from 'kafkajs'

/**
 * The shape and the ways of `@confluentinc/kafka-javascript` 1.10, as far as they differ from kafkajs', on top of kafkajs:
 * its own native module is not needed to find out whether the wrappers get along with it. A `kafkaJS` block of
 * configuration, no `on` and `events`, options of `send` that throw, messages that are written into, `transaction()` that
 * resolves to the producer itself, batches of at most 32 that are stale once paused, headers that may be undefined,
 * commits of what is stored, a heartbeat that does nothing, and members that are not there.
 */
export class ConfluentShapedKafka {
  readonly #kafka: Kafka
  constructor(kafka: Kafka) {
    this.#kafka = kafka
  }
  producer(config: { kafkaJS?: { transactionalId?: string } } = {}): ConfluentShapedProducer {
    const { transactionalId } = config.kafkaJS ?? {}
    return new ConfluentShapedProducer(this.#kafka.producer(transactionalId === undefined ? {} : { transactionalId, idempotent: true, maxInFlightRequests: 1 }))
  }
  consumer(config: { kafkaJS: { groupId: string; fromBeginning?: boolean; autoCommit?: boolean } }): ConfluentShapedConsumer {
    return new ConfluentShapedConsumer(this.#kafka, config.kafkaJS)
  }
}

interface ShapedMessage {
  key?: Buffer | string | null
  value: Buffer | string | null
  partition?: number
  headers?: Record<string, Buffer | string | (Buffer | string)[] | undefined>
  timestamp?: string
}
interface ShapedRecord {
  topic: string
  messages: ShapedMessage[]
}

export class ConfluentShapedProducer {
  readonly #producer: Producer
  #transaction: Transaction | undefined
  constructor(producer: Producer) {
    this.#producer = producer
  }
  connect(): Promise<void> {
    return this.#producer.connect()
  }
  disconnect(): Promise<void> {
    return this.#producer.disconnect()
  }
  async send(record: ShapedRecord): Promise<unknown[]> {
    refuseOptions(record)
    return (this.#transaction ?? this.#producer).send(toKafkajs(record))
  }
  async sendBatch(batch: { topicMessages?: ShapedRecord[] }): Promise<unknown[]> {
    refuseOptions(batch)
    return (this.#transaction ?? this.#producer).sendBatch({ topicMessages: (batch.topicMessages ?? []).map(toKafkajs) })
  }
  async flush(): Promise<void> {}
  async transaction(): Promise<ConfluentShapedProducer> {
    this.#transaction = await this.#producer.transaction()
    return this
  }
  async commit(): Promise<void> {
    await this.#end().commit()
  }
  async abort(): Promise<void> {
    await this.#end().abort()
  }
  async sendOffsets({ consumer, topics }: { consumer: ConfluentShapedConsumer; topics: { topic: string; partitions: { partition: number; offset: string }[] }[] }): Promise<void> {
    await this.#transaction?.sendOffsets({ consumerGroupId: consumer.groupName(), topics })
  }
  isActive(): boolean {
    return this.#transaction !== undefined
  }
  #end(): Transaction {
    const transaction = this.#transaction
    if (!transaction) throw new Error('no transaction ongoing')
    this.#transaction = undefined
    return transaction
  }
}

const refuseOptions = (given: object): void => {
  for (const name of ['acks', 'timeout', 'compression']) if (Object.hasOwn(given, name)) throw new Error(`'${name}' cannot be an option of send()`)
}

/** The client writes into the messages that it is given. */
function toKafkajs({ topic, messages }: ShapedRecord): { topic: string; messages: { key: Buffer | string | null; value: Buffer | string | null; partition?: number; headers: ShapedMessage['headers'] & object; timestamp?: string }[] } {
  return {
    topic,
    messages: messages.map((message) => {
      const { partition, timestamp, headers = {} } = message
      if (typeof message.value === 'string') message.value = Buffer.from(message.value)
      Object.assign(message, { partition: partition ?? -1, timestamp: Number(timestamp ?? 0), headers: Object.entries(headers) })
      return { key: message.key ?? null, value: message.value, headers, ...(partition !== undefined && { partition }), ...(timestamp !== undefined && { timestamp }) }
    }),
  }
}

export interface ShapedPayload {
  batch: { topic: string; partition: number; highWatermark: string; messages: KafkaMessage[]; isEmpty(): boolean; firstOffset(): string | null; lastOffset(): string; offsetLag(): string; offsetLagLow(): string }
  resolveOffset(offset: string, leaderEpoch?: number): void
  heartbeat(): Promise<void>
  pause(): () => void
  commitOffsetsIfNecessary(): Promise<void>
  isRunning(): boolean
  isStale(): boolean
}
interface Place {
  topic: string
  partition: number
}
type Stale = Place & { stale: boolean; sought: boolean }
const LARGEST_BATCH = 32

export class ConfluentShapedConsumer {
  readonly #consumer: Consumer
  readonly #config: { groupId: string; fromBeginning?: boolean; autoCommit?: boolean }
  readonly #batches = new Set<Stale>()
  readonly #stored = new Map<string, Place & { offset: string }>()
  #assignment: Readonly<Record<string, readonly number[]>> = {}
  #running = false

  constructor(kafka: Kafka, config: { groupId: string; fromBeginning?: boolean; autoCommit?: boolean }) {
    this.#config = config
    this.#consumer = kafka.consumer({ groupId: config.groupId, maxWaitTimeInMs: 100, heartbeatInterval: 300 })
    this.#consumer.on(this.#consumer.events.GROUP_JOIN, ({ payload }) => void (this.#assignment = payload.memberAssignment))
  }
  groupName(): string {
    return this.#config.groupId
  }
  connect(): Promise<void> {
    return this.#consumer.connect()
  }
  disconnect(): Promise<void> {
    this.#running = false
    return this.#consumer.disconnect()
  }
  subscribe({ topics }: { topics: string[] }): Promise<void> {
    return this.#consumer.subscribe({ topics, fromBeginning: this.#config.fromBeginning === true })
  }
  async stop(): Promise<void> {
    throw new Error('Not implemented')
  }
  async run(config: { eachMessage?: (payload: Place & { message: KafkaMessage; heartbeat(): Promise<void>; pause(): () => void }) => Promise<void>; eachBatch?: (payload: ShapedPayload) => Promise<void>; eachBatchAutoResolve?: boolean; partitionsConsumedConcurrently?: number }): Promise<void> {
    for (const name of ['autoCommit', 'autoCommitInterval', 'autoCommitThreshold']) if (Object.hasOwn(config, name)) throw new Error(`'${name}' is an option of consumer()`)
    const { eachBatch } = config
    if (!eachBatch) throw new Error('only what the wrapper runs is shaped here: eachBatch')
    this.#running = true
    await this.#consumer.run({ autoCommit: this.#config.autoCommit !== false, eachBatchAutoResolve: false, eachBatch: async (given) => {
      const { messages } = given.batch
      for (let at = 0; at < messages.length; at += LARGEST_BATCH) if (!(await this.#process(given, messages.slice(at, at + LARGEST_BATCH), eachBatch, config.eachBatchAutoResolve !== false))) return
    } })
  }

  /** One batch; whether all of it was resolved. What was not is fetched again. */
  async #process(given: EachBatchPayload, messages: KafkaMessage[], eachBatch: (payload: ShapedPayload) => Promise<void>, autoResolve: boolean): Promise<boolean> {
    const { topic, partition, highWatermark } = given.batch
    const shaped = messages.map((message): KafkaMessage => Object.keys(message.headers ?? {}).length > 0 ? message : ({ ...message, headers: undefined } as unknown as KafkaMessage))
    const state: Stale = { topic, partition, stale: false, sought: false }
    this.#batches.add(state)
    let reached = -1n
    const last = BigInt(messages.at(-1)?.offset ?? -1)
    const lag = (of: bigint): string => `${BigInt(highWatermark) - 1n - of}`
    const payload: ShapedPayload = {
      batch: {
        topic, partition, highWatermark, messages: shaped,
        isEmpty: () => false,
        firstOffset: () => shaped[0]?.offset ?? null,
        lastOffset: () => `${last}`,
        offsetLag: () => lag(last),
        offsetLagLow: () => lag(BigInt(shaped[0]?.offset ?? -1)),
      },
      resolveOffset: (offset) => {
        if (BigInt(offset) <= reached) return
        reached = BigInt(offset)
        this.#stored.set(`${topic}/${partition}`, { topic, partition, offset: `${reached + 1n}` })
        given.resolveOffset(offset)
      },
      heartbeat: async () => {},
      pause: () => this.pause([{ topic, partitions: [partition] }]),
      commitOffsetsIfNecessary: async () => {
        if (this.#config.autoCommit === false) await this.commitOffsets()
      },
      isRunning: () => this.#running,
      isStale: () => state.stale,
    }
    try {
      await eachBatch(payload)
      if (autoResolve && !state.stale) payload.resolveOffset(`${last}`)
    } catch {
      // It comes again, without a limit.
    }
    this.#batches.delete(state)
    return !state.sought && reached === last && this.#running
  }

  #stale(places: readonly { topic: string; partitions?: readonly number[] }[], sought: boolean): void {
    for (const each of this.#batches) {
      if (!places.some(({ topic, partitions }) => topic === each.topic && (partitions?.includes(each.partition) ?? true))) continue
      each.stale = true
      each.sought ||= sought
    }
  }
  pause(topics: { topic: string; partitions?: number[] }[]): () => void {
    this.#stale(topics, false)
    this.#consumer.pause(topics)
    return () => this.resume(topics)
  }
  resume(topics: { topic: string; partitions?: number[] }[]): void {
    this.#consumer.resume(topics)
  }
  seek({ topic, partition, offset }: Place & { offset: string }): void {
    this.#stale([{ topic, partitions: [partition] }], true)
    this.#consumer.seek({ topic, partition, offset })
  }
  assignment(): Place[] {
    return Object.entries(this.#assignment).flatMap(([topic, partitions]) => partitions.map((partition) => ({ topic, partition })))
  }
  async commitOffsets(offsets?: (Place & { offset: string })[]): Promise<void> {
    await this.#consumer.commitOffsets(offsets ?? [...this.#stored.values()])
  }
}
