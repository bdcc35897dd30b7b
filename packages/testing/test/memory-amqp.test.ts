import { describe, expect, it } from 'vitest'
import { createMemoryAmqp, MEMORY_AMQP_FEATURES, NotSimulatedError } from '../src/index.ts'
import { describeAmqpBehaviours } from './support/amqp-behaviours.ts'

const shared = createMemoryAmqp()
describeAmqpBehaviours('in memory', () => shared.connect())

describe('an AMQP broker in memory', () => {
  it('shows what a queue holds, ready and unacked, and shares no bytes', async () => {
    const memory = createMemoryAmqp()
    const connection = await memory.connect()
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('q')
    const content = Buffer.from('as sent')
    for (const messageId of ['a', 'b']) channel.sendToQueue('q', content, { messageId, headers: { h: content } })
    content.fill(0)
    await channel.waitForConfirms()
    const got = await channel.get('q')
    if (got) got.content.fill(0)
    for (const message of memory.messages('q')) message.content.fill(0)
    expect(memory.messages('q').map(({ state, content, properties, exchange, routingKey, redelivered }) => [state, String(content), properties.messageId, String(properties.headers?.['h']), exchange, routingKey, redelivered])).toEqual([
      ['unacked', 'as sent', 'a', 'as sent', '', 'q', false],
      ['ready', 'as sent', 'b', 'as sent', '', 'q', false],
    ])
    expect(memory.messages('unknown')).toEqual([])
    await connection.close()
  })

  it('tampers with what is ready and with what arrives, until it is told to stop', async () => {
    const memory = createMemoryAmqp()
    const connection = await memory.connect()
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('q')
    const send = async (messageId: string): Promise<void> => {
      channel.sendToQueue('q', Buffer.from('true'), { messageId })
      await channel.waitForConfirms()
    }
    await send('taken')
    await channel.get('q')
    await send('a')
    await send('b')
    const stop = memory.tamper('q', ({ content, properties }) => (properties.messageId === 'b' ? undefined : { content: Buffer.concat([content, Buffer.from('!')]), properties: { ...properties, appId: 'mallory' } }))
    await send('c')
    stop()
    await send('d')
    expect(memory.messages('q').map(({ content, properties: { messageId, appId } }) => [messageId, String(content), appId])).toEqual([
      ['taken', 'true', undefined],
      ['a', 'true!', 'mallory'],
      ['b', 'true', undefined],
      ['c', 'true!', 'mallory'],
      ['d', 'true', undefined],
    ])
    await connection.close()
  })

  it('outlives its connections, but for what is exclusive', async () => {
    const memory = createMemoryAmqp()
    const first = await memory.connect('amqp://ignored')
    const channel = await first.createConfirmChannel()
    await channel.assertQueue('kept')
    await channel.assertQueue('own', { exclusive: true })
    channel.sendToQueue('kept', Buffer.from('x'))
    await channel.waitForConfirms()
    await first.close()
    const second = await memory.connect()
    const other = await second.createChannel()
    expect(await other.checkQueue('kept')).toEqual({ queue: 'kept', messageCount: 1, consumerCount: 0 })
    other.on('error', () => {})
    await expect(other.checkQueue('own')).rejects.toMatchObject({ code: 404 })
    await second.close()
  })

  it('what it does not simulate is refused by name, and every such feature is', async () => {
    const connection = await createMemoryAmqp().connect()
    const channel = await connection.createChannel()
    await channel.assertQueue('q', { arguments: { 'x-queue-type': 'classic' }, queueMode: 'lazy' })
    const queueWith = (options: object) => () => channel.assertQueue('other', options)
    const refused = await Promise.all(
      [
        () => channel.assertExchange('x', 'headers'),
        () => channel.bindExchange('a', 'b', ''),
        () => channel.unbindExchange('a', 'b', ''),
        () => channel.assertExchange('x', 'direct', { alternateExchange: 'y' }),
        () => channel.assertExchange('x', 'direct', { internal: true }),
        queueWith({ deadLetterExchange: 'dead' }),
        queueWith({ arguments: { 'x-dead-letter-routing-key': 'dead' } }),
        queueWith({ messageTtl: 1 }),
        queueWith({ expires: 1 }),
        () => channel.sendToQueue('q', Buffer.from('x'), { expiration: 5 }),
        queueWith({ maxLength: 1 }),
        queueWith({ maxPriority: 1 }),
        () => channel.consume('q', () => {}, { priority: 1 }),
        queueWith({ arguments: { 'x-queue-type': 'quorum' } }),
        queueWith({ arguments: { constructor: 1 } }),
        () => channel.bindQueue('q', 'amq.direct', '', { 'x-match': 'all' }),
        () => channel.consume('q', () => {}, { consumerTag: 'once' }).then(() => channel.consume('q', () => {}, { consumerTag: 'once' })),
        () => connection.updateSecret(Buffer.from('x'), 'why'),
      ].map(async (ask) => {
        try {
          await ask()
          return 'nothing thrown'
        } catch (error) {
          return error instanceof NotSimulatedError ? error.feature : String(error)
        }
      }),
    )
    const missing = Object.entries(MEMORY_AMQP_FEATURES).flatMap(([name, simulated]) => (simulated ? [] : [name]))
    expect([...new Set(refused)].sort()).toEqual(missing.sort())
    expect(await channel.checkQueue('q')).toMatchObject({ messageCount: 0 })
    expect(Object.isFrozen(MEMORY_AMQP_FEATURES)).toBe(true)
    await connection.close()
  })
})
