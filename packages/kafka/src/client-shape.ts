/** The members of kafkajs' objects that the wrappers use, by structure: nothing of a client is imported at run time. */

export type HeaderValue = Buffer | string | readonly (Buffer | string)[] | undefined
export type Headers = Readonly<Record<string, unknown>>

/** A message as callers give it to `send`. */
export interface OutgoingRecord {
  readonly key?: Buffer | string | null
  readonly value: Buffer | string | null
  readonly headers?: Headers
  readonly partition?: number
  readonly timestamp?: string
}

export interface TopicRecords {
  readonly topic: string
  readonly messages: readonly OutgoingRecord[]
}

/** A message as the client delivers it. */
export interface DeliveredRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers?: Headers
  readonly offset: string
}

export interface Place {
  readonly topic: string
  readonly partition: number
}

export interface TopicPartitions {
  readonly topic: string
  readonly partitions?: number[]
}

export interface Batch extends Place {
  readonly messages: readonly DeliveredRecord[]
}

export interface BatchPayload {
  readonly batch: Batch
  /** Confluent's client takes the leader's epoch too. */
  readonly resolveOffset: (offset: string, ...more: unknown[]) => void
  readonly heartbeat: () => Promise<void>
  readonly pause: () => () => void
  readonly commitOffsetsIfNecessary: (offsets?: unknown) => Promise<void>
  readonly isRunning: () => boolean
  readonly isStale: () => boolean
}

export interface MessagePayload extends Place {
  readonly message: DeliveredRecord
  readonly heartbeat: () => Promise<void>
  readonly pause: () => () => void
}

export interface RunConfig {
  readonly autoCommit?: boolean
  readonly eachBatchAutoResolve?: boolean
  readonly eachBatch?: (payload: BatchPayload) => Promise<void>
  readonly eachMessage?: (payload: MessagePayload) => Promise<void>
}

/** A producer that can be wrapped: kafkajs', or Confluent's. Parameters are `never`, so that any client's own parameter types fit. */
export interface ProducerLike {
  send: (record: never) => Promise<unknown>
  sendBatch: (batch: never) => Promise<unknown>
}

/** A consumer that can be wrapped. */
export interface ConsumerLike {
  run: (config: never) => Promise<void>
  pause: (topicPartitions: never) => void
  resume: (topicPartitions: never) => void
  seek: (place: never) => void
  stop: () => Promise<void>
  disconnect: () => Promise<void>
}

/** A client that can be wrapped: what makes producers and consumers. */
export interface KafkaLike {
  producer: (...config: never[]) => ProducerLike
  consumer: (config: never) => ConsumerLike
}

/** The same objects, seen from inside the wrappers. */
export interface InnerProducer {
  send(record: TopicRecords): Promise<unknown>
  sendBatch(batch: { readonly topicMessages?: readonly TopicRecords[] }): Promise<unknown>
  transaction?(): Promise<InnerProducer>
  /** Confluent's client has none, and takes no `acks` per call. */
  readonly events?: unknown
  disconnect?(): Promise<void>
}

export interface InnerConsumer {
  run(config: RunConfig): Promise<void>
  pause(topicPartitions: readonly TopicPartitions[]): void
  resume(topicPartitions: readonly TopicPartitions[]): void
  seek(place: Place & { readonly offset: string }): void
  stop(): Promise<void>
  disconnect(): Promise<void>
  on?(event: string, listener: (event: unknown) => void): unknown
  /** Confluent's client has none: it commits what is resolved by itself, and tells of no rebalance. */
  readonly events?: Readonly<Record<string, string>>
  /** Confluent's client only. */
  assignment?(): readonly Place[]
}
