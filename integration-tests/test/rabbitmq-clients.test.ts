import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { createSealer, opened, type RecipientDirectory } from '@sealbus/core'
import { channelHealth, sealAmqp } from '@sealbus/rabbitmq'
import { type ConfirmChannel, connect, type Message } from 'amqplib'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { describeWithRabbit, uniqueName } from '../support/brokers.ts'
import { createCanaries } from '../support/canaries.ts'
import { type ClientChannel, type Handler, RABBIT_CLIENTS } from '../support/rabbit-clients.ts'
import { createRabbitWorld, type RabbitWorld } from '../support/rabbit-world.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

const canary = Buffer.from('{"card":"the-plaintext-canary"}')

describeWithRabbit('RabbitMQ clients', ({ url }) => {
  describe.each(RABBIT_CLIENTS)('$name', (client) => {
    let world: RabbitWorld
    let received: (string | null)[]
    let messages: Message[]

    beforeEach(async () => {
      world = await createRabbitWorld(url)
      received = []
      messages = []
    })
    afterEach(async () => {
      vi.restoreAllMocks()
      await world.close()
    })

    const note: Handler = (message) => {
      received.push(message && message.content.toString())
      if (message) messages.push(message)
    }
    const texts = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index))
    const publishAll = (channel: ClientChannel, all: readonly string[]): Promise<unknown> => Promise.all(all.map((text) => channel.publish('', world.orders, Buffer.from(text))))

    test('pitfall 1: 0 to 300 random bytes arrive as they were, and go out as a Buffer', async () => {
      const { first } = await world.open(client)
      const all = Array.from({ length: 301 }, (_, size) => randomBytes(size))
      await Promise.all(all.map((content) => first.publish('', world.orders, content)))
      const contents: Buffer[] = []
      await first.consume(world.orders, (message) => message && contents.push(message.content))
      await expect.poll(() => contents.length).toBe(301)
      expect(contents.every((content, size) => Buffer.isBuffer(content) && content.equals(all[size] ?? canary))).toBe(true)
    })

    test('pitfall 5: objects of the caller are not written to, and can be published again', async () => {
      const { first } = await world.open(client)
      const options = Object.freeze({ contentType: 'text/plain', contentEncoding: 'identity', headers: Object.freeze({ tenant: 'a', list: Object.freeze(['x']) as never }) })
      const content = Buffer.from(canary)
      await first.publish(world.exchange, '', content, options)
      await first.publish(world.exchange, '', content, options)
      expect(content).toEqual(canary)
      const [one, two] = [await world.take(world.orders), await world.take(world.orders)]
      expect(one && two && one.content.equals(two.content)).toBe(false)
      for (const each of [one, two]) expect(each && world.opener.openSync(each.content, { channel: 'orders' }).plaintext).toEqual(canary)
    })

    test('pitfall 6: no plaintext is on the wire, by any path', async () => {
      const canaries = createCanaries()
      const control = createCanaries()
      const { hostname, port } = new URL(url)
      const proxy = await startTcpProxy({ upstream: { host: hostname, port: Number(port || 5672) }, scan: [...canaries.patterns, ...control.patterns] })
      try {
        const behind = new URL(url)
        behind.hostname = '127.0.0.1'
        behind.port = String(proxy.port)
        const connection = await client.open(behind.href, { ...world.options, park: world.parking })
        const channel = await connection.channel()
        const next = (): Buffer => Buffer.from(canaries.next())
        await channel.publish('', world.orders, next())
        await channel.publish(world.exchange, 'key', next(), { persistent: true, headers: { a: '1' } })
        // Detached methods are the wrapper's too.
        const [sendToQueue, publish] = ['sendToQueue', 'publish'].map((name) => Reflect.get(channel.own, name) as (...args: unknown[]) => unknown) as [ConfirmChannel['sendToQueue'], ConfirmChannel['publish']]
        sendToQueue(world.orders, next())
        publish(world.exchange, '', next())
        for (const returned of [(channel.own as ConfirmChannel).on('drain', () => {}), (channel.own as ConfirmChannel).removeAllListeners('drain')]) returned.sendToQueue(world.orders, next())
        await expect.poll(() => world.ready(world.orders)).toBe(6)
        const [message] = [await channel.get(world.orders)]
        if (message) channel.nack(message, false, true)
        await channel.consume(world.orders, (each) => each && (received.push(each.content.toString()), channel.ack(each)))
        await expect.poll(() => received.length).toBe(6)
        await channel.publish('', world.orders, next())
        await expect.poll(() => received.length).toBe(7)
        // The control: the proxy does find what passes.
        const bare = await connect(behind.href)
        const plain = await bare.createConfirmChannel()
        plain.sendToQueue(world.parked, Buffer.from(control.next()))
        await plain.waitForConfirms()
        await bare.close()
        await connection.close()
        expect(proxy.found.some(({ canary: found }) => control.patterns.includes(found))).toBe(true)
        expect(proxy.found.filter(({ canary: found }) => canaries.patterns.includes(found))).toEqual([])
      } finally {
        await proxy.close()
      }
    })

    test('pitfall 18: a cancellation by the broker is survived', async () => {
      const { first } = await world.open(client)
      await publishAll(first, ['one'])
      await first.consume(world.orders, note)
      await expect.poll(() => received).toEqual(['one'])
      await world.plain.deleteQueue(world.orders)
      if (!client.managed) await expect.poll(() => received).toEqual(['one', null])
      await world.queue(world.orders)
      // The manager keeps `null` to itself, and consumes again, on a new connection where it found no queue.
      if (client.managed) await expect.poll(async () => (await world.plain.checkQueue(world.orders)).consumerCount).toBe(1)
      await first.publish('', world.orders, Buffer.from('two'))
      if (client.managed) {
        await expect.poll(() => received).toEqual(['one', 'two'])
      } else {
        expect([received, await world.ready(world.orders)]).toEqual([['one', null], 1])
      }
      expect(world.stopped).toEqual([])
    })

    test('pitfall 19: with a prefetch of 50 and keys that come late, the order is that of the queue', async () => {
      const { first } = await world.open(client)
      const all = texts(200)
      await publishAll(first, all)
      world.source.answers = () => Math.random() * 6
      await first.consume(world.orders, (message) => message && (note(message), first.ack(message)), { prefetch: 50 })
      await expect.poll(() => received.length, { timeout: 20_000 }).toBe(200)
      expect(received).toEqual(all)
      await first.close()
      expect(await world.ready(world.orders)).toBe(0)
    })

    test('pitfall 20: 1,000 publishes keep their order, and each confirm is true', async () => {
      const { first } = await world.open(client)
      const all = texts(1_000)
      let confirmed = 0
      await Promise.all(all.map((text) => first.publish('', world.orders, Buffer.from(text)).then(() => confirmed++)))
      expect([confirmed, await world.ready(world.orders)]).toEqual([1_000, 1_000])
      await first.consume(world.orders, note)
      await expect.poll(() => received.length, { timeout: 20_000 }).toBe(1_000)
      expect(received).toEqual(all)
    })

    test('pitfall 23: an acknowledgement on another channel settles the message that it is for', async () => {
      const connection = await world.open(client)
      const other = await connection.channel()
      await publishAll(connection.first, ['one', 'two'])
      await connection.first.consume(world.orders, note)
      await expect.poll(() => received).toEqual(['one', 'two'])
      for (const message of messages) other.ack({ ...message })
      expect(await other.get(world.orders)).toBe(false)
      await connection.first.close()
      // Neither channel was closed by a 406, and both messages are gone.
      await expect.poll(() => world.ready(world.orders)).toBe(0)
      await other.publish('', world.orders, canary)
    })

    test('pitfall 25: headers arrive as the client itself sends them', async () => {
      const { first } = await world.open(client)
      // What amqplib makes of a Date or a Uint8Array is its own; sealing makes nothing else of it.
      const headers = { text: 'ä', number: 7, flag: true, bytes: Buffer.from([0, 255]), list: ['a', 1], none: undefined, when: { '!': 'timestamp', value: 1_700_000_000 }, date: new Date(0), raw: new Uint8Array([1, 2]) }
      await first.publish('', world.orders, canary, { headers })
      const sealed = await world.take(world.orders)
      world.plain.sendToQueue(world.orders, canary, { headers })
      await world.plain.waitForConfirms()
      const plain = await world.take(world.orders)
      expect(sealed && sealed.properties.headers).toEqual(plain && plain.properties.headers)
      expect(sealed && sealed.properties.headers).toMatchObject({ text: 'ä', number: 7, flag: true, bytes: Buffer.from([0, 255]), list: ['a', 1], when: { '!': 'timestamp', value: 1_700_000_000 } })
    })

    test('pitfall 27: content type and encoding go inside, and come back', async () => {
      const { first } = await world.open(client)
      const options = { contentType: 'text/plain', contentEncoding: 'utf-8', messageId: 'm-1', correlationId: 'c', type: 't', priority: 3, appId: 'app', timestamp: 1_700_000_000, headers: { tenant: 'a' } }
      await first.publish('', world.orders, canary, options)
      const onWire = await world.take(world.orders)
      expect(onWire && onWire.properties).toMatchObject({ ...options, contentType: 'application/jose+json', contentEncoding: undefined })
      await first.publish('', world.orders, canary, options)
      const got = await first.get(world.orders)
      expect(got && got.properties).toMatchObject(options)
      expect(got && opened(got)).toMatchObject({ id: 'm-1', channel: 'orders' })
      await first.publish('', world.orders, canary)
      const bare = await first.get(world.orders)
      expect(bare && [bare.properties.contentType, bare.properties.contentEncoding]).toEqual([undefined, undefined])
    })

    test('pitfall 31: a key that is away for a while holds, and loses nothing', async () => {
      const { first } = await world.open(client)
      await publishAll(first, ['one', 'two'])
      world.source.answers = 'down'
      await first.consume(world.orders, (message) => message && (note(message), first.ack(message)))
      await expect.poll(() => channelHealth(first.own)).toMatchObject({ healthy: true, consumers: [{ queue: world.orders, state: 'holding', code: 'ERR_SEALBUS_KEY_UNAVAILABLE' }] })
      expect(received).toEqual([])
      world.source.answers = 'now'
      await expect.poll(() => received).toEqual(['one', 'two'])
      expect(messages.map(({ fields }) => fields.redelivered)).toEqual([false, false])
      expect(channelHealth(first.own).consumers).toMatchObject([{ state: 'running' }])
      await first.close()
      expect([world.stopped, await world.ready(world.orders)]).toEqual([[], 0])
    })

    test('pitfall 33: what is too large for the broker is an error with both sizes, before it is sent', async () => {
      const { first } = await world.open(client, { maxMessageBytes: 2_000 })
      await expect(first.publish('', world.orders, Buffer.alloc(2_000))).rejects.toMatchObject({ code: 'ERR_SEALBUS_TOO_LARGE', message: expect.stringMatching(/has \d{4} bytes sealed \(2000 before\), and the broker takes 2000/) as string })
      await first.publish('', world.orders, Buffer.alloc(100))
      expect(await world.ready(world.orders)).toBe(1)
    })

    test('pitfall 34: no error tells what was in the message', async () => {
      const { first } = await world.open(client, { maxMessageBytes: 1_000 })
      const secret = 'canary-in-the-payload'
      const said: unknown[] = []
      for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, 'write').mockImplementation((chunk) => said.push(String(chunk)) > 0)
      for (const level of ['debug', 'log', 'info', 'warn', 'error'] as const) vi.spyOn(console, level).mockImplementation((...line) => void said.push(line))
      const failures = await Promise.all(
        [
          first.publish('', 'undeclared', Buffer.from(secret)),
          first.publish('', world.orders, Buffer.from(secret.repeat(100))),
          first.publish('', world.orders, world.sealer.sealSync(secret, { channel: 'orders' }).bytes),
          first.publish('', world.orders, Buffer.from(secret), { contentType: 7 as never }),
          first.publish('', world.orders, { [secret]: secret } as never),
        ].map((attempt) => attempt.then(() => expect.fail('it was sent'), (error: Error) => error)),
      )
      for (const error of failures) expect(`${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).not.toContain(secret)
      expect(await world.ready(world.orders)).toBe(0)
      // Nor one that is told of a message that did not open: a plain one has nothing else in it.
      world.plain.sendToQueue(world.orders, Buffer.from(`{"card":"${secret}"}`))
      await first.consume(world.orders, note)
      await expect.poll(() => world.stopped).toMatchObject([{ error: { code: 'ERR_SEALBUS_NOT_SEALED' } }])
      expect(inspect([world.stopped, channelHealth(first.own), said], { depth: Infinity, showHidden: true })).not.toContain(secret)
    })

    test('pitfall 35: wrapping twice throws', async () => {
      const { own } = await world.open(client)
      expect(() => sealAmqp(own as never, world.options)).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_ALREADY_WRAPPED' }))
    })

    test.each(['channel', 'connection'] as const)('pitfall 36: closing the %s ends what waits, and the messages stay', async (what) => {
      const connection = await world.open(client)
      await publishAll(connection.first, ['one', 'two'])
      world.source.answers = 'down'
      await connection.first.consume(world.orders, note)
      await expect.poll(() => channelHealth(connection.first.own).consumers[0]?.state).toBe('holding')
      await (what === 'channel' ? connection.first : connection).close()
      await expect.poll(() => world.ready(world.orders)).toBe(2)
      const { calls } = world.source
      world.source.answers = 'now'
      // Time for what must not happen.
      await sleep(150)
      expect([received, world.source.calls]).toEqual([[], calls])
      expect(await world.ready(world.orders)).toBe(2)
    })

    test('keys that are not in memory: an error now, or a wait', async () => {
      let arrive = (): void => {}
      const there = new Promise<void>((resolve) => (arrive = resolve))
      let known = false
      const directory: RecipientDirectory = {
        peek: (name) => (known ? world.source.directory.peek(name) : undefined),
        async resolve(name, options) {
          await there
          known = true
          return await world.source.directory.resolve(name, options)
        },
      }
      const { first } = await world.open(client, { sealer: createSealer({ directory, channels: world.channels }), keyWaitMs: 20_000 })
      const publishing = Promise.all(['one', 'two', 'three'].map((text) => first.publish('', world.orders, Buffer.from(text))))
      if (client.managed) {
        arrive()
        await publishing
        await first.consume(world.orders, note)
        await expect.poll(() => received).toEqual(['one', 'two', 'three'])
      } else {
        await expect(publishing).rejects.toMatchObject({ code: 'ERR_SEALBUS_KEYS_NOT_READY', transient: true })
        expect(await world.ready(world.orders)).toBe(0)
      }
    })

    test.each(['ackAll', 'nackAll'] as const)('%s settles all that was given, and nothing that was not', async (how) => {
      const { first } = await world.open(client)
      await publishAll(first, ['one', 'two', 'three', 'four'])
      await first.consume(world.orders, (message) => {
        note(message)
        if (received.length === 3) world.source.answers = 'down'
      })
      await expect.poll(() => channelHealth(first.own).consumers[0]?.state).toBe('holding')
      expect(received).toEqual(['one', 'two', 'three'])
      if (messages[0]) first.ack(messages[0], true)
      if (how === 'ackAll') first.ackAll()
      else first.nackAll(false)
      await first.close()
      // The client's own would have taken the one that is held with it.
      await expect.poll(() => world.ready(world.orders)).toBe(1)
      const left = await world.take(world.orders)
      world.source.answers = 'now'
      expect(left && world.opener.openSync(left.content, { channel: 'orders' }).plaintext.toString()).toBe('four')
    })

    test('a consumer of a higher priority is served first', async () => {
      const { first, ...connection } = await world.open(client)
      const second = await connection.channel()
      await first.consume(world.orders, () => received.push('the lower'), { priority: 1 })
      await second.consume(world.orders, () => received.push('the higher'), { priority: 10 })
      await publishAll(first, ['one', 'two', 'three'])
      await expect.poll(() => received).toEqual(['the higher', 'the higher', 'the higher'])
    })

    test('cancels a consumer, which can start anew', async () => {
      const { first } = await world.open(client)
      const tag = await first.consume(world.orders, note, { consumerTag: uniqueName('tag') })
      await first.cancel(tag)
      await publishAll(first, ['one'])
      expect(received).toEqual([])
      expect(await first.consume(world.orders, note, { consumerTag: tag, exclusive: true, priority: 5 })).toBe(tag)
      await expect.poll(() => received).toEqual(['one'])
      const other = await (await world.open(client)).channel()
      await expect(Promise.resolve(other.consume(world.orders, note))).rejects.toThrow(/ACCESS_REFUSED|403|closed/i)
    })
  })
})
