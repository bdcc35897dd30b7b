import type { ChannelDeclarations } from '@sealbus/core'
import type { SealAmqpOptions, StoppedConsumer } from '@sealbus/rabbitmq'
import { type ChannelModel, type ConfirmChannel, connect, type GetMessage, type Options } from 'amqplib'
import { createWorld, type World } from '../../packages/rabbitmq/test/support/key-source.ts'
import { uniqueName } from './brokers.ts'
import type { ClientChannel, ClientConnection, RabbitClient } from './rabbit-clients.ts'

/** A service's keys and channels, queues of its own on a real RabbitMQ, and a bare client that looks on. */
export interface RabbitWorld extends World {
  /** The queue, and the channel's name is `orders`. */
  readonly orders: string
  /** A fanout exchange of the same channel, bound to the queue. */
  readonly exchange: string
  readonly parked: string
  readonly stopped: StoppedConsumer[]
  readonly options: SealAmqpOptions
  /** amqplib itself, not wrapped. */
  readonly plain: ConfirmChannel
  readonly parking: NonNullable<SealAmqpOptions['park']>
  open(client: RabbitClient, options?: Partial<SealAmqpOptions>): Promise<ClientConnection & { first: ClientChannel }>
  /** A queue that is deleted at the end. */
  queue(name: string, options?: Options.AssertQueue): Promise<string>
  /** What is on the wire, taken off. */
  take(queue: string): Promise<GetMessage | false>
  /** Messages that are ready: not delivered, or given back. */
  ready(queue: string): Promise<number>
  /** Publishes an envelope that nobody can open, past the wrapper. */
  garble(queue?: string): Promise<Buffer>
  connectPlain(): Promise<ChannelModel>
  close(): Promise<void>
}

/** Quick enough for a test, and the same for all. */
export const dispositions = { holdBackoffMs: { first: 10, longest: 50 } }

export interface RabbitWorldOptions {
  /** Options of the queue `orders`. */
  readonly queue?: (names: { parked: string }) => Options.AssertQueue
  /** More channels, and changes to `orders`, by the world's own names. */
  readonly channels?: (names: { orders: string; exchange: string }) => ChannelDeclarations
}

export async function createRabbitWorld(url: string, { queue: queueOptions = () => ({}), channels }: RabbitWorldOptions = {}): Promise<RabbitWorld> {
  const orders = uniqueName('orders')
  const exchange = uniqueName('shop')
  const parked = `${orders}.parked`
  const world = createWorld({ orders: { to: ['billing'], match: [orders, exchange] }, ...channels?.({ orders, exchange }) })
  const connections: ChannelModel[] = []
  const opened: ClientConnection[] = []
  const queues: string[] = []
  const stopped: StoppedConsumer[] = []

  const connectPlain = async (): Promise<ChannelModel> => {
    const connection = await connect(url)
    connection.on('error', () => {})
    connections.push(connection)
    return connection
  }
  const plain = await (await connectPlain()).createConfirmChannel()
  plain.on('error', () => {})

  // Durable: a test may outlive the connection that declared it.
  const queue = async (name: string, options: Options.AssertQueue = {}): Promise<string> => {
    queues.push(name)
    const { arguments: given } = options
    await plain.assertQueue(name, { durable: true, ...options, arguments: { ...(given?.['x-queue-type'] !== 'stream' && { 'x-expires': 300_000 }), ...given } })
    return name
  }
  await queue(orders, queueOptions({ parked }))
  await queue(parked)
  await plain.assertExchange(exchange, 'fanout', { durable: true, autoDelete: true })
  await plain.bindQueue(orders, exchange, '')

  const options: SealAmqpOptions = { sealer: world.sealer, opener: world.opener, dispositions, onStopped: (each) => stopped.push(each) }
  return {
    ...world,
    orders,
    exchange,
    parked,
    stopped,
    options,
    plain,
    parking: { channel: plain, exchange: '', routingKey: parked },
    connectPlain,
    queue,
    async open(client, given = {}) {
      const connection = await client.open(url, { ...options, ...given })
      opened.push(connection)
      return { ...connection, first: await connection.channel() }
    },
    take: (name) => plain.get(name, { noAck: true }),
    ready: async (name) => (await plain.checkQueue(name)).messageCount,
    async garble(name = orders) {
      const content = Buffer.from(`{"protected":"${uniqueName('x')}"}`)
      plain.sendToQueue(name, content, { contentType: 'application/jose+json', messageId: 'bad', headers: { tenant: 'a' }, persistent: true })
      await plain.waitForConfirms()
      return content
    },
    async close() {
      for (const connection of opened) await Promise.resolve(connection.close()).catch(() => {})
      const cleaner = await (await connectPlain()).createChannel()
      for (const name of queues) await cleaner.deleteQueue(name)
      for (const connection of connections) await connection.close().catch(() => {})
      world.sealer.close()
      world.opener.close()
    },
  }
}
