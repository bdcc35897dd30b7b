import { connect as connectManaged } from 'amqp-connection-manager'
import * as promises2 from 'amqplib'
import * as callbacks2 from 'amqplib/callback_api'
import * as promises010 from 'amqplib-0.10'
// @ts-expect-error: no types come with this path under its alias
import * as callbacks010 from 'amqplib-0.10/callback_api'
import { type ParkingExchange, sealAmqp, type SealAmqpOptions } from '@sealbus/rabbitmq'

export type Message = promises2.ConsumeMessage
export type Handler = (message: Message | null) => void

/** What a test needs of a sealed channel, the same for every client. */
export interface ClientChannel {
  /** Resolves once the broker has confirmed. Exchange '' is for queues. */
  publish(exchange: string, routingKey: string, content: Buffer, options?: promises2.Options.Publish): Promise<unknown>
  /** Resolves to the consumer tag. */
  consume(queue: string, handler: Handler, options?: promises2.Options.Consume & { prefetch?: number }): Promise<string>
  get(queue: string, options?: promises2.Options.Get): Promise<promises2.GetMessage | false>
  cancel(consumerTag: string): Promise<unknown>
  ack(message: promises2.Message, allUpTo?: boolean): void
  ackAll(): void
  nack(message: promises2.Message, allUpTo?: boolean, requeue?: boolean): void
  nackAll(requeue?: boolean): void
  close(): Promise<unknown>
  /** The client's own object, wrapped. */
  readonly own: object
}

export interface ClientConnection {
  channel(): Promise<ClientChannel>
  close(): Promise<unknown>
  readonly own: object
}

export interface RabbitClient {
  readonly name: string
  /** Whether publishing returns a promise, and may wait. */
  readonly managed: boolean
  open(url: string, options: SealAmqpOptions): Promise<ClientConnection>
  /** A confirm channel of the client itself, not wrapped, to park on. */
  confirming(url: string): Promise<{ readonly channel: ParkingExchange['channel']; close(): Promise<unknown> }>
}

type Done = (error: unknown, value?: unknown) => void
const asked = <Value>(call: (done: Done) => unknown): Promise<Value> => new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value as Value))))

function overPromises(name: string, connect: (url: string) => Promise<unknown>): RabbitClient {
  return {
    name,
    managed: false,
    async confirming(url) {
      const connection = (await connect(url)) as promises2.ChannelModel
      return { channel: await connection.createConfirmChannel(), close: () => connection.close() }
    },
    async open(url, options) {
      const raw = (await connect(url)) as promises2.ChannelModel
      raw.on('error', () => {})
      const connection = sealAmqp(raw, options)
      return {
        own: connection,
        close: () => connection.close(),
        async channel() {
          const channel = await connection.createConfirmChannel()
          channel.on('error', () => {})
          return {
            own: channel,
            publish: (exchange, key, content, given) => asked((done) => channel.publish(exchange, key, content, given, done)),
            async consume(queue, handler, { prefetch, ...given } = {}) {
              if (prefetch !== undefined) await channel.prefetch(prefetch)
              return (await channel.consume(queue, handler, given)).consumerTag
            },
            get: (queue, given) => channel.get(queue, given),
            cancel: (tag) => channel.cancel(tag),
            ack: (message, all) => channel.ack(message, all),
            ackAll: () => channel.ackAll(),
            nack: (message, all, requeue) => channel.nack(message, all, requeue),
            nackAll: (requeue) => channel.nackAll(requeue),
            close: () => channel.close(),
          }
        },
      }
    },
  }
}

function overCallbacks(name: string, connect: (url: string, done: Done) => unknown): RabbitClient {
  return {
    name,
    managed: false,
    async confirming(url) {
      const connection = await asked<callbacks2.Connection>((done) => connect(url, done))
      return { channel: await asked<callbacks2.ConfirmChannel>((done) => connection.createConfirmChannel(done)), close: () => asked((done) => connection.close(done)) }
    },
    async open(url, options) {
      const raw = await asked<callbacks2.Connection>((done) => connect(url, done))
      raw.on('error', () => {})
      const connection = sealAmqp(raw, options)
      return {
        own: connection,
        close: () => asked((done) => connection.close(done)),
        async channel() {
          const channel = await asked<callbacks2.ConfirmChannel>((done) => connection.createConfirmChannel(done))
          channel.on('error', () => {})
          return {
            own: channel,
            publish: (exchange, key, content, given) => asked((done) => channel.publish(exchange, key, content, given, done)),
            async consume(queue, handler, { prefetch, ...given } = {}) {
              if (prefetch !== undefined) await asked((done) => channel.prefetch(prefetch, false, done))
              const { consumerTag } = await asked<promises2.Replies.Consume>((done) => channel.consume(queue, handler, given, done))
              return consumerTag
            },
            get: (queue, given) => asked((done) => channel.get(queue, given, done)),
            cancel: (tag) => asked((done) => channel.cancel(tag, done)),
            ack: (message, all) => channel.ack(message, all),
            ackAll: () => channel.ackAll(),
            nack: (message, all, requeue) => channel.nack(message, all, requeue),
            nackAll: (requeue) => channel.nackAll(requeue),
            close: () => asked((done) => channel.close(done)),
          }
        },
      }
    },
  }
}

const managed: RabbitClient = {
  name: 'amqp-connection-manager',
  managed: true,
  async confirming(url) {
    const connection = connectManaged([url])
    return { channel: connection.createChannel(), close: () => connection.close() }
  },
  async open(url, options) {
    const connection = sealAmqp(connectManaged([url], { reconnectTimeInSeconds: 0.2 }), options)
    await connection.connect()
    return {
      own: connection,
      close: () => connection.close(),
      async channel() {
        const channel = connection.createChannel()
        channel.on('error', () => {})
        await channel.waitForConnect()
        return {
          own: channel,
          publish: (exchange, key, content, given) => channel.publish(exchange, key, content, given),
          async consume(queue, handler, given) {
            return (await channel.consume(queue, handler, given)).consumerTag
          },
          get: (queue, given) => channel.get(queue, given),
          cancel: (tag) => channel.cancel(tag),
          ack: (message, all) => channel.ack(message, all),
          ackAll: () => channel.ackAll(),
          nack: (message, all, requeue) => channel.nack(message, all, requeue),
          nackAll: (requeue) => channel.nackAll(requeue),
          close: () => channel.close(),
        }
      },
    }
  },
}

export const RABBIT_CLIENTS: readonly RabbitClient[] = [
  overPromises('amqplib 2', (url) => promises2.connect(url)),
  overPromises('amqplib 0.10', (url) => promises010.connect(url)),
  overCallbacks('amqplib 2 with callbacks', (url, done) => callbacks2.connect(url, done)),
  overCallbacks('amqplib 0.10 with callbacks', (url, done) => callbacks010.connect(url, done)),
  managed,
]
