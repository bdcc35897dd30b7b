import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import type { AmqpMessage, ConsumeOptions } from '../src/client-shape.ts'
import { openChannel } from '../src/consuming-channel.ts'
import { sealAmqp } from '../src/sealed-amqp.ts'
import { FakeChannel } from './support/fake-channel.ts'
import { createWorld } from './support/key-source.ts'

type Done = (error: unknown, value?: unknown) => void

/** A channel with the habits of amqplib's callback API: answers go to the last argument, and methods return the channel. */
class CallbackChannel extends EventEmitter {
  readonly inner = new FakeChannel()
  failing: Error | undefined

  #answer(done: Done | undefined, reply: Promise<unknown>): this {
    const tell = async (): Promise<void> => {
      const value = await reply
      if (this.failing) done?.(this.failing)
      else done?.(null, value)
    }
    void tell()
    return this
  }

  publish(exchange: string, routingKey: string, content: Buffer, options?: object): boolean {
    return this.inner.publish(exchange, routingKey, content, options)
  }

  sendToQueue(queue: string, content: Buffer, options?: object): boolean {
    return this.publish('', queue, content, options)
  }

  consume(queue: string, handler: (message: AmqpMessage | null) => void, options?: ConsumeOptions, done?: Done): this {
    return this.#answer(done, this.inner.consume(queue, handler, options))
  }

  cancel(tag: string, done?: Done): this {
    return this.#answer(done, this.inner.cancel(tag))
  }

  get(queue: string, _options?: object, done?: Done): this {
    return this.#answer(done, this.inner.get(queue))
  }

  ack(message: AmqpMessage, allUpTo?: boolean): this {
    this.inner.ack(message, allUpTo)
    return this
  }

  ackAll(): this {
    this.inner.ackAll()
    return this
  }

  nack(message: AmqpMessage, allUpTo?: boolean, requeue?: boolean): this {
    this.inner.nack(message, allUpTo, requeue)
    return this
  }

  nackAll(requeue?: boolean): this {
    this.inner.nackAll(requeue)
    return this
  }

  reject(message: AmqpMessage, requeue?: boolean): this {
    this.inner.reject(message, requeue)
    return this
  }

  recover(done?: Done): this {
    return this.#answer(done, Promise.resolve({}))
  }

  close(done?: Done): this {
    return this.#answer(done, this.inner.close())
  }
}

class CallbackConnection extends EventEmitter {
  readonly channels: CallbackChannel[] = []
  closed = 0

  createChannel(options: object | Done, done?: Done): CallbackChannel {
    const channel = new CallbackChannel()
    this.channels.push(channel)
    const answer = typeof options === 'function' ? (options as Done) : done
    setImmediate(() => answer?.(null, channel))
    return channel
  }

  createConfirmChannel(options: object | Done, done?: Done): CallbackChannel {
    return this.createChannel(options, done)
  }

  waitForConnect(done: Done): this {
    setImmediate(() => done(null, this))
    return this
  }

  close(done?: Done): void {
    this.closed++
    done?.(null)
  }
}

const { sealer, opener, source } = createWorld({ orders: { to: ['billing'] } })
const options = { sealer, opener, onStopped: () => {}, dispositions: { holdBackoffMs: { first: 5, longest: 5 } } }
const canary = Buffer.from('{"total":9}')
const heard = (call: (done: Done) => unknown): Promise<unknown[]> => new Promise((resolve) => call((...answer) => resolve(answer)))

let raw: CallbackChannel
let channel: CallbackChannel
let received: string[]

beforeEach(() => {
  source.answers = 'now'
  raw = new CallbackChannel()
  channel = openChannel(raw, { opener, onStopped: () => {}, dispositions: options.dispositions })
  received = []
})

const sealed = (text: string) => ({ exchange: '', routingKey: 'orders', content: sealer.sealSync(text, { channel: 'orders' }).bytes, options: {} })

