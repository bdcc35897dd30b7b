/**
 * The parts of amqplib that the wrappers touch, by shape: amqplib is an optional peer and never imported.
 * Methods are compared bivariantly, so that the client's own, narrower types fit.
 */

export interface AmqpMessage {
  readonly content: Buffer
  readonly fields: AmqpFields
  readonly properties: AmqpProperties
}

export interface AmqpFields {
  readonly deliveryTag: number
  readonly exchange: string
  readonly routingKey: string
  readonly consumerTag?: string
}

export interface AmqpProperties {
  readonly contentType?: unknown
  readonly contentEncoding?: unknown
  readonly headers?: Readonly<Record<string, unknown>> | undefined
}

export interface PublishOptions {
  readonly contentType?: string
  readonly contentEncoding?: string
  readonly messageId?: string
  readonly mandatory?: boolean
  readonly deliveryMode?: boolean | number
  readonly CC?: string | string[]
  readonly BCC?: string | string[]
  readonly headers?: Readonly<Record<string, unknown>>
}

export interface ConsumeOptions {
  readonly consumerTag?: string
  readonly noAck?: boolean
  readonly arguments?: Readonly<Record<string, unknown>>
}

export interface Emitter {
  on(event: string, listener: (...args: unknown[]) => void): unknown
  once(event: string, listener: (...args: unknown[]) => void): unknown
}

export interface PublishingChannel extends Emitter {
  publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions): boolean
  sendToQueue(queue: string, content: Buffer, options?: PublishOptions): boolean
}

/** The callback is called once the broker has taken the message, or refused it. */
export type Confirmed = (error: unknown) => void

export interface ConfirmingChannel extends Emitter {
  publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions, confirmed?: Confirmed): boolean
  waitForConfirms(): Promise<unknown>
}

export interface SettlingChannel {
  ack(message: AmqpMessage, allUpTo?: boolean): void
  ackAll(): void
  nack(message: AmqpMessage, allUpTo?: boolean, requeue?: boolean): void
  nackAll(requeue?: boolean): void
  reject(message: AmqpMessage, requeue?: boolean): void
}

export interface ConsumingChannel extends Emitter, SettlingChannel {
  consume(queue: string, onMessage: (message: AmqpMessage | null) => void, options?: ConsumeOptions): Promise<{ consumerTag: string }>
  cancel(consumerTag: string): Promise<unknown>
  get(queue: string, options?: { noAck?: boolean }): Promise<AmqpMessage | false>
  recover(): Promise<unknown>
  close(): Promise<void>
}

export interface AmqpConnection extends Emitter {
  createChannel(options?: never): Promise<PublishingChannel & ConsumingChannel>
  createConfirmChannel(options?: never): Promise<PublishingChannel & ConsumingChannel>
  close(): Promise<void>
}
