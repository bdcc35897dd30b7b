import { createHash } from 'node:crypto'
import { opened } from '@sealbus/core'
import { PARK_HEADERS, type ParkedFacts } from '@sealbus/core/adapter'
import { listParked, redrive } from '@sealbus/rabbitmq'
import type { ChannelModel, Message, Options } from 'amqplib'
import { type RedriveHarness, redriveName } from './redrive-harness.ts'

/** `queue`: what the parking queue is declared with. */
export async function openRabbitHarness(connection: ChannelModel, queue: Options.AssertQueue = {}): Promise<RedriveHarness> {
  const by = redriveName()
  const from = `${by}-parked`
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue(by)
  await channel.assertQueue(from, queue)

  const write = async (content: Buffer, options: Options.Publish): Promise<void> => {
    channel.sendToQueue(from, content, options)
    await channel.waitForConfirms()
  }

  return {
    features: { log: false, offsets: false },
    by,
    from,
    to: by,
    async park({ bytes, headers }, code, added = {}): Promise<void> {
      const id = createHash('sha256').update(by).update('\0').update(bytes).digest('base64url')
      const own = { [PARK_HEADERS.id]: id, [PARK_HEADERS.code]: code, [PARK_HEADERS.by]: by, [PARK_HEADERS.origin]: `orders/${by}`, [PARK_HEADERS.time]: new Date().toISOString() }
      await write(bytes, { deliveryMode: 2, headers: { ...headers, ...own, ...added } })
    },
    write: ({ bytes, headers }) => write(bytes, { headers }),
    redrive: (options) => redrive(connection, { from, by, ...options }),
    redriveTo(handler, options) {
      const onMessage = (message: Message, parked: ParkedFacts): unknown =>
        handler({ text: message.content.toString(), id: opened(message)?.id, headers: Object.keys(message.properties.headers ?? {}), parked })
      return redrive(connection, { from, by, ...options, to: onMessage })
    },
    list: (options = {}) => listParked(connection, { from, ...options }),
    async arrived() {
      const reader = await connection.createChannel()
      const messages: Message[] = []
      for (let message = await reader.get(by); message; message = await reader.get(by)) messages.push(message)
      // They return to the queue with their channel.
      await reader.close()
      return messages.map(({ content, properties: { headers } }) => ({ bytes: content, headers: headers ?? {} }))
    },
    async close(): Promise<void> {
      await Promise.all([channel.deleteQueue(by), channel.deleteQueue(from)])
      await channel.close()
    },
  }
}
