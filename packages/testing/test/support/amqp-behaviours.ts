import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage, GetMessage, Message } from 'amqplib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const WAIT = { timeout: 10_000 }

/**
 * What amqplib and RabbitMQ do, as their users see it. The broker in memory must do the same, so this runs on it and on a
 * real one: where they differ, the one in memory is wrong.
 */
export function describeAmqpBehaviours(name: string, connect: () => Promise<ChannelModel>): void {
  describe(`as amqplib: ${name}`, () => {
    let connection: ChannelModel
    let channel: ConfirmChannel
    const connections: ChannelModel[] = []

    const newConnection = async (): Promise<ChannelModel> => {
      const made = await connect()
      connections.push(made)
      return made
    }
    beforeEach(async () => {
      connection = await newConnection()
      channel = await connection.createConfirmChannel()
    })
    afterEach(async () => {
      await Promise.all(connections.splice(0).map((each) => each.close().catch(() => {})))
    })

    /** Exclusive, so that it goes with its connection. */
    const newQueue = async (on: Channel = channel): Promise<string> => (await on.assertQueue(`orders-${randomUUID()}`, { exclusive: true })).queue
    const publish = async (exchange: string, key: string, ...texts: string[]): Promise<void> => {
      for (const text of texts) channel.publish(exchange, key, Buffer.from(text))
      await channel.waitForConfirms()
    }
    const getAll = async (queue: string): Promise<string[]> => {
      const texts: string[] = []
      for (let message = await channel.get(queue, { noAck: true }); message; message = await channel.get(queue, { noAck: true })) texts.push(String(message.content))
      return texts
    }
    const consume = async (on: Channel, queue: string, options = {}): Promise<{ tag: string; seen: (ConsumeMessage | null)[]; texts: () => string[] }> => {
      const seen: (ConsumeMessage | null)[] = []
      const { consumerTag: tag } = await on.consume(queue, (message) => seen.push(message), options)
      return { tag, seen, texts: () => seen.map((each) => (each ? String(each.content) : 'cancelled')) }
    }
    const at = <Each>(list: readonly (Each | null)[], index: number): Each => {
      const each = list.at(index)
      if (!each) throw new Error(`no message ${index}`)
      return each
    }
    const gotten = (message: GetMessage | false): GetMessage => {
      if (!message) throw new Error('the queue is empty')
      return message
    }
    /** Unlike `once`, it does not reject at an error before. */
    const closeOf = (on: Channel): Promise<void> => new Promise((resolve) => on.once('close', () => resolve()))
    /** What a channel ends with. */
    const failureOf = async (on: Channel, act: () => void): Promise<{ code: unknown; message: string }> => {
      const failed = once(on, 'error')
      const closed = closeOf(on)
      act()
      const [error] = (await failed) as [Error & { code: unknown }]
      await closed
      return { code: error.code, message: error.message }
    }

    describe('routing', () => {
      it('by type of exchange', async () => {
        const queues = { one: await newQueue(), two: await newQueue() }
        const route = async (type: string, bindings: [string, string][], keys: string[]): Promise<string[][]> => {
          const exchange = `x-${randomUUID()}`
          await channel.assertExchange(exchange, type, { autoDelete: true })
          for (const [queue, pattern] of bindings) await channel.bindQueue(queue, exchange, pattern)
          for (const key of keys) await publish(exchange, key, key)
          const routed = [await getAll(queues.one), await getAll(queues.two)]
          await channel.deleteExchange(exchange)
          return routed
        }
        expect(await route('direct', [[queues.one, 'a'], [queues.one, 'b'], [queues.two, 'b']], ['a', 'b', 'c'])).toEqual([['a', 'b'], ['b']])
        expect(await route('fanout', [[queues.one, 'a'], [queues.two, ''], [queues.two, 'x']], ['a', 'b'])).toEqual([['a', 'b'], ['a', 'b']])
        const keys = ['a', 'a.b', 'a.b.c', 'b.a', '', 'a..c', 'x.a.b']
        expect(await route('topic', [[queues.one, 'a.*'], [queues.two, 'a.#']], keys)).toEqual([['a.b'], ['a', 'a.b', 'a.b.c', 'a..c']])
        expect(await route('topic', [[queues.one, '#.b'], [queues.two, '*.*.c']], keys)).toEqual([['a.b', 'x.a.b'], ['a.b.c', 'a..c']])
        expect(await route('topic', [[queues.one, '#'], [queues.two, 'a.#.c']], keys)).toEqual([keys, ['a.b.c', 'a..c']])
      })

      it('by queue name on the default exchange; copies by CC and BCC, each queue once', async () => {
        const [one, two, three] = [await newQueue(), await newQueue(), await newQueue()]
        channel.sendToQueue(one, Buffer.from('x'), { CC: [one, two], BCC: three })
        await channel.waitForConfirms()
        const messages = await Promise.all([one, two, three].map((queue) => channel.get(queue, { noAck: true })))
        expect(messages.map((each) => each && each.fields.routingKey)).toEqual([one, one, one])
        expect(gotten(at(messages, 0)).properties.headers).toEqual({ CC: [one, two] })
        expect(await getAll(one)).toEqual([])
      })

      it('a binding ends, with an exchange that is to go with the last one', async () => {
        const queue = await newQueue()
        const exchange = `x-${randomUUID()}`
        await channel.assertExchange(exchange, 'fanout', { autoDelete: true })
        await channel.bindQueue(queue, exchange, 'k')
        await channel.unbindQueue(queue, exchange, 'other')
        await channel.checkExchange(exchange)
        await channel.unbindQueue(queue, exchange, 'k')
        const { code } = await failureOf(channel, () => void channel.checkExchange(exchange).catch(() => {}))
        expect(code).toBe(404)
      })

      it('mandatory: what no queue takes comes back before it is confirmed', async () => {
        const events: unknown[] = []
        channel.on('return', ({ fields, properties, content }: Message) => events.push([fields, properties.messageId, String(content)]))
        channel.publish('amq.direct', 'nobody', Buffer.from('back'), { mandatory: true, messageId: 'm' }, (error) => events.push(['confirmed', error]))
        channel.publish('amq.direct', 'nobody', Buffer.from('gone'), {}, (error) => events.push(['confirmed', error]))
        await channel.waitForConfirms()
        expect(events).toEqual([[{ replyCode: 312, replyText: 'NO_ROUTE', exchange: 'amq.direct', routingKey: 'nobody' }, 'm', 'back'], ['confirmed', null], ['confirmed', null]])
      })
    })

    it('a message comes out as it went in', async () => {
      const queue = await newQueue()
      const content = Buffer.from([0, 255, 1])
      const headers = { text: 'é', number: 7, yes: true, bytes: Buffer.from('b'), list: ['a', 1], nested: { deep: ['x'] }, absent: undefined }
      channel.sendToQueue(queue, content, { contentType: 'a/b', contentEncoding: 'gzip', headers, persistent: true, priority: 3, correlationId: 'c', replyTo: 'r', messageId: 'm', timestamp: 1_700_000_000, type: 't', appId: 'app' })
      channel.sendToQueue(queue, Buffer.alloc(0))
      content.fill(9)
      await channel.waitForConfirms()
      const [first, second] = [gotten(await channel.get(queue)), gotten(await channel.get(queue, { noAck: true }))]
      expect(first.content).toEqual(Buffer.from([0, 255, 1]))
      expect(first.fields).toEqual({ deliveryTag: 1, redelivered: false, exchange: '', routingKey: queue, messageCount: 1 })
      expect(first.properties).toEqual({ contentType: 'a/b', contentEncoding: 'gzip', headers: { text: 'é', number: 7, yes: true, bytes: Buffer.from('b'), list: ['a', 1], nested: { deep: ['x'] } }, deliveryMode: 2, priority: 3, correlationId: 'c', replyTo: 'r', expiration: undefined, messageId: 'm', timestamp: 1_700_000_000, type: 't', userId: undefined, appId: 'app', clusterId: undefined })
      expect(second.content).toEqual(Buffer.alloc(0))
      expect(second.properties).toMatchObject({ contentType: undefined, deliveryMode: undefined, headers: {} })
      expect(Object.keys(second.properties)).toContain('correlationId')
      expect(await channel.get(queue)).toBe(false)
    })

    describe('consuming', () => {
      it('prefetch: so many, and one more for each that is settled; noAck has no bound', async () => {
        const queue = await newQueue()
        await publish('', queue, 'a', 'b', 'c', 'd')
        await channel.prefetch(2)
        const { seen, texts, tag } = await consume(channel, queue)
        await expect.poll(texts, WAIT).toEqual(['a', 'b'])
        expect((await channel.checkQueue(queue)).messageCount).toBe(2)
        expect(at(seen, 0).fields).toEqual({ consumerTag: tag, deliveryTag: 1, redelivered: false, exchange: '', routingKey: queue })
        channel.ack(at(seen, 1))
        await expect.poll(texts, WAIT).toEqual(['a', 'b', 'c'])
        await channel.cancel(tag)
        const rest = await consume(channel, queue, { noAck: true })
        await expect.poll(rest.texts, WAIT).toEqual(['d'])
      })

      it('a bound for the channel is shared by its consumers', async () => {
        const other = await connection.createChannel()
        const queues = [await newQueue(), await newQueue()]
        await other.prefetch(1, true)
        const seen: ConsumeMessage[] = []
        for (const queue of queues) await other.consume(queue, (message) => message && seen.push(message))
        for (const queue of queues) await publish('', queue, 'x')
        await expect.poll(() => seen.length, WAIT).toBe(1)
        const states = await Promise.all(queues.map((queue) => channel.checkQueue(queue)))
        expect(states.reduce((sum, { messageCount }) => sum + messageCount, 0)).toBe(1)
        other.ack(at(seen, 0))
        await expect.poll(() => seen.length, WAIT).toBe(2)
      })

      it('acknowledgements: one, all up to one, all; what is given back comes again at its place, marked', async () => {
        const queue = await newQueue()
        await publish('', queue, 'a', 'b', 'c', 'd', 'e', 'f')
        const other = await connection.createChannel()
        const first = await consume(other, queue)
        await expect.poll(() => first.seen.length, WAIT).toBe(6)
        await other.cancel(first.tag)
        other.nack(at(first.seen, 2), true)
        other.ack(at(first.seen, 3))
        other.reject(at(first.seen, 4), false)
        await other.checkQueue(queue)
        const back = await consume(other, queue)
        await expect.poll(back.texts, WAIT).toEqual(['a', 'b', 'c'])
        expect(back.seen.map((each) => each?.fields.redelivered)).toEqual([true, true, true])
        await other.cancel(back.tag)
        other.ack(at(back.seen, 1), true)
        await other.close()
        expect(await getAll(queue)).toEqual(['c'])
      })

      it('nackAll gives back, or drops; ackAll with nothing open is nothing', async () => {
        const queue = await newQueue()
        await publish('', queue, 'a', 'b')
        channel.ackAll()
        for (let count = 0; count < 2; count++) await channel.get(queue)
        channel.nackAll()
        const again = [gotten(await channel.get(queue)), gotten(await channel.get(queue))]
        expect(again.map(({ content, fields }) => [String(content), fields.redelivered])).toEqual([['a', true], ['b', true]])
        channel.nackAll(false)
        expect((await channel.checkQueue(queue)).messageCount).toBe(0)
      })

      it('recover gives everything back', async () => {
        const queue = await newQueue()
        await publish('', queue, 'a', 'b')
        for (let count = 0; count < 2; count++) await channel.get(queue)
        await channel.recover()
        await expect.poll(async () => (await channel.checkQueue(queue)).messageCount, WAIT).toBe(2)
        expect(await getAll(queue)).toEqual(['a', 'b'])
      })

      it('a channel or a connection that closes leaves what was not acknowledged', async () => {
        const { queue } = await channel.assertQueue(`orders-${randomUUID()}`)
        try {
          await publish('', queue, 'a', 'b')
          const other = await newConnection()
          const there = await other.createChannel()
          const { seen } = await consume(there, queue)
          await expect.poll(() => seen.length, WAIT).toBe(2)
          await other.close()
          await expect.poll(async () => (await channel.checkQueue(queue)).messageCount, WAIT).toBe(2)
          const here = await connection.createChannel()
          const again = await consume(here, queue)
          await expect.poll(() => again.seen.map((each) => each?.fields.redelivered), WAIT).toEqual([true, true])
          await here.close()
          expect(await getAll(queue)).toEqual(['a', 'b'])
        } finally {
          await channel.deleteQueue(queue)
        }
      })

      it('consumers of a queue take turns', async () => {
        const queue = await newQueue()
        const [one, two] = [await consume(channel, queue), await consume(channel, queue)]
        await publish('', queue, 'a', 'b', 'c', 'd')
        await expect.poll(() => one.seen.length + two.seen.length, WAIT).toBe(4)
        expect([one.texts(), two.texts()]).toEqual([['a', 'c'], ['b', 'd']])
      })

      it('cancel ends it; deleting the queue ends it with null', async () => {
        const queue = await newQueue()
        const cancelled = await consume(channel, queue, { consumerTag: 'mine' })
        expect(cancelled.tag).toBe('mine')
        expect(await channel.cancel('mine')).toEqual({ consumerTag: 'mine' })
        await publish('', queue, 'a')
        expect(await channel.cancel('unknown')).toEqual({ consumerTag: 'unknown' })
        expect((await channel.checkQueue(queue)).messageCount).toBe(1)
        expect(cancelled.seen).toEqual([])
        const deleted = await consume(channel, queue, { noAck: true })
        await expect.poll(deleted.texts, WAIT).toEqual(['a'])
        expect(await channel.deleteQueue(queue)).toEqual({ messageCount: 0 })
        await expect.poll(deleted.texts, WAIT).toEqual(['a', 'cancelled'])
      })

      it('a handler that throws closes its channel, or is told of; the message is still there', async () => {
        const queue = await newQueue()
        await publish('', queue, 'a')
        const other = await connection.createChannel()
        const failure = await failureOf(other, () => {
          void other.consume(queue, () => {
            throw new Error('a mistake')
          })
        })
        expect(failure).toEqual({ code: 541, message: 'a mistake' })
        const listening = await connection.createChannel()
        const told = once(listening, 'handler-error')
        await listening.consume(queue, () => {
          throw new Error('another')
        })
        expect(await told).toEqual([expect.objectContaining({ message: 'another' }), 'delivery'])
        await listening.close()
        expect(await getAll(queue)).toEqual(['a'])
      })
    })

    describe('queues', () => {
      it('are counted, purged and deleted', async () => {
        const { queue } = await channel.assertQueue('', { exclusive: true })
        expect(queue).toMatch(/^amq\.gen-/)
        await publish('', queue, 'a', 'b', 'c')
        await channel.get(queue)
        expect(await channel.checkQueue(queue)).toEqual({ queue, messageCount: 2, consumerCount: 0 })
        const other = await newQueue()
        await consume(channel, other, { noAck: true, consumerTag: 'only' })
        expect(await channel.assertQueue(other, { exclusive: true })).toEqual({ queue: other, messageCount: 0, consumerCount: 1 })
        await channel.cancel('only')
        await publish('', other, 'a', 'b')
        expect(await channel.purgeQueue(other)).toEqual({ messageCount: 2 })
        await publish('', other, 'a')
        expect(await channel.deleteQueue(other)).toEqual({ messageCount: 1 })
        expect(await channel.deleteQueue(other)).toEqual({ messageCount: 0 })
      })

      it('that delete themselves go with their last consumer', async () => {
        const queue = `orders-${randomUUID()}`
        await channel.assertQueue(queue, { autoDelete: true })
        const { tag } = await consume(channel, queue)
        await channel.cancel(tag)
        expect(await failureOf(channel, () => void channel.checkQueue(queue).catch(() => {}))).toMatchObject({ code: 404 })
      })
    })

    describe('errors', () => {
      const notFound = (kind: string, missing: string): string => `404 (NOT-FOUND) with message "NOT_FOUND - no ${kind} '${missing}' in vhost '/'"`

      it('a call that fails rejects, and closes the channel', async () => {
        channel.on('error', () => {})
        const closed = closeOf(channel)
        await expect(channel.checkQueue('missing')).rejects.toMatchObject({ code: 404, message: `Operation failed: QueueDeclare; ${notFound('queue', 'missing')}` })
        await closed
        await expect(channel.checkQueue('missing')).rejects.toMatchObject({ name: 'IllegalOperationError', message: 'Channel closed' })
        expect(() => channel.publish('', 'q', Buffer.from('x'))).toThrow(expect.objectContaining({ name: 'IllegalOperationError', message: 'Channel closed' }) as Error)
      })

      it('publishing to an exchange that is not there closes the channel, and what was not confirmed is told', async () => {
        const confirmed = vi.fn<(error: unknown) => void>()
        const failure = await failureOf(channel, () => void channel.publish('missing', 'k', Buffer.from('x'), {}, confirmed))
        expect(failure).toEqual({ code: 404, message: `Channel closed by server: ${notFound('exchange', 'missing')}` })
        expect(confirmed).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ message: 'channel closed' }))
        await expect(channel.waitForConfirms()).rejects.toThrow('channel closed')
      })

      it('acknowledging twice closes the channel', async () => {
        const queue = await newQueue()
        await publish('', queue, 'a')
        const message = gotten(await channel.get(queue))
        const failure = await failureOf(channel, () => {
          channel.ack(message)
          channel.ack(message)
        })
        expect(failure).toEqual({ code: 406, message: 'Channel closed by server: 406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - unknown delivery tag 1"' })
      })

      it.each<[string, number, (on: Channel, queue: string) => Promise<unknown>]>([
        ['a queue declared otherwise', 406, (on, queue) => on.assertQueue(queue, { exclusive: true, autoDelete: true })],
        ['an exchange declared otherwise', 406, (on) => on.assertExchange('amq.direct', 'fanout')],
        ['a reserved name', 403, (on) => on.assertQueue('amq.mine')],
        ['a name of the broker, declared again', 403, async (on) => on.assertQueue((await on.assertQueue('', { exclusive: true })).queue, { exclusive: true })],
        ['a reserved name of an exchange', 403, (on) => on.assertExchange('amq.mine', 'direct')],
        ['deleting an exchange of the broker', 403, (on) => on.deleteExchange('amq.direct')],
        ['deleting an exchange that is used', 406, async (on, queue) => {
          const { exchange } = await on.assertExchange(`x-${randomUUID()}`, 'direct', { autoDelete: true })
          await on.bindQueue(queue, exchange, '')
          return on.deleteExchange(exchange, { ifUnused: true })
        }],
        ['binding to the default exchange', 403, (on, queue) => on.bindQueue(queue, '', '')],
        ['purging a queue that is not there', 404, (on) => on.purgeQueue('missing')],
        ['binding to an exchange that is not there', 404, (on, queue) => on.bindQueue(queue, 'missing', '')],
        ['consuming from a queue that is not there', 404, (on) => on.consume('missing', () => {})],
        ['getting from a queue that is not there', 404, (on) => on.get('missing')],
        ['deleting a queue that is not empty', 406, (on, queue) => on.deleteQueue(queue, { ifEmpty: true })],
        ['deleting a queue that is used', 406, async (on, queue) => {
          await on.consume(queue, () => {})
          return on.deleteQueue(queue, { ifUnused: true })
        }],
        ['a second exclusive consumer', 403, async (on, queue) => {
          await on.consume(queue, () => {}, { exclusive: true })
          return on.consume(queue, () => {})
        }],
      ])('%s: %i', async (_, code, act) => {
        const queue = await newQueue()
        await publish('', queue, 'a')
        const other = await connection.createChannel()
        other.on('error', () => {})
        const closed = closeOf(other)
        await expect(act(other, queue)).rejects.toMatchObject({ code })
        await closed
      })

      it("another connection's exclusive queue is locked", async () => {
        const queue = await newQueue()
        const other = await (await newConnection()).createChannel()
        other.on('error', () => {})
        await expect(other.checkQueue(queue)).rejects.toMatchObject({ code: 405 })
      })

      it('one channel closes, and the others of the connection go on', async () => {
        const other = await connection.createChannel()
        await failureOf(other, () => void other.publish('missing', '', Buffer.from('x')))
        expect(await channel.checkExchange('amq.topic')).toEqual({})
      })

      it('arguments of the wrong kind are refused before anything is sent', async () => {
        expect(() => channel.publish('', 'q', 'text' as never)).toThrow(TypeError)
        expect(() => channel.publish('', 7 as never, Buffer.from('x'))).toThrow(TypeError)
        expect(() => channel.publish('', 'x'.repeat(256), Buffer.from('x'))).toThrow(TypeError)
        const queue = await newQueue()
        await channel.bindQueue(queue, 'amq.direct', '')
        channel.publish('amq.direct', undefined as never, Buffer.from('no key'))
        await channel.waitForConfirms()
        expect(await getAll(queue)).toEqual(['no key'])
        expect(await channel.checkExchange('amq.direct')).toEqual({})
      })
    })

    it('calls are sent one at a time: what needs no answer overtakes those that wait', async () => {
      const [first, second] = [`orders-${randomUUID()}`, `orders-${randomUUID()}`]
      const returned: string[] = []
      channel.on('return', ({ fields }: Message) => returned.push(fields.routingKey))
      const asked = [channel.assertQueue(first, { exclusive: true }), channel.assertQueue(second, { exclusive: true })]
      for (const queue of [first, second]) channel.sendToQueue(queue, Buffer.from('x'), { mandatory: true })
      await Promise.all([...asked, channel.waitForConfirms()])
      expect(returned).toEqual([second])
    })

    it('close: what was sent before is done, what comes after is refused', async () => {
      const queue = await newQueue()
      const other = await connection.createChannel()
      other.sendToQueue(queue, Buffer.from('before'))
      const events: string[] = []
      other.on('close', () => events.push('close'))
      const closing = other.close()
      expect(() => other.ackAll()).toThrow('Channel clos')
      await closing
      await expect.poll(() => events, WAIT).toEqual(['close'])
      await expect(other.close()).rejects.toMatchObject({ name: 'IllegalOperationError' })
      expect(await getAll(queue)).toEqual(['before'])
      connection.on('close', () => events.push('connection'))
      channel.on('close', () => events.push('channel'))
      await connection.close()
      await expect.poll(() => events.sort(), WAIT).toEqual(['channel', 'close', 'connection'])
      await expect(connection.createChannel()).rejects.toMatchObject({ name: 'IllegalOperationError' })
      expect(() => channel.sendToQueue(queue, Buffer.from('x'))).toThrow('Channel closed')
    })
  })
}
