import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { opened, SealbusError } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import { channelHealth, sealAmqp, type SealAmqpOptions, type StoppedConsumer } from '@sealbus/rabbitmq'
import { type Channel, type ChannelModel, type ConfirmChannel, connect, type ConsumeMessage, type GetMessage, type Options } from 'amqplib'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createWorld, type World } from '../../packages/rabbitmq/test/support/key-source.ts'
import { describeWithLocalRabbit, describeWithRabbit, uniqueName } from '../support/brokers.ts'
import { type RabbitNode, startRabbitNode } from '../support/rabbitmq-node.ts'

const dispositions = { holdBackoffMs: { first: 10, longest: 50 } }
const canary = 'the-plaintext-canary'

describeWithRabbit('a sealed amqplib connection', ({ url }) => {
  let raw: ChannelModel
  /** Declares, looks at what is on the wire, and parks. */
  let plain: ConfirmChannel
  let world: World
  let orders: string
  let exchange: string
  let stopped: StoppedConsumer[]
  let received: (string | null)[]
  let messages: ConsumeMessage[]
  const connections: ChannelModel[] = []

  const connectRaw = async (): Promise<ChannelModel> => {
    const connection = await connect(url)
    connections.push(connection)
    connection.on('error', () => {})
    return connection
  }

  beforeEach(async () => {
    raw = await connectRaw()
    plain = await raw.createConfirmChannel()
    plain.on('error', () => {})
    orders = uniqueName('orders')
    exchange = uniqueName('shop')
    world = createWorld({ orders: { to: ['billing'], match: [orders, exchange] }, theirs: { to: ['shipping'], match: [`${orders}.theirs`] } })
    stopped = []
    received = []
    messages = []
    // Durable: a test may outlive the connection that declared it.
    for (const queue of [orders, `${orders}.theirs`, `${orders}.parked`]) await plain.assertQueue(queue, { durable: true, expires: 120_000 })
    await plain.assertExchange(exchange, 'fanout', { durable: true, autoDelete: true })
    await plain.bindQueue(orders, exchange, '')
  })

  afterEach(async () => {
    const cleaner = await (await connectRaw()).createChannel()
    for (const queue of [orders, `${orders}.theirs`, `${orders}.parked`]) await cleaner.deleteQueue(queue)
    for (const connection of connections.splice(0)) await connection.close().catch(() => {})
  })

  const take = (message: ConsumeMessage | null): void => {
    received.push(message && message.content.toString())
    if (message) messages.push(message)
  }

  const parkingPlace = (): SealAmqpOptions['park'] & object => ({ channel: plain, exchange: '', routingKey: `${orders}.parked` })

  const sealedConnection = (options: SealAmqpOptions = {}): ChannelModel =>
    sealAmqp(raw, { sealer: world.sealer, opener: world.opener, onStopped: (each) => stopped.push(each), dispositions, ...options })

  const confirming = async (options?: SealAmqpOptions): Promise<ConfirmChannel> => {
    const channel = await sealedConnection(options).createConfirmChannel()
    channel.on('error', () => {})
    return channel
  }

  const send = async (channel: ConfirmChannel, texts: readonly string[], options?: Options.Publish): Promise<void> => {
    for (const text of texts) channel.sendToQueue(orders, Buffer.from(text), options)
    await channel.waitForConfirms()
  }

  const rawGet = async (queue: string): Promise<GetMessage | false> => await plain.get(queue, { noAck: true })
  /** Messages that are ready: not delivered, or given back. */
  const ready = async (queue: string): Promise<number> => (await plain.checkQueue(queue)).messageCount

  const garble = async (): Promise<Buffer> => {
    const content = Buffer.from(`{"protected":"${uniqueName('x')}"}`)
    plain.sendToQueue(orders, content, { contentType: 'application/jose+json', messageId: 'bad', headers: { tenant: 'a' } })
    await plain.waitForConfirms()
    return content
  }

  test('seals what is published, and restores it for the consumer', async () => {
    const connection = sealedConnection()
    const options = { contentType: 'text/plain', contentEncoding: 'identity', messageId: 'm-1', correlationId: 'c', priority: 2, headers: { tenant: 'a', raw: Buffer.from([0, 255]) } }
    const confirm = await connection.createConfirmChannel()
    confirm.publish(exchange, 'any', Buffer.from(canary), options)
    const confirmed = await new Promise((resolve) => confirm.sendToQueue(orders, Buffer.from(canary), options, (error) => resolve(error)))
    expect(confirmed).toBeNull()
    await confirm.waitForConfirms()
    const onWire = await rawGet(orders)
    if (!onWire) throw new Error('nothing was published')
    expect(onWire.content.includes(canary)).toBe(false)
    expect(onWire.properties).toMatchObject({ contentType: 'application/jose+json', contentEncoding: undefined, messageId: 'm-1', correlationId: 'c' })

    const channel = await connection.createChannel()
    expect(channel.sendToQueue(orders, Buffer.alloc(0))).toBe(true)
    await channel.consume(orders, take)
    await expect.poll(() => received).toEqual([canary, ''])
    expect(messages[0]?.properties).toMatchObject(options)
    expect(messages[1]?.properties.contentType).toBeUndefined()
    expect(opened(messages[0] ?? {})).toMatchObject({ id: 'm-1', channel: 'orders' })
    channel.ackAll()
    await channel.close()
    expect(await ready(orders)).toBe(0)
  })

  test('confirms as many messages as were published', async () => {
    const channel = await confirming()
    const texts = Array.from({ length: 500 }, (_, index) => String(index))
    let confirms = 0
    for (const text of texts) channel.publish(exchange, '', Buffer.from(text), {}, () => confirms++)
    await channel.waitForConfirms()
    expect(confirms).toBe(500)
    expect(await ready(orders)).toBe(500)
  })

  test('keeps the order with a prefetch of 50 and slow keys', async () => {
    const channel = await confirming()
    const texts = Array.from({ length: 300 }, (_, index) => String(index))
    await send(channel, texts)
    world.source.answers = () => Math.random() * 6
    await channel.prefetch(50)
    await channel.consume(orders, (message) => {
      take(message)
      if (message) channel.ack(message)
    })
    await expect.poll(() => received.length, { timeout: 20_000 }).toBe(300)
    expect(received).toEqual(texts)
    await channel.close()
    expect(await ready(orders)).toBe(0)
  })

  test('gets one message at a time, the next that opens', async () => {
    const channel = await confirming({ park: parkingPlace() })
    await garble()
    await send(channel, ['one', 'two'])
    const one = await channel.get(orders)
    expect(one && one.content.toString()).toBe('one')
    if (one) channel.ack(one)
    expect(await channel.get(orders, { noAck: true })).toMatchObject({ content: Buffer.from('two'), fields: { messageCount: 0 } })
    expect(await channel.get(orders)).toBe(false)
    await channel.close()
    expect([await ready(orders), await ready(`${orders}.parked`)]).toEqual([0, 1])
  })

  test('a get without its key leaves the message in the queue', async () => {
    const channel = await confirming()
    await send(channel, ['one'])
    world.source.answers = 'down'
    await expect(channel.get(orders)).rejects.toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    world.source.answers = 'now'
    await expect(channel.get(orders)).resolves.toMatchObject({ content: Buffer.from('one'), fields: { redelivered: true } })
  })

  test('parks byte for byte, and goes on', async () => {
    const channel = await confirming({ park: parkingPlace() })
    await channel.consume(orders, take)
    const content = await garble()
    await send(channel, ['next'])
    await expect.poll(() => received).toEqual(['next'])
    const copy = await rawGet(`${orders}.parked`)
    expect(copy).toMatchObject({
      content,
      properties: {
        contentType: 'application/jose+json',
        messageId: 'bad',
        deliveryMode: 2,
        headers: { tenant: 'a', [PARK_HEADERS.code]: 'ERR_SEALBUS_MALFORMED', [PARK_HEADERS.by]: orders, [PARK_HEADERS.origin]: `/${orders}` },
      },
    })
    channel.ackAll()
    await channel.close()
    expect(await ready(orders)).toBe(0)
  })

  test('waits while no queue takes the parked copy', async () => {
    const place = uniqueName('nowhere')
    await plain.assertExchange(place, 'fanout', { durable: true, autoDelete: true })
    const channel = await confirming({ park: { channel: plain, exchange: place } })
    await channel.consume(orders, take)
    const content = await garble()
    await send(channel, ['next'])
    await sleep(700)
    expect([received, channelHealth(channel).consumers[0]?.state]).toEqual([[], 'holding'])
    await plain.bindQueue(`${orders}.parked`, place, '')
    await expect.poll(() => received, { timeout: 5_000 }).toEqual(['next'])
    expect(await rawGet(`${orders}.parked`)).toMatchObject({ content })
    expect(await rawGet(`${orders}.parked`)).toBe(false)
  })

  test('skips what is for others, by choice', async () => {
    const channel = await confirming({ dispositions: { notARecipient: 'skip' } })
    world.source.lose()
    channel.sendToQueue(`${orders}.theirs`, Buffer.from('theirs'))
    await channel.waitForConfirms()
    await channel.consume(`${orders}.theirs`, take)
    await sleep(300)
    await channel.close()
    expect([received, stopped, await ready(`${orders}.theirs`)]).toEqual([[], [], 0])
  })

  test('stops loudly without a parking place, and loses nothing', async () => {
    const channel = await confirming()
    await send(channel, ['one'])
    await garble()
    await send(channel, ['three'])
    const { consumerTag } = await channel.consume(orders, take)
    await expect.poll(() => stopped).toHaveLength(1)
    expect(stopped[0]).toMatchObject({ queue: orders, error: { code: 'ERR_SEALBUS_MALFORMED' }, deliveryTag: 2 })
    expect(channelHealth(channel)).toMatchObject({ healthy: false, consumers: [{ consumerTag, state: 'stopped' }] })
    expect(received).toEqual(['one'])
    channel.ackAll()
    await expect.poll(async () => await plain.checkQueue(orders)).toMatchObject({ messageCount: 2, consumerCount: 0 })
    await sleep(200)
    expect(stopped).toHaveLength(1)
    // The channel lives on.
    await send(channel, ['four'])
    expect(await ready(orders)).toBe(3)
  })

  test('holds while the key source is down, and settles nothing meanwhile', async () => {
    const channel = await confirming()
    await channel.prefetch(3)
    await send(channel, ['before', 'one', 'two', 'three'])
    await channel.consume(orders, (message) => {
      take(message)
      if (received.length === 1) world.source.answers = 'down'
    })
    await expect.poll(() => received).toEqual(['before'])
    await expect.poll(() => channelHealth(channel).consumers[0]).toMatchObject({ state: 'holding', code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    // Held deliveries count against the prefetch, and `ackAll` frees only what was given.
    expect(await ready(orders)).toBe(1)
    channel.ackAll()
    await expect.poll(() => ready(orders)).toBe(0)
    await sleep(300)
    expect(received).toEqual(['before'])
    world.source.answers = 'now'
    await expect.poll(() => received).toEqual(['before', 'one', 'two', 'three'])
    expect(messages.map(({ fields }) => fields.redelivered)).toEqual([false, false, false, false])
  })

  test('acknowledges up to a message without those that are held', async () => {
    const other = `${orders}.theirs`
    const { sealer, opener, source } = createWorld({ orders: { to: ['billing'], match: [orders, other] } })
    const channel = await confirming({ sealer, opener })
    channel.sendToQueue(other, Buffer.from('held'))
    await send(channel, ['one', 'two'])
    source.answers = 'down'
    await channel.consume(other, take)
    await expect.poll(() => channelHealth(channel).consumers[0]?.state).toBe('holding')
    // From here on every other message opens, and the held one does not.
    const open = vi.spyOn(opener, 'open').mockRejectedValue(new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'down'))
    source.answers = 'now'
    await channel.consume(orders, take)
    await expect.poll(() => received).toEqual(['one', 'two'])
    expect(messages[1]?.fields.deliveryTag).toBe(3)
    if (messages[1]) channel.ack(messages[1], true)
    await expect.poll(() => open.mock.calls.length).toBeGreaterThan(2)
    await channel.close()
    await expect.poll(() => Promise.all([ready(orders), ready(other)])).toEqual([0, 1])
  })

  test('hands a cancellation on once, and the connection lives', async () => {
    const channel = await confirming()
    await send(channel, ['one'])
    world.source.answers = 300
    await channel.consume(orders, take)
    await sleep(50)
    await plain.deleteQueue(orders)
    await expect.poll(() => received).toEqual(['one', null])
    await sleep(100)
    expect(received).toEqual(['one', null])
    expect(await ready(`${orders}.theirs`)).toBe(0)
  })

  test.each(['channel', 'connection'] as const)('closes its %s during a hold, and the messages stay', async (what) => {
    const connection = sealedConnection()
    const channel = await connection.createConfirmChannel()
    await send(channel, ['one', 'two'])
    world.source.answers = 'down'
    await channel.consume(orders, take)
    await expect.poll(() => channelHealth(channel).consumers[0]?.state).toBe('holding')
    const start = performance.now()
    await (what === 'channel' ? channel : connection).close()
    expect(performance.now() - start).toBeLessThan(2_000)
    const { calls } = world.source
    await sleep(200)
    expect([world.source.calls, received]).toEqual([calls, []])
    const looking = await (await connectRaw()).createChannel()
    await expect.poll(async () => (await looking.checkQueue(orders)).messageCount).toBe(2)
  })

  test('a process ends within 5 s of SIGTERM during a key outage', async () => {
    const code = `
      import { connect } from 'amqplib'
      import { sealAmqp } from '@sealbus/rabbitmq'
      import { createWorld } from '${new URL('../../packages/rabbitmq/test/support/key-source.ts', import.meta.url).href}'
      const { sealer, opener, source } = createWorld({ orders: { to: ['billing'], match: ['${orders}'] } })
      const connection = sealAmqp(await connect('${url}'), { sealer, opener, onStopped() {} })
      const channel = await connection.createConfirmChannel()
      channel.sendToQueue('${orders}', Buffer.from('one'))
      source.answers = 'down'
      await channel.consume('${orders}', () => {})
      process.on('SIGTERM', () => connection.close())
      const look = setInterval(() => {
        if (source.calls < 4) return
        clearInterval(look)
        console.log('holding')
      }, 20)
    `
    const args = ['--conditions=@sealbus/source', '--input-type=module', '--eval', code]
    const service = spawn(process.execPath, args, { cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(service, 'exit')
    try {
      await once(service.stdout, 'data')
      const start = performance.now()
      service.kill('SIGTERM')
      expect(await exited).toEqual([0, null])
      expect(performance.now() - start).toBeLessThan(5_000)
    } finally {
      service.kill('SIGKILL')
    }
    await expect.poll(() => ready(orders)).toBe(1)
  })

  test('cancel gives back what the handler was not given', async () => {
    const channel = await confirming()
    await send(channel, ['one', 'two'])
    world.source.answers = 'down'
    const { consumerTag } = await channel.consume(orders, take)
    await expect.poll(() => channelHealth(channel).consumers[0]?.state).toBe('holding')
    await channel.cancel(consumerTag)
    await expect.poll(() => ready(orders)).toBe(2)
    world.source.answers = 'now'
    await channel.consume(orders, take)
    await expect.poll(() => received).toEqual(['one', 'two'])
  })

  test('gives a held message back before the broker’s time-out, and receives it again', async () => {
    const channel = await confirming({ consumerTimeoutMs: 1_000 })
    await send(channel, ['one', 'two'])
    world.source.answers = 'down'
    await channel.consume(orders, take)
    await sleep(1_200)
    world.source.answers = 'now'
    await expect.poll(() => received).toEqual(['one', 'two'])
    expect(messages.map(({ fields }) => fields.redelivered)).toEqual([true, true])
    channel.ackAll()
    await channel.close()
    expect(await ready(orders)).toBe(0)
  })

  test('uses one delivery of a quorum queue for a long hold', async () => {
    const quorum = uniqueName('quorum')
    await plain.assertQueue(quorum, { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 2, 'x-expires': 120_000 } })
    const { sealer, opener, source } = createWorld({ orders: { to: ['billing'], match: [quorum] } })
    const channel = await confirming({ sealer, opener, consumerTimeoutMs: 1_000 })
    channel.sendToQueue(quorum, Buffer.from('one'))
    await channel.waitForConfirms()
    source.answers = 'down'
    await channel.consume(quorum, take)
    // Without leaving the queue, this would be five deliveries.
    await sleep(4_200)
    source.answers = 'now'
    await expect.poll(() => received).toEqual(['one'])
    expect(messages[0]?.properties.headers?.['x-delivery-count']).toBe(2)
    channel.ackAll()
    await plain.deleteQueue(quorum)
  }, 20_000)

  test('noAck is for consumers that park', async () => {
    const refusing: Channel = await sealedConnection().createChannel()
    await expect(refusing.consume(orders, take, { noAck: true })).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    const other = sealAmqp(await connectRaw(), { sealer: world.sealer, opener: world.opener, dispositions, park: parkingPlace() })
    const parking = await other.createConfirmChannel()
    await parking.consume(orders, take, { noAck: true })
    await garble()
    await send(parking, ['next'])
    await expect.poll(() => received).toEqual(['next'])
    expect(await ready(`${orders}.parked`)).toBe(1)
  })

  test('a handler that throws closes its channel, slow key or not', async () => {
    for (const answers of ['now', 20] as const) {
      const channel = await sealedConnection().createConfirmChannel()
      raw = await connectRaw()
      const errors: unknown[] = []
      channel.on('error', (error) => errors.push(error))
      const closed = new Promise((resolve) => channel.on('close', () => resolve(undefined)))
      await send(channel, ['one'])
      world.source.answers = answers
      await channel.consume(orders, () => {
        throw new Error('handler')
      })
      await closed
      expect(errors).toEqual([expect.objectContaining({ message: 'handler', code: 541 })])
      await plain.purgeQueue(orders)
    }
  })
})

describeWithLocalRabbit('a sealed connection to a broker with a consumer time-out of 2 s', () => {
  let rabbit: RabbitNode

  beforeAll(async () => {
    rabbit = await startRabbitNode({ consumerTimeoutMs: 2_000 })
  })
  afterAll(async () => rabbit?.stop())

  const held = async (consumerTimeoutMs: number): Promise<{ channel: ConfirmChannel; world: World; received: string[]; errors: unknown[]; connection: ChannelModel }> => {
    const queue = uniqueName('orders')
    const world = createWorld({ orders: { to: ['billing'], match: [queue] } })
    const raw = await connect(rabbit.url)
    raw.on('error', () => {})
    const connection = sealAmqp(raw, { sealer: world.sealer, opener: world.opener, onStopped: () => {}, dispositions, consumerTimeoutMs })
    const channel = await connection.createConfirmChannel()
    const errors: unknown[] = []
    channel.on('error', (error) => errors.push(error))
    await channel.assertQueue(queue, { durable: true })
    channel.sendToQueue(queue, Buffer.from('one'))
    await channel.waitForConfirms()
    world.source.answers = 'down'
    const received: string[] = []
    await channel.consume(queue, (message) => received.push(String(message?.content)))
    return { channel, world, received, errors, connection }
  }

  test('outlives it, where the option says so', async () => {
    // The broker does not look all the time: the second one shows that this was long enough.
    const [lasting, failing] = await Promise.all([held(2_000), held(60_000)])
    await expect.poll(() => failing.errors, { timeout: 30_000 }).toEqual([expect.objectContaining({ code: 406 })])
    expect(lasting.errors).toEqual([])
    lasting.world.source.answers = 'now'
    await expect.poll(() => lasting.received).toEqual(['one'])
    await lasting.connection.close()
    await failing.connection.close()
  })

  test('ends its hold when the connection is lost', async () => {
    const { channel, world, received, connection } = await held(60_000)
    await expect.poll(() => channelHealth(channel).consumers[0]?.state).toBe('holding')
    const closed = once(connection, 'close')
    await rabbit.closeConnections()
    await closed
    const { calls } = world.source
    world.source.answers = 'now'
    await sleep(200)
    expect([world.source.calls, received]).toEqual([calls, []])
  })
})
