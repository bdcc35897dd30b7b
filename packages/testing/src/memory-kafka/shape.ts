/** kafkajs' own shape, as far as it is simulated: its types and these are assignable to each other, and nothing of it is imported. */

import type { CONSUMER_EVENTS, ConsumerEventPayloads, InstrumentationEvent, PRODUCER_EVENTS, ProducerEventPayloads } from './events.ts'

export interface MessageHeaders {
  [name: string]: Buffer | string | (Buffer | string)[] | undefined
}

export interface ProducerMessage {
  key?: Buffer | string | null
  value: Buffer | string | null
  partition?: number
  headers?: MessageHeaders
  /** Milliseconds since 1970, in decimal. Default: now. */
  timestamp?: string
}

export interface TopicMessages {
  topic: string
  messages: ProducerMessage[]
}

export interface SendMetadata {
  topicName: string
  partition: number
  errorCode: number
  baseOffset: string
  logAppendTime: string
  logStartOffset: string
}

export interface PartitionMetadata {
  partitionErrorCode: number
  partitionId: number
  leader: number
  replicas: number[]
  isr: number[]
  offlineReplicas: number[]
}

export type PartitionerFactory = () => (args: { topic: string; partitionMetadata: PartitionMetadata[]; message: ProducerMessage }) => number

export interface MemoryProducerConfig {
  /** Default: by murmur2 of the key, else round-robin. */
  createPartitioner?: PartitionerFactory
  /** Default true. */
  allowAutoTopicCreation?: boolean
  /** Nothing is ever sent twice here. */
  idempotent?: boolean
  transactionalId?: string
  /** The others are taken, and have no meaning here. */
  retry?: object
  metadataMaxAge?: number
  transactionTimeout?: number
  maxInFlightRequests?: number
}

/** Taken, and without a meaning: what is sent is stored, and read at once. */
interface Sending {
  acks?: number
  timeout?: number
  compression?: number
}

export interface ProducerRecord extends TopicMessages, Sending {}

export interface ProducerBatch extends Sending {
  topicMessages?: TopicMessages[]
}

export interface MemoryProducer {
  connect(): Promise<void>
  disconnect(): Promise<void>
  send(record: ProducerRecord): Promise<SendMetadata[]>
  sendBatch(batch: ProducerBatch): Promise<SendMetadata[]>
  isIdempotent(): boolean
  readonly events: typeof PRODUCER_EVENTS
  /** Returns a function that ends the listening. */
  on<Name extends keyof ProducerEventPayloads>(event: Name, listener: (event: InstrumentationEvent<ProducerEventPayloads[Name]>) => void): () => void
  /** Rejects with `NotSimulatedError`. */
  transaction(): Promise<never>
  /** Throws `NotSimulatedError`. */
  logger(): never
}

/** A message as a consumer is given it. */
export interface ConsumedMessage {
  key: Buffer | null
  value: Buffer | null
  timestamp: string
  attributes: number
  offset: string
  headers: MessageHeaders
  size?: never
}

export interface ConsumedBatch {
  topic: string
  partition: number
  highWatermark: string
  messages: ConsumedMessage[]
  isEmpty(): boolean
  firstOffset(): string | null
  lastOffset(): string
  offsetLag(): string
  offsetLagLow(): string
}

export interface PartitionOffset {
  partition: number
  offset: string
}

export interface OffsetsOfTopics {
  topics: { topic: string; partitions: PartitionOffset[] }[]
}

export interface EachMessage {
  topic: string
  partition: number
  message: ConsumedMessage
  heartbeat: () => Promise<void>
  /** Pauses the partition, and returns a function that resumes it. */
  pause: () => () => void
}

export interface EachBatch {
  batch: ConsumedBatch
  resolveOffset: (offset: string) => void
  heartbeat: () => Promise<void>
  pause: () => () => void
  commitOffsetsIfNecessary: (offsets?: OffsetsOfTopics) => Promise<void>
  uncommittedOffsets: () => OffsetsOfTopics
  isRunning: () => boolean
  isStale: () => boolean
}

export interface MemoryConsumerConfig {
  groupId: string
  /** Bytes of keys and values in one batch. Default 1,048,576; a batch always has one message. */
  maxBytesPerPartition?: number
  /** Default true. */
  allowAutoTopicCreation?: boolean
  /** `initialRetryTime` is 10 ms by default, where kafkajs has 300; `retries` 5, as there. */
  retry?: { initialRetryTime?: number; maxRetryTime?: number; multiplier?: number; retries?: number; restartOnFailure?: (error: Error) => Promise<boolean>; factor?: number }
  /** The others are taken, and have no meaning here. */
  partitionAssigners?: readonly unknown[]
  metadataMaxAge?: number
  sessionTimeout?: number
  rebalanceTimeout?: number
  heartbeatInterval?: number
  minBytes?: number
  maxBytes?: number
  maxWaitTimeInMs?: number
  maxInFlightRequests?: number
  readUncommitted?: boolean
  rackId?: string
}

export interface MemoryRunConfig {
  autoCommit?: boolean
  autoCommitInterval?: number | null
  autoCommitThreshold?: number | null
  eachBatchAutoResolve?: boolean
  partitionsConsumedConcurrently?: number
  eachBatch?: (payload: EachBatch) => Promise<void>
  eachMessage?: (payload: EachMessage) => Promise<void>
}

export interface MemoryConsumer {
  connect(): Promise<void>
  disconnect(): Promise<void>
  subscribe(subscription: { topic: string | RegExp; fromBeginning?: boolean } | { topics: (string | RegExp)[]; fromBeginning?: boolean }): Promise<void>
  /** Resolves when the consumer has its place in every partition. @throws NotSimulatedError where the group has a member. */
  run(config?: MemoryRunConfig): Promise<void>
  stop(): Promise<void>
  commitOffsets(places: { topic: string; partition: number; offset: string; metadata?: string | null }[]): Promise<void>
  seek(place: { topic: string; partition: number; offset: string }): void
  pause(topics: { topic: string; partitions?: number[] }[]): void
  paused(): { topic: string; partitions: number[] }[]
  resume(topics: { topic: string; partitions?: number[] }[]): void
  readonly events: typeof CONSUMER_EVENTS
  /** Returns a function that ends the listening. */
  on<Name extends keyof ConsumerEventPayloads>(event: Name, listener: (event: InstrumentationEvent<ConsumerEventPayloads[Name]>) => void): () => void
  /** Rejects with `NotSimulatedError`. */
  describeGroup(): Promise<never>
  /** Throws `NotSimulatedError`. */
  logger(): never
}