describe('a channel of the callback API', () => {
  test('answers to callbacks, and returns the wrapper', async () => {
    const handler = (message: AmqpMessage | null): void => void received.push(String(message?.content))
    expect(await heard((done) => expect(channel.consume('orders', handler, {}, done)).toBe(channel))).toEqual([null, { consumerTag: 'consumer-0' }])
    raw.inner.deliver('orders', sealed('one'))
    expect(received).toEqual(['one'])
    raw.inner.fetchable.push(raw.inner.message(sealed('two')))
    const [error, got] = await heard((done) => expect(channel.get('orders', {}, done)).toBe(channel))
    expect([error, (got as AmqpMessage).content.toString()]).toEqual([null, 'two'])
    expect(await heard((done) => channel.get('orders', {}, done))).toEqual([null, false])
    expect(await heard((done) => expect(channel.cancel('consumer-0', done)).toBe(channel))).toEqual([null, { consumerTag: 'consumer-0' }])
    expect(await heard((done) => expect(channel.recover(done)).toBe(channel))).toEqual([null, {}])
    expect(await heard((done) => expect(channel.close(done)).toBe(channel))).toEqual([null, undefined])
  })

  test('settles what was given, in a chain', async () => {
    const messages: AmqpMessage[] = []
    channel.consume('orders', (message) => void (message && messages.push(message)))
    for (const text of ['one', 'two', 'three']) raw.inner.deliver('orders', sealed(text))
    const [one = expect.fail(), two = expect.fail(), three = expect.fail()] = messages
    expect(channel.ack(one).nack(two, false, false).reject(three, false)).toBe(channel)
    expect(raw.inner.settled).toEqual(['ack 1', 'nack 2', 'reject 3'])
    // Nothing is left to settle: the client's own would take with them what is on its way.
    expect([channel.ackAll(), channel.nackAll()]).toEqual([channel, channel])
    expect(raw.inner.settled).toHaveLength(3)
    for (const text of ['four', 'five']) raw.inner.deliver('orders', sealed(text))
    channel.ackAll()
    raw.inner.deliver('orders', sealed('six'))
    channel.nackAll(false)
    expect(raw.inner.settled.slice(3)).toEqual(['ack 5 multiple', 'nack 6 multiple'])
  })

  test('tells its callbacks of errors, ours and the client’s', async () => {
    expect(await heard((done) => channel.consume('elsewhere', () => {}, {}, done))).toEqual([expect.objectContaining({ code: 'ERR_SEALBUS_UNDECLARED_CHANNEL' })])
    raw.failing = new Error('the broker said no')
    expect(await heard((done) => channel.consume('orders', () => {}, {}, done))).toEqual([raw.failing])
    expect(await heard((done) => channel.get('orders', {}, done))).toEqual([raw.failing])
  })

  test('holds, cancels and stops as any other', async () => {
    source.answers = 'down'
    channel.consume('orders', (message) => void received.push(String(message?.content)))
    raw.inner.deliver('orders', sealed('one'))
    await sleep(20)
    expect(received).toEqual([])
    source.answers = 'now'
    await expect.poll(() => received).toEqual(['one'])
    raw.inner.deliver('orders', { ...sealed('x'), content: Buffer.from('{"protected":"x"}') })
    await expect.poll(() => raw.inner.cancelled).toEqual(['consumer-0'])
    expect(raw.inner.settled).toEqual(['nack 2 requeue'])
  })
})

describe('a connection of the callback API', () => {
  test('hands out wrapped channels, and the same one to the callback', async () => {
    const own = new CallbackConnection()
    const connection = sealAmqp(own, options)
    for (const create of [(done: Done) => connection.createChannel(done), (done: Done) => connection.createConfirmChannel({}, done)]) {
      let returned: unknown
      const [error, made] = await heard((done) => (returned = create(done)))
      expect([error, made === returned, own.channels.includes(made as CallbackChannel)]).toEqual([null, true, false])
      ;(made as CallbackChannel).sendToQueue('orders', canary)
      expect(own.channels.at(-1)?.inner.published[0]?.content.includes('total')).toBe(false)
    }
  })

  test('tells the callback that there is no opener', async () => {
    const made = sealAmqp(new CallbackConnection(), { sealer }).createChannel({})
    const refused = [expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' })]
    expect(await heard((done) => expect(made.consume('orders', () => {}, {}, done)).toBe(made))).toEqual(refused)
    expect(await heard((done) => expect(made.get('orders', {}, done)).toBe(made))).toEqual(refused)
  })

  test('is itself what waitForConnect hands on, and is closed once', async () => {
    const own = new CallbackConnection()
    const connection = sealAmqp(own, options)
    expect((await heard((done) => expect(connection.waitForConnect(done)).toBe(connection)))[1]).toBe(connection)
    expect(await heard((done) => connection.close(done))).toEqual([null])
    expect(own.closed).toBe(1)
  })
})
