import { opened } from '@sealbus/core'
import { sealAmqp } from '@sealbus/rabbitmq'
import type { ChannelModel, ConfirmChannel, Message } from 'amqplib'
import { openAmqp, withoutPassword } from '../../amqp-connection.ts'
import { flipCiphertextBit } from './bit-flip.ts'
import { type DemoBroker, READERS, type StoredMessage } from './broker.ts'
import { createRunName } from './run-name.ts'

/** Deliveries under way at once, for each service. */
const PREFETCH = 200

/**
 * A real RabbitMQ, by amqplib: a fanout exchange, one queue for each service, one where each parks, and one that shows
 * what the broker stores.
 *
 * @throws BrokerUnreachableError
 */
export async function connectRabbit(url: string): Promise<DemoBroker> {
  const connection = await openAmqp(url)
  return createRabbitBroker(withoutPassword(url), connection, await connection.createConfirmChannel())
}

function createRabbitBroker(address: string, connection: ChannelModel, raw: ConfirmChannel): DemoBroker {
  const exchange = createRunName()
  const queueOf = (service: string): string => `${exchange}-${service}`
  const parkingOf = (service: string): string => `${exchange}-${service}-parked`
  const tap = `${exchange}-tap`
  const queues = [...READERS.map(queueOf), ...READERS.map(parkingOf), tap]
  let opening: Promise<void> = Promise.resolve()

  const open = async (): Promise<void> => {
    // Exclusive queues die with the connection, and the exchange with its last queue, even where this process is killed.
    await raw.assertExchange(exchange, 'fanout', { durable: false, autoDelete: true })
    for (const queue of queues) await raw.assertQueue(queue, { exclusive: true, durable: false })
    for (const queue of [...READERS.map(queueOf), tap]) await raw.bindQueue(queue, exchange, '')
  }

  /** Everything in a queue, looked at and given back with the channel. */
  const browse = async (queue: string): Promise<readonly StoredMessage[]> => {
    const channel = await connection.createChannel()
    const messages: StoredMessage[] = []
    try {
      for (let message = await channel.get(queue); message; message = await channel.get(queue)) messages.push(toStored(message))
    } finally {
      await channel.close()
    }
    return messages
  }

  return {
    title: `RabbitMQ at ${address}. All queues here begin with ${exchange}, and are removed at the end`,
    destinations: [exchange, ...READERS.map(queueOf)],
    open: () => (opening = open()),
    async sender(sealer) {
      const channel = await sealAmqp(connection, { sealer }).createConfirmChannel()
      return async (orders) => {
        for (const { reference, payload } of orders) channel.publish(exchange, '', Buffer.from(payload), { contentType: 'application/json', messageId: reference })
        await channel.waitForConfirms()
      }
    },
    async subscribe({ service, opener, notARecipient, onOrder }) {
      const parking = { channel: raw, exchange: '', routingKey: parkingOf(service) }
      const channel = await sealAmqp(connection, { opener, park: parking, dispositions: { notARecipient } }).createChannel()
      await channel.prefetch(PREFETCH)
      await channel.consume(queueOf(service), (message) => {
        if (!message) return
        onOrder(message.content, opened(message))
        channel.ack(message)
      })
    },
    stored: () => browse(tap),
    parked: (service) => browse(parkingOf(service)),
    async tamper() {
      const changed = await Promise.all([queueOf('billing'), queueOf('shipping'), tap].map((queue) => tamperWithOldest(raw, queue)))
      await raw.waitForConfirms()
      const [first] = changed
      if (!first) throw new Error('there is nothing to tamper with')
      return { ...first, replaced: true, how: 'The intruder takes it out of the queues, flips one bit, and puts the changed one back.' }
    },
    async close() {
      await opening.catch(() => {})
      // The queues first: a queue that goes takes its consumers along, so nothing waits.
      await Promise.allSettled([...queues.map((queue) => raw.deleteQueue(queue)), raw.deleteExchange(exchange)])
      await connection.close().catch(() => {})
    },
  }
}

async function tamperWithOldest(channel: ConfirmChannel, queue: string): Promise<{ reference: string; before: Buffer; after: Buffer }> {
  const message = await channel.get(queue, { noAck: true })
  if (!message) throw new Error('there is nothing to tamper with')
  const before = message.content
  const after = flipCiphertextBit(before)
  const { contentType, messageId, headers } = message.properties as { contentType?: string; messageId?: string; headers?: Record<string, unknown> }
  channel.sendToQueue(queue, after, { ...(contentType !== undefined && { contentType }), ...(messageId !== undefined && { messageId }), ...(headers && { headers }) })
  return { reference: toStored(message).reference, before, after }
}

function toStored({ content, properties }: Pick<Message, 'content' | 'properties'>): StoredMessage {
  const headers = Object.entries(properties.headers ?? {}).map(([name, value]): [string, string] => [name, String(value)])
  return { reference: typeof properties.messageId === 'string' ? properties.messageId : '', bytes: content, headers: Object.fromEntries(headers) }
}
