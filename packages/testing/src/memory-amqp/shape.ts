/** amqplib's own shape, as far as it is simulated: its types and these are assignable to each other, and nothing of it is imported. */

import type { EventEmitter } from 'node:events'

export interface AssertQueueOptions {
  exclusive?: boolean
  durable?: boolean
  autoDelete?: boolean
  arguments?: Readonly<Record<string, unknown>>
  messageTtl?: number
  expires?: number
  deadLetterExchange?: string
  deadLetterRoutingKey?: string
  maxLength?: number
  maxPriority?: number
  overflow?: string
  queueMode?: string
}

export interface AssertExchangeOptions {
  durable?: boolean
  internal?: boolean
  autoDelete?: boolean
  alternateExchange?: string
  arguments?: Readonly<Record<string, unknown>>
}

export interface PublishOptions {
  expiration?: string | number
  userId?: string
  CC?: string | string[]
  BCC?: string | string[]
  mandatory?: boolean
  persistent?: boolean
  deliveryMode?: boolean | number
  contentType?: string
  contentEncoding?: string
  headers?: Readonly<Record<string, unknown>>
  priority?: number
  correlationId?: string
  replyTo?: string
  messageId?: string
  timestamp?: number
  type?: string
  appId?: string
}

export interface ConsumeOptions {
  consumerTag?: string
  noLocal?: boolean
  noAck?: boolean
  exclusive?: boolean
  priority?: number
  arguments?: Readonly<Record<string, unknown>>
}

export interface MessageProperties {
  contentType: string | undefined
  contentEncoding: string | undefined
  headers: Record<string, unknown> | undefined
  deliveryMode: number | undefined
  priority: number | undefined
  correlationId: string | undefined
  replyTo: string | undefined
  expiration: string | undefined
  messageId: string | undefined
  timestamp: number | undefined
  type: string | undefined
  userId: string | undefined
  appId: string | undefined
  clusterId: string | undefined
}

export interface MessageFields {
  deliveryTag: number
  redelivered: boolean
  exchange: string
  routingKey: string
}

export interface AmqpMessage {
  content: Buffer
  fields: MessageFields
  properties: MessageProperties
}

export interface ConsumedAmqpMessage extends AmqpMessage {
  fields: MessageFields & { consumerTag: string }
}

export interface FetchedAmqpMessage extends AmqpMessage {
  fields: MessageFields & { messageCount: number }
}

/** A message that no queue took, as `return` listeners are given it. */
export interface ReturnedMessage {
  content: Buffer
  fields: { replyCode: number; replyText: string; exchange: string; routingKey: string }
  properties: MessageProperties
}

export interface QueueState {
  queue: string
  messageCount: number
  consumerCount: number
}

export interface ConnectionFacts {
  readonly serverProperties: { host: string; product: string; version: string; platform: string; information: string; [name: string]: string | undefined }
}

/** A callback of a confirming channel: with null once the broker has the message. As in amqplib, `ok` is in the types only. */
export type Confirmed = (error: unknown, ok: object) => void

/** Methods that return promises reject, and the others throw, what amqplib's would; `NotSimulatedError` for what is not simulated. */
export interface MemoryAmqpChannel extends EventEmitter {
  readonly connection: ConnectionFacts
  close(): Promise<void>
  assertQueue(queue?: string, options?: AssertQueueOptions): Promise<QueueState>
  checkQueue(queue: string): Promise<QueueState>
  deleteQueue(queue: string, options?: { ifUnused?: boolean; ifEmpty?: boolean }): Promise<{ messageCount: number }>
  purgeQueue(queue: string): Promise<{ messageCount: number }>
  bindQueue(queue: string, source: string, pattern: string, args?: Readonly<Record<string, unknown>>): Promise<object>
  unbindQueue(queue: string, source: string, pattern: string, args?: Readonly<Record<string, unknown>>): Promise<object>
  assertExchange(exchange: string, type: string, options?: AssertExchangeOptions): Promise<{ exchange: string }>
  checkExchange(exchange: string): Promise<object>
  deleteExchange(exchange: string, options?: { ifUnused?: boolean }): Promise<object>
  bindExchange(destination: string, source: string, pattern: string, args?: unknown): Promise<never>
  unbindExchange(destination: string, source: string, pattern: string, args?: unknown): Promise<never>
  publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions): boolean
  sendToQueue(queue: string, content: Buffer, options?: PublishOptions): boolean
  consume(queue: string, onMessage: (message: ConsumedAmqpMessage | null) => void, options?: ConsumeOptions): Promise<{ consumerTag: string }>
  cancel(consumerTag: string): Promise<{ consumerTag: string }>
  get(queue: string, options?: { noAck?: boolean }): Promise<FetchedAmqpMessage | false>
  ack(message: { fields: { deliveryTag: number } }, allUpTo?: boolean): void
  ackAll(): void
  nack(message: { fields: { deliveryTag: number } }, allUpTo?: boolean, requeue?: boolean): void
  nackAll(requeue?: boolean): void
  reject(message: { fields: { deliveryTag: number } }, requeue?: boolean): void
  prefetch(count: number, global?: boolean): Promise<object>
  recover(): Promise<object>
}

export interface MemoryAmqpConfirmChannel extends MemoryAmqpChannel {
  publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions, confirmed?: Confirmed): boolean
  sendToQueue(queue: string, content: Buffer, options?: PublishOptions, confirmed?: Confirmed): boolean
  waitForConfirms(): Promise<void>
}

/** A connection with the shape of amqplib's `ChannelModel`. While it is open, it keeps the process, as a socket would. */
export interface MemoryAmqpConnection extends EventEmitter {
  readonly connection: ConnectionFacts
  createChannel(options?: object): Promise<MemoryAmqpChannel>
  createConfirmChannel(options?: object): Promise<MemoryAmqpConfirmChannel>
  /** Everything that was not acknowledged goes back to its queue. */
  close(): Promise<void>
  /** Rejects with `NotSimulatedError`. */
  updateSecret(secret: Buffer, reason: string): Promise<never>
}
