import { setTimeout as sleep } from 'node:timers/promises'
import { opened, SealbusError } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import { channelHealth } from '@sealbus/rabbitmq'
import { type AmqpConnectionManager, connect as connectManager } from 'amqp-connection-manager'
import type { ConfirmChannel, Message } from 'amqplib'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createWorld } from '../../packages/rabbitmq/test/support/key-source.ts'
import { describeWithRabbit } from '../support/brokers.ts'
import { type ClientChannel, type Handler, RABBIT_CLIENTS } from '../support/rabbit-clients.ts'
import { createRabbitWorld, type RabbitWorld, type RabbitWorldOptions } from '../support/rabbit-world.ts'

const [amqplib = expect.fail(), , , , manager = expect.fail()] = RABBIT_CLIENTS
const canary = Buffer.from('{"card":"the-plaintext-canary"}')

describeWithRabbit('RabbitMQ delivery', ({ url }) => {
  let world: RabbitWorld
  let received: (string | null)[]
  let messages: Message[]

  const start = async (options?: RabbitWorldOptions): Promise<void> => {
    world = await createRabbitWorld(url, options)
    received = []
    messages = []
  }
  afterEach(async () => world.close())

  const note: Handler = (message) => {
    received.push(message && message.content.toString())
    if (message) messages.push(message)
  }
  const noting = (channel: ClientChannel): Handler => (message) => {
    note(message)
    if (message) channel.ack(message)
  }
  /** Counts what the broker delivers, whatever becomes of it. */
  const deliveries = (channel: ClientChannel): (() => number) => {
    let count = 0
    // A managed channel tells of none: its amqplib channel does.
    const telling = (Reflect.get(channel.own, '_channel') ?? channel.own) as ConfirmChannel
    telling.on('delivery', () => count++)
    return () => count
  }
  const send = async (queue: string, content: Buffer, headers?: Record<string, unknown>): Promise<void> => {
    world.plain.sendToQueue(queue, content, { contentType: 'application/jose+json', persistent: true, ...(headers && { headers }) })
    await world.plain.waitForConfirms()
  }

  describe('a message that does not open', () => {
    const tamper = ({ sealer }: RabbitWorld): Buffer => Buffer.from(sealer.sealSync(canary, { channel: 'orders' }).bytes.toString().replace(/"tag":"(.)/, (_, first) => `"tag":"${first === 'A' ? 'B' : 'A'}`))
    const kinds: [string, string, (at: RabbitWorld) => Buffer][] = [
      ['malformed', 'ERR_SEALBUS_MALFORMED', () => Buffer.from('{"protected":"x"}')],
      ['tampered with', 'ERR_SEALBUS_DECRYPT_FAILED', tamper],
      ['of another channel', 'ERR_SEALBUS_CONTEXT_MISMATCH', ({ sealer }) => sealer.sealSync(canary, { channel: 'other' }).bytes],
      ['plain', 'ERR_SEALBUS_NOT_SEALED', () => canary],
      ['for others', 'ERR_SEALBUS_NOT_A_RECIPIENT', ({ channels }) => createWorld({ orders: { to: ['shipping'] } }).sealer.sealSync(canary, { channel: channels.get('orders').name }).bytes],
    ]
    const lost = (at: RabbitWorld, code: string): void => {
      // For others: the key is one that we do not have.
      if (code === 'ERR_SEALBUS_NOT_A_RECIPIENT') vi.spyOn(at.opener, 'open').mockRejectedValue(new SealbusError('ERR_SEALBUS_NOT_A_RECIPIENT', 'for others'))
    }

    describe.each(RABBIT_CLIENTS)('$name', (client) => {
      test.each(kinds)('pitfall 7: %s, is parked after one delivery, byte for byte, and the next one comes', async (_, code, make) => {
        await start({ channels: () => ({ other: { to: ['billing'] } }) })
        const { first } = await world.open(client, { park: world.parking })
        const count = deliveries(first)
        const content = make(world)
        if (code === 'ERR_SEALBUS_NOT_A_RECIPIENT') vi.spyOn(world.opener, 'openSync').mockImplementationOnce(() => raise(code))
        lost(world, code)
        await send(world.orders, content)
        await first.consume(world.orders, noting(first))
        await expect.poll(() => world.ready(world.parked)).toBe(1)
        vi.restoreAllMocks()
        await first.publish('', world.orders, Buffer.from('next'))
        await expect.poll(() => received).toEqual(['next'])
        expect(await world.take(world.parked)).toMatchObject({ content, properties: { headers: { [PARK_HEADERS.code]: code, [PARK_HEADERS.by]: world.orders } } })
        expect(count()).toBe(2)
        await first.close()
        expect([await world.ready(world.orders), world.stopped]).toEqual([0, []])
      })

      test.each(kinds.slice(0, 4))('pitfall 24: %s, goes to the queue’s own dead-letter exchange where it is said to have one', async (_, code, make) => {
        await start({ queue: ({ parked }) => ({ deadLetterExchange: '', deadLetterRoutingKey: parked }), channels: () => ({ other: { to: ['billing'] } }) })
        const onParked = vi.fn()
        const { first } = await world.open(client, { park: { deadLetter: true }, onParked })
        const count = deliveries(first)
        const content = make(world)
        await send(world.orders, content)
        await first.publish('', world.orders, Buffer.from('next'))
        await first.consume(world.orders, noting(first))
        await expect.poll(() => received).toEqual(['next'])
        await expect.poll(() => world.ready(world.parked)).toBe(1)
        const copy = await world.take(world.parked)
        expect(copy).toMatchObject({ content, properties: { contentType: 'application/jose+json', headers: { 'x-death': [expect.objectContaining({ reason: 'rejected', queue: world.orders })] } } })
        expect(onParked.mock.calls).toEqual([[expect.objectContaining({ queue: world.orders, code })]])
        expect(count()).toBe(2)
        await first.close()
        expect(await world.ready(world.orders)).toBe(0)
      })

      test('pitfall 24: without a parking place it stops its consumer, and stays in the queue', async () => {
        await start({ queue: ({ parked }) => ({ deadLetterExchange: '', deadLetterRoutingKey: parked }) })
        const { first } = await world.open(client)
        const count = deliveries(first)
        await world.garble()
        await first.consume(world.orders, note)
        await expect.poll(() => world.stopped).toMatchObject([{ queue: world.orders, error: { code: 'ERR_SEALBUS_MALFORMED' } }])
        await expect.poll(() => world.ready(world.orders)).toBe(1)
        expect([received, count(), await world.ready(world.parked)]).toEqual([[], 1, 0])
        expect(channelHealth(first.own).healthy).toBe(false)
      })
    })

    test('waits for a parking channel that is gone, and goes on with a managed one by itself', async () => {
      await start()
      const parkingManager = connectManager([url], { reconnectTimeInSeconds: 0.2 })
      const { first } = await world.open(amqplib, { park: { channel: parkingManager.createChannel(), exchange: '', routingKey: world.parked } })
      await world.garble()
      await first.consume(world.orders, noting(first))
      await first.publish('', world.orders, Buffer.from('next'))
      await expect.poll(() => received).toEqual(['next'])
      parkingManager.reconnect()
      await world.garble()
      await first.publish('', world.orders, Buffer.from('last'))
      await expect.poll(() => received).toEqual(['next', 'last'])
      expect(await world.ready(world.parked)).toBe(2)
      await parkingManager.close()
    })

    test('waits for a parking connection that has ended, is not healthy meanwhile, and stays in its queue', async () => {
      await start()
      const parkingConnection = await world.connectPlain()
      const onParked = vi.fn()
      const { first } = await world.open(amqplib, { park: { ...world.parking, channel: await parkingConnection.createConfirmChannel() }, onParked })
      const queue = world.orders
      await first.consume(queue, noting(first))
      await world.garble()
      await expect.poll(() => onParked.mock.calls).toHaveLength(1)
      expect(channelHealth(first.own)).toMatchObject({ healthy: true, consumers: [{ state: 'running' }] })
      await parkingConnection.close()
      await world.garble()
      await first.publish('', queue, Buffer.from('next'))
      await expect.poll(() => channelHealth(first.own)).toMatchObject({ healthy: false, consumers: [{ queue, state: 'holding', waitingFor: 'parking place', code: 'ERR_SEALBUS_MALFORMED' }] })
      await first.close()
      await expect.poll(() => world.ready(queue)).toBe(2)
      expect([received, world.stopped]).toEqual([[], []])
    })

    test.each(RABBIT_CLIENTS)('is parked by a channel of $name, also with a header that it reads and cannot write', async (by) => {
      await start()
      const parking = await by.confirming(url)
      const { first } = await world.open(amqplib, { park: { channel: parking.channel, exchange: '', routingKey: world.parked } })
      // Inherited, so that amqplib takes it for a field of the table and not for its own notation of a type.
      await send(world.orders, Buffer.from('{"protected":"x"}'), { tenant: 'a', forged: Object.create({ '!': 'x' }) as object })
      await first.publish('', world.orders, Buffer.from('next'))
      await first.consume(world.orders, noting(first))
      await expect.poll(() => received).toEqual(['next'])
      const copy = await world.take(world.parked)
      expect(copy && [copy.content.toString(), Object.keys(copy.properties.headers ?? {}).toSorted()]).toEqual(['{"protected":"x"}', [...Object.values(PARK_HEADERS), 'tenant'].toSorted()])
      await parking.close()
    })

    test.each(RABBIT_CLIENTS)('waits while no queue takes the copy that goes out by a channel of $name', async (by) => {
      await start()
      const parking = await by.confirming(url)
      const missing = `${world.parked}.missing`
      const { first } = await world.open(amqplib, { park: { channel: parking.channel, exchange: '', routingKey: missing } })
      const content = await world.garble()
      await first.consume(world.orders, noting(first))
      await expect.poll(() => channelHealth(first.own).consumers[0]).toMatchObject({ state: 'holding', waitingFor: 'parking place' })
      await world.queue(missing)
      await expect.poll(() => world.ready(missing)).toBe(1)
      expect(await world.take(missing)).toMatchObject({ content })
      await parking.close()
    })
  })

  describe('on its way', () => {
    const names = ({ orders, exchange }: { orders: string; exchange: string }) => ({
      orders: { to: ['billing'], match: [orders, exchange, `${orders}.retry`, `${orders}.dead`, `${orders}.copy`, `${exchange}.main`], bind: { headers: ['tenant'] } },
    })

    test('pitfall 16: dead-lettering, a TTL retry loop and copies change what surrounds a message, and it opens', async () => {
      await start({ channels: names })
      const { orders } = world
      // Rejected messages wait in the retry queue, and come back when their time is over.
      await world.queue(`${orders}.work`, { deadLetterExchange: '', deadLetterRoutingKey: `${orders}.retry` })
      await world.queue(`${orders}.retry`, { messageTtl: 50, deadLetterExchange: '', deadLetterRoutingKey: orders })
      await world.queue(`${orders}.copy`)
      await world.queue(`${orders}.dead`, { deadLetterExchange: '', deadLetterRoutingKey: `${orders}.retry` })
      const { first } = await world.open(amqplib)
      const headers = { tenant: 'a', other: 'b' }
      await first.publish('', `${orders}.dead`, canary, { headers, CC: [`${orders}.copy`], expiration: '60000' })
      const rejecting: Handler = (message) => message && first.nack(message, false, false)
      await first.consume(`${orders}.dead`, rejecting)
      await first.consume(orders, note)
      await expect.poll(() => received).toEqual([canary.toString()])
      const [message = expect.fail()] = messages
      expect(message.fields.routingKey).not.toBe(`${orders}.dead`)
      expect(message.properties.headers?.['x-death']).toHaveLength(2)
      expect(message.properties.expiration).toBeUndefined()
      const copy = await first.get(`${orders}.copy`)
      expect(copy && copy.content).toEqual(canary)
    })

    test('pitfall 16: an alternate exchange, and headers that instrumentation added and reordered', async () => {
      await start({ channels: names })
      const { orders, exchange } = world
      await world.plain.assertExchange(`${exchange}.main`, 'direct', { durable: true, autoDelete: false, alternateExchange: exchange })
      const { first } = await world.open(amqplib)
      await first.publish(`${exchange}.main`, 'nobody', canary, { headers: { tenant: 'a', other: 'b' } })
      const onWire = await world.take(orders)
      if (!onWire) throw new Error('nothing came by the alternate exchange')
      await send(orders, onWire.content, { traceparent: '00-1', other: 'b', tenant: 'a' })
      await first.consume(orders, noting(first))
      await expect.poll(() => received).toEqual([canary.toString()])
      // The control: what is bound is looked at.
      await send(orders, onWire.content, { tenant: 'b' })
      await expect.poll(() => world.stopped).toMatchObject([{ error: { code: 'ERR_SEALBUS_CONTEXT_MISMATCH' } }])
      await world.plain.deleteExchange(`${exchange}.main`)
    })

    test.each(RABBIT_CLIENTS)('pitfall 29: what is delivered again by $name opens again: after nack, after its channel ended, and with the same id', async (client) => {
      await start()
      const connection = await world.open(client)
      await connection.first.publish('', world.orders, canary, { messageId: 'once' })
      await connection.first.consume(world.orders, (message) => {
        note(message)
        if (message && received.length === 1) connection.first.nack(message, false, true)
      })
      await expect.poll(() => received.length).toBe(2)
      await connection.first.close()
      const second = await connection.channel()
      await second.consume(world.orders, noting(second))
      await expect.poll(() => received.length).toBe(3)
      expect(messages.map((message) => [opened(message)?.id, message.fields.redelivered])).toEqual([
        ['once', false],
        ['once', true],
        ['once', true],
      ])
    })

    test('pitfall 30: a message that was three days on its way opens', async () => {
      await start()
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3 * 86_400_000 })
      const { bytes } = world.sealer.sealSync(canary, { channel: 'orders' })
      vi.useRealTimers()
      await send(world.orders, bytes)
      const { first } = await world.open(amqplib)
      await first.consume(world.orders, noting(first))
      await expect.poll(() => received).toEqual([canary.toString()])
      expect(Date.now() - Number(opened(messages[0] ?? {})?.time)).toBeGreaterThan(2 * 86_400_000)
    })

    test.each(RABBIT_CLIENTS)('pitfall 32: plain messages pass to $name only where the channel takes them, and no envelope passes for one', async (client) => {
      await start({ channels: ({ orders, exchange }) => ({ orders: { to: ['billing'], match: [orders, exchange], accept: 'sealed-or-plain' } }) })
      const { first } = await world.open(client, { park: world.parking })
      await first.consume(world.orders, noting(first))
      world.plain.sendToQueue(world.orders, Buffer.from('plain'), { contentType: 'text/plain' })
      await world.plain.waitForConfirms()
      await first.publish('', world.orders, Buffer.from('sealed'))
      // The content type is stripped: still an envelope, and a broken one is no plain message either.
      world.plain.sendToQueue(world.orders, world.sealer.sealSync('stripped', { channel: 'orders' }).bytes)
      world.plain.sendToQueue(world.orders, Buffer.from('{"protected":"broken"}'))
      await expect.poll(() => received).toEqual(['plain', 'sealed', 'stripped'])
      await expect.poll(() => world.ready(world.parked)).toBe(1)
      expect(world.opener.counts()['orders']).toMatchObject({ sealed: 3, opened: 2, plain: 1 })
      expect(messages.map((message) => opened(message)?.channel)).toEqual([undefined, 'orders', 'orders'])
    })
  })

  describe('streams and quorum queues', () => {
    const stream = (): Promise<string> => world.queue(`${world.orders}.stream`, { arguments: { 'x-queue-type': 'stream' } })
    const ofStream = ({ orders, exchange }: { orders: string; exchange: string }) => ({ orders: { to: ['billing'], match: [orders, exchange, `${orders}.stream`] } })
    const reading = (offset: string | number) => ({ prefetch: 10, arguments: { 'x-stream-offset': offset } })

    test('a stream is read, and read again, in order', async () => {
      await start({ channels: ofStream })
      const { first, ...connection } = await world.open(amqplib)
      const queue = await stream()
      const all = Array.from({ length: 40 }, (_, index) => String(index))
      for (const text of all) await first.publish('', queue, Buffer.from(text))
      world.source.answers = () => Math.random() * 4
      await first.consume(queue, noting(first), reading('first'))
      await expect.poll(() => received).toEqual(all)
      const second = await connection.channel()
      received = []
      await second.consume(queue, noting(second), reading(30))
      await expect.poll(() => received).toEqual(all.slice(30))
    })

    test('a hold on a stream goes on at the message that it left, and gives none twice', async () => {
      await start({ channels: ofStream })
      const { first } = await world.open(amqplib, { consumerTimeoutMs: 1_000 })
      const queue = await stream()
      for (const text of ['one', 'two', 'three']) await first.publish('', queue, Buffer.from(text))
      await first.consume(
        queue,
        (message) => {
          noting(first)(message)
          if (received.length === 1) world.source.answers = 'down'
        },
        reading('first'),
      )
      await expect.poll(() => channelHealth(first.own).consumers[0]?.state).toBe('holding')
      // Longer than the broker lets a delivery wait.
      await sleep(1_500)
      world.source.answers = 'now'
      await expect.poll(() => received).toEqual(['one', 'two', 'three'])
      expect(messages.map(({ properties }) => properties.headers?.['x-stream-offset'] as unknown)).toEqual([0, 1, 2])
    })

    test('a message of a stream is parked, and one without a parking place stops the consumer', async () => {
      await start({ channels: ofStream })
      const queue = await stream()
      await world.garble(queue)
      const { first } = await world.open(amqplib, { park: world.parking })
      await first.publish('', queue, Buffer.from('next'))
      await first.consume(queue, noting(first), reading('first'))
      await expect.poll(() => received).toEqual(['next'])
      expect(await world.ready(world.parked)).toBe(1)
      const second = await world.open(amqplib)
      await second.first.consume(queue, note, reading('first'))
      await expect.poll(() => world.stopped).toMatchObject([{ queue, error: { code: 'ERR_SEALBUS_MALFORMED' } }])
      expect(received).toEqual(['next'])
      // RabbitMQ closes the connection of whoever gives a message of a stream back.
      await second.first.publish('', world.orders, canary)
    })

    test('the delivery limit of a quorum queue is for what the application gives back', async () => {
      await start({ queue: ({ parked }) => ({ arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 3, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': parked } }) })
      const { first } = await world.open(amqplib)
      await first.publish('', world.orders, canary)
      await first.consume(world.orders, (message) => {
        note(message)
        if (message) first.nack(message, false, true)
      })
      await expect.poll(() => world.ready(world.parked)).toBe(1)
      expect(received).toHaveLength(4)
      const dead = await world.take(world.parked)
      expect(dead && world.opener.openSync(dead.content, { channel: 'orders' }).plaintext).toEqual(canary)
      expect(dead && dead.properties.headers).toMatchObject({ 'x-death': [expect.objectContaining({ reason: 'delivery_limit' })] })
    })

    test('a `get` that fails again and again does not use up a delivery limit of two', async () => {
      await start({ queue: ({ parked }) => ({ arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 2, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': parked } }) })
      const { first } = await world.open(amqplib)
      const channel = first.own as ConfirmChannel
      await first.publish('', world.orders, canary)
      world.source.answers = 'down'
      // What was given back takes its time to be there again.
      for (let call = 0; call < 6; call++) await expect.poll(() => channel.get(world.orders).catch((error: unknown) => error)).toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
      world.source.answers = 'now'
      expect(await channel.get(world.orders)).toMatchObject({ content: canary })
      expect(await world.ready(world.parked)).toBe(0)
    })

    test('a consumer that stops, and starts again, does not use up a delivery limit of three', async () => {
      await start({ queue: ({ parked }) => ({ arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 3, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': parked } }) })
      await world.garble()
      for (let attempt = 1; attempt <= 2; attempt++) {
        const { first } = await world.open(amqplib)
        await first.consume(world.orders, note)
        await expect.poll(() => world.stopped.length).toBe(attempt)
        await expect.poll(() => world.ready(world.orders)).toBe(1)
      }
      expect(await world.ready(world.parked)).toBe(0)
    })
  })

  describe('publishing', () => {
    const confirms = (channel: ConfirmChannel, callbacks: boolean): Promise<void> =>
      callbacks ? new Promise((resolve) => (channel as unknown as { waitForConfirms(done: () => void): void }).waitForConfirms(resolve)) : channel.waitForConfirms()

    test.each(RABBIT_CLIENTS.slice(0, 4))('pitfall 20: waitForConfirms and close are those of $name, and true', async (client) => {
      await start()
      const { first } = await world.open(client)
      const channel = first.own as ConfirmChannel
      for (let count = 0; count < 300; count++) channel.sendToQueue(world.orders, Buffer.from(String(count)))
      await confirms(channel, client.name.includes('callbacks'))
      expect(await world.ready(world.orders)).toBe(300)
      for (let count = 0; count < 300; count++) channel.sendToQueue(world.orders, Buffer.from(String(count)))
      await first.close()
      // The broker has taken all of them before it closes; its queue counts them a little later.
      await expect.poll(() => world.ready(world.orders)).toBe(600)
    })

    test.each(RABBIT_CLIENTS.slice(0, 4))('pitfall 21: a full socket of $name says so, until it has drained', async (client) => {
      await start()
      const { first } = await world.open(client)
      const channel = first.own as ConfirmChannel
      const content = Buffer.alloc(64 * 1024)
      let sent = 1
      while (channel.sendToQueue(world.orders, content)) if (++sent > 5_000) expect.fail('it never said that it is full')
      await new Promise((resolve) => channel.once('drain', () => resolve(undefined)))
      expect(channel.sendToQueue(world.orders, Buffer.from('small'))).toBe(true)
      await confirms(channel, client.name.includes('callbacks'))
      expect(await world.ready(world.orders)).toBe(sent + 1)
    })

    test('pitfall 21: promises of the manager resolve once the broker has everything, however much that is', async () => {
      await start()
      const { first } = await world.open(manager)
      const content = Buffer.alloc(256 * 1024)
      await Promise.all(Array.from({ length: 40 }, () => first.publish('', world.orders, content)))
      expect(await world.ready(world.orders)).toBe(40)
    })

    test('pitfall 22: a mandatory message that no queue took is rejected where publishing is a promise', async () => {
      await start({ channels: ({ orders, exchange }) => ({ orders: { to: ['billing'], match: [orders, exchange, `${orders}.nowhere`] }, metrics: 'plaintext' }) })
      const { first, own } = await world.open(manager)
      const unroutable = { code: 'ERR_SEALBUS_UNROUTABLE', transient: false }
      const headers = { tenant: 'a' }
      const returned: Message[] = []
      const managed = (own as AmqpConnectionManager).createChannel({
        setup: async (channel: ConfirmChannel) => {
          channel.on('return', (message) => returned.push(message))
        },
      })
      await expect(managed.publish('', `${world.orders}.nowhere`, canary, { mandatory: true, headers })).rejects.toMatchObject(unroutable)
      expect(returned).toMatchObject([{ properties: { headers }, fields: { routingKey: `${world.orders}.nowhere` } }])
      const attempts = await Promise.allSettled([
        first.publish('', `${world.orders}.nowhere`, canary, { mandatory: true }),
        first.publish('', world.orders, canary, { mandatory: true }),
        first.publish('', `${world.orders}.nowhere`, canary),
        // Plain and of one content: one of them is returned for each that is.
        first.publish('', 'metrics', canary, { mandatory: true }),
        first.publish('', 'metrics', canary, { mandatory: true }),
      ])
      expect(attempts.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled', 'rejected', 'rejected'])
      expect(await world.ready(world.orders)).toBe(1)
    })

    // The manager's promises are rejected, as above.
    test.each(RABBIT_CLIENTS.slice(0, 4))('pitfall 22: $name returns a mandatory message, and confirms it', async (client) => {
      await start({ channels: ({ orders, exchange }) => ({ orders: { to: ['billing'], match: [orders, exchange, `${orders}.nowhere`] } }) })
      const { first } = await world.open(client)
      const returned: Message[] = []
      ;(first.own as ConfirmChannel).on('return', (message) => returned.push(message))
      await first.publish('', `${world.orders}.nowhere`, canary, { mandatory: true, headers: { tenant: 'a' } })
      expect(returned).toMatchObject([{ properties: { headers: { tenant: 'a' }, contentType: 'application/jose+json' } }])
    })

    test.each(RABBIT_CLIENTS)('pitfall 26: headers that $name could not encode are an error, and the connection lives', async (client) => {
      await start()
      const { first } = await world.open(client)
      await expect(first.publish('', world.orders, canary, { headers: { large: 'x'.repeat(70_000) } })).rejects.toMatchObject({ code: 'ERR_SEALBUS_TOO_LARGE' })
      await expect(first.publish('', world.orders, canary, { headers: { nested: { list: [Buffer.alloc(70_000)] } } })).rejects.toMatchObject({ code: 'ERR_SEALBUS_TOO_LARGE' })
      await first.publish('', world.orders, canary, { headers: { large: 'x'.repeat(60_000) } })
      const got = await first.get(world.orders)
      expect(got && got.properties.headers).toEqual({ large: 'x'.repeat(60_000) })
    })

    test('a managed channel that does not confirm seals what it publishes, and is no parking channel', async () => {
      await start()
      const { own } = await world.open(manager)
      const unconfirmed = (own as AmqpConnectionManager).createChannel({ confirm: false })
      await unconfirmed.waitForConnect()
      expect(await unconfirmed.publish(world.exchange, '', canary)).toBe(true)
      await expect.poll(() => world.ready(world.orders)).toBe(1)
      const onWire = await world.take(world.orders)
      expect(onWire && [onWire.content.includes('plaintext'), world.opener.openSync(onWire.content, { channel: 'orders' }).plaintext]).toEqual([false, canary])
      const bare = connectManager([url])
      const place = { channel: bare.createChannel({ confirm: false }), exchange: '', routingKey: world.parked }
      await place.channel.waitForConnect()
      await expect(world.open(amqplib, { park: place })).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION', message: '`park.channel` is a confirm channel' })
      await bare.close()
    })

    test.each(RABBIT_CLIENTS.slice(0, 4))('pitfall 28: an error of the channel is what $name emits, and ends what waits', async (client) => {
      await start()
      const { first } = await world.open(client)
      const errors: unknown[] = []
      const closed = new Promise((resolve) => (first.own as ConfirmChannel).on('error', (error) => errors.push(error)).on('close', () => resolve(undefined)))
      await first.publish('', world.orders, canary)
      world.source.answers = 'down'
      await first.consume(world.orders, note)
      await expect.poll(() => channelHealth(first.own).consumers[0]?.state).toBe('holding')
      first.ack({ content: canary, fields: { deliveryTag: 999 }, properties: {} } as Message)
      await closed
      expect(errors).toEqual([expect.objectContaining({ code: 406 })])
      const { calls } = world.source
      world.source.answers = 'now'
      await expect.poll(() => world.ready(world.orders)).toBe(1)
      // Time for what must not happen.
      await sleep(150)
      expect([world.source.calls, received]).toEqual([calls, []])
    })

    test('pitfall 28: after an error of a channel, the manager makes its connection anew, and what waited is delivered there', async () => {
      await start()
      const { first, own } = await world.open(manager)
      const connections: string[] = []
      ;(own as AmqpConnectionManager).on('disconnect', () => connections.push('lost')).on('connect', () => connections.push('made'))
      await first.publish('', world.orders, canary)
      world.source.answers = 'down'
      await first.consume(world.orders, note)
      await expect.poll(() => channelHealth(first.own).consumers[0]?.state).toBe('holding')
      first.ack({ content: canary, fields: { deliveryTag: 999 }, properties: {} } as Message)
      await expect.poll(() => connections).toEqual(['lost', 'made'])
      await expect.poll(() => channelHealth(first.own).consumers[0]?.state).toBe('holding')
      expect(received).toEqual([])
      world.source.answers = 'now'
      await expect.poll(() => received).toEqual([canary.toString()])
      expect(messages[0]?.fields.redelivered).toBe(true)
      await first.publish('', world.orders, Buffer.from('next'))
      await expect.poll(() => received).toEqual([canary.toString(), 'next'])
      // Nothing comes from the hold on the channel that is gone.
      await sleep(150)
      expect(received).toHaveLength(2)
    })
  })

  const raise = (code: string): never => {
    throw new SealbusError(code as never, 'as the test has it')
  }
})
