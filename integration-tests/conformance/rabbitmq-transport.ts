import { opened } from '@sealbus/core'
import { channelHealth, sealAmqp, sealChannel } from '@sealbus/rabbitmq'
import { createMemoryAmqp } from '@sealbus/testing'
import { type ChannelModel, connect, type Message } from 'amqplib'
import { uniqueName } from '../support/brokers.ts'
import type { Harness, Received, SubscribeOptions, Subscription, Transport } from './harness.ts'

export function rabbitmqTransport(url: string): Transport {
  return { name: 'amqplib on RabbitMQ', features: { records: false, transactions: false }, open: async () => openHarness(await connect(url)) }
}

/** The same harness on the broker in memory. */
export function memoryAmqpTransport(): Transport {
  return { name: 'AMQP in memory', features: { records: false, transactions: false }, open: async () => openHarness(await createMemoryAmqp().connect()) }
}

const queueOf = (exchange: string, group: string): string => `${exchange}.${group}`
const parkingOf = (exchange: string, group: string): string => `parked-${queueOf(exchange, group)}`

async function openHarness(connection: ChannelModel): Promise<Harness> {
  const raw = await connection.createConfirmChannel()
  return {
    async destination(...groups): Promise<string> {
      const exchange = uniqueName('orders')
      await raw.assertExchange(exchange, 'fanout', { durable: true })
      for (const group of groups) {
        for (const queue of [queueOf(exchange, group), parkingOf(exchange, group)]) await raw.assertQueue(queue, { durable: true })
        await raw.bindQueue(queueOf(exchange, group), exchange, '')
      }
      return exchange
    },
    async publish(sealer, destination, ...messages): Promise<void> {
      const channel = sealChannel(raw, { sealer })
      for (const { value, headers, contentType } of messages) {
        channel.publish(destination, '', value ?? Buffer.alloc(0), { ...(headers && { headers }), ...(contentType !== undefined && { contentType }) })
      }
      await channel.waitForConfirms()
    },
    async publishRaw(destination, value, headers): Promise<void> {
      raw.publish(destination, '', value, { ...(headers && { headers }) })
      await raw.waitForConfirms()
    },
    async publishInTransaction(): Promise<void> {
      throw new Error('no transactions here')
    },
    subscribe: (destination, options) => subscribe(connection, raw, destination, options),
    remaining: async (destination, group) => (await raw.checkQueue(queueOf(destination, group))).messageCount,
    async parkedCopies(destination, group): Promise<Received[]> {
      const copies: Received[] = []
      // Looked at and put back, so that a test may ask again.
      const channel = await connection.createChannel()
      for (let message = await channel.get(parkingOf(destination, group)); message; message = await channel.get(parkingOf(destination, group))) copies.push(toReceived(message))
      await channel.close()
      return copies
    },
    close: () => connection.close(),
  }
}

async function subscribe(connection: ChannelModel, raw: Awaited<ReturnType<ChannelModel['createConfirmChannel']>>, exchange: string, { opener, group, park, dispositions, onMessage }: SubscribeOptions): Promise<Subscription> {
  const received: Received[] = []
  const stopped: string[] = []
  const channel = await sealAmqp(connection, {
    opener,
    ...(park && { park: { channel: raw, exchange: '', routingKey: parkingOf(exchange, group) } }),
    onStopped: ({ error }) => void stopped.push(error.code),
    ...(dispositions && { dispositions }),
  }).createChannel()
  await channel.prefetch(100)
  await channel.consume(queueOf(exchange, group), (message) => {
    if (!message) return
    const each = toReceived(message)
    received.push(each)
    const handled = onMessage?.(each) ?? Promise.resolve()
    handled.then(
      () => channel.ack(message),
      () => channel.nack(message),
    )
  })
  let closed = false
  return {
    received,
    stopped,
    healthy: () => channelHealth(channel).healthy,
    async close(): Promise<void> {
      if (closed) return
      closed = true
      await channel.close()
    },
  }
}

function toReceived(message: Message): Received {
  const headers = Object.fromEntries(Object.entries(message.properties.headers ?? {}).map(([name, value]) => [name, String(value)]))
  return { value: message.content, key: undefined, headers, contentType: message.properties.contentType as string | undefined, opened: opened(message) }
}
