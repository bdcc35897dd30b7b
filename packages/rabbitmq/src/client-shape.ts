/**
 * The parts of the clients that the wrappers touch, by shape: they are optional peers and never imported. amqplib's
 * promise API, its callback API and amqp-connection-manager differ in how they answer, which is `unknown` here and
 * told apart in `promised.ts`. Methods are compared bivariantly, so that a client's own, narrower types fit.
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
  readonly redelivered?: boolean
}

export interface AmqpProperties {
  readonly contentType?: unknown
  readonly contentEncoding?: unknown
  readonly correlationId?: unknown
  readonly replyTo?: unknown
  readonly headers?: Readonly<Record<string, unknown>> | undefined
}

export interface PublishOptions {
  readonly contentType?: string
  readonly contentEncoding?: string
  readonly messageId?: string
  readonly correlationId?: string
  readonly replyTo?: string
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
  waitForConfirms(...given: never[]): unknown
}

export interface SettlingChannel {
  ack(message: AmqpMessage, allUpTo?: boolean): void
  ackAll(): void
  nack(message: AmqpMessage, allUpTo?: boolean, requeue?: boolean): void
  nackAll(requeue?: boolean): void
  reject(message: AmqpMessage, requeue?: boolean): void
}

export interface ConsumingChannel extends Emitter, SettlingChannel {
  consume(queue: string, onMessage: (message: AmqpMessage | null) => void, options?: ConsumeOptions): unknown
  cancel(consumerTag: string): unknown
  get(queue: string, options?: { noAck?: boolean }): unknown
  recover(...given: never[]): unknown
  close(...given: never[]): unknown
}

/** A connection of amqplib, of either API and recovering or not, or a connection manager. */
export interface AmqpConnection extends Emitter {
  createChannel(...given: never[]): unknown
  close(...given: never[]): unknown
}

/** amqp-connection-manager's channel: it makes an amqplib channel anew on each connection, and keeps what is unsent. */
export interface ManagedChannel extends Emitter {
  publish(exchange: string, routingKey: string, content: unknown, options?: PublishOptions & { readonly timeout?: number }): Promise<boolean>
  sendToQueue(queue: string, content: unknown, options?: PublishOptions): Promise<boolean>
  addSetup(...given: never[]): unknown
  close(): Promise<void>
}

/** Hands over each amqplib channel that a managed one makes: the present one, and those of later connections. */
export function onEachInner(channel: ManagedChannel, hand: (inner: Emitter) => void): void {
  const setups = channel as { addSetup(setup: (inner: Emitter) => Promise<void>): unknown }
  setups.addSetup(async (inner) => hand(inner))
}

export const isManagedChannel = (channel: object): channel is ManagedChannel => 'addSetup' in channel
