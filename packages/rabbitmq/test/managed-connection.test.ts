import { createSealer, type RecipientDirectory } from '@sealbus/core'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { channelHealth } from '../src/channel-health.ts'
import { openChannel } from '../src/consuming-channel.ts'
import { createParking } from '../src/parking.ts'
import { sealChannel } from '../src/publishing-channel.ts'
import { sealAmqp, type SealAmqpOptions } from '../src/sealed-amqp.ts'
import type { FakeConfirmChannel } from './support/fake-channel.ts'
import { FakeManager } from './support/fake-manager.ts'
import { createWorld } from './support/key-source.ts'

const { sealer, opener, channels, source } = createWorld({ orders: { to: ['billing'], match: ['orders', 'shop'] }, metrics: 'plaintext' })
const canary = Buffer.from('{"total":9}')
const invalid = expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' })
const options: SealAmqpOptions = { sealer, opener, onStopped: () => {} }
const open = (content: Buffer): string => opener.openSync(content, { channel: 'orders' }).plaintext.toString()

let raw: FakeManager
beforeEach(() => {
  raw = new FakeManager()
  source.answers = 'now'
})

describe('a managed channel', () => {
  test('keeps only sealed bytes while it is offline, and sends them once', async () => {
    const channel = sealAmqp(raw, options).createChannel()
    const sent = [channel.publish('shop', 'new', canary, { contentType: 'application/json' }), channel.sendToQueue('orders', 'text')]
    const queued = raw.channels[0]?.queued ?? []
    expect(queued.map(({ content }) => open(content))).toEqual([canary.toString(), 'text'])
    const before = queued.map(({ content }) => content)
    const connection = await raw.arrive()
    expect(await Promise.all(sent)).toEqual([true, true])
    expect(connection.made[0]?.published.map(({ content }) => content)).toEqual(before)
    expect(connection.made[0]?.published[0]?.options).toEqual({ contentType: 'application/jose+json' })
  })

  test('that sends again what was not confirmed sends the same bytes, under the same id', async () => {
    const channel = sealAmqp(raw, options).createChannel()
    const [first = expect.fail()] = (await raw.arrive()).made
    first.answer = 'nothing'
    const { sealed: before = 0 } = sealer.counts()['orders'] ?? {}
    const sent = [channel.publish('shop', 'new', canary, { messageId: 'one' }), channel.sendToQueue('orders', 'text')]
    await expect.poll(() => first.published).toHaveLength(2)
    const [second = expect.fail()] = (await raw.arrive()).made
    expect(await Promise.all(sent)).toEqual([true, true])
    expect(second.published).toEqual(first.published)
    expect(opener.openSync(second.published[0]?.content ?? canary, { channel: 'orders' }).id).toBe('one')
    expect(sealer.counts()['orders']?.sealed).toBe(before + 2)
  })

  test('takes bytes of any kind, and JSON where it is made for that', async () => {
    const connection = sealAmqp(raw, options)
    const [bytes, json] = [connection.createChannel(), connection.createChannel({ json: true })]
    await raw.arrive()
    await bytes.sendToQueue('orders', new Uint8Array([1, 2]))
    await json.sendToQueue('orders', { total: 9 })
    const published = raw.connections[0]?.made.flatMap((channel) => channel.published) ?? []
    expect(published.map(({ content }) => open(content))).toEqual(['\u0001\u0002', '{"total":9}'])
    await expect(bytes.sendToQueue('orders', { total: 9 })).rejects.toThrow(invalid)
    await expect(json.sendToQueue('orders', undefined)).rejects.toThrow(invalid)
    expect(raw.channels.map((channel) => channel.json)).toEqual([false, false])
  })

  test('answers to a callback too', async () => {
    const channel = sealAmqp(raw, options).createChannel()
    await raw.arrive()
    const publish = Reflect.get(channel, 'publish') as (...given: unknown[]) => unknown
    const answered = await new Promise((resolve) => expect(publish('shop', '', canary, {}, (...answer: unknown[]) => resolve(answer))).toBeUndefined())
    expect(answered).toEqual([null, true])
    const refused = await new Promise((resolve) => publish('elsewhere', '', canary, {}, (...answer: unknown[]) => resolve(answer)))
    expect(refused).toEqual([expect.objectContaining({ code: 'ERR_SEALBUS_UNDECLARED_CHANNEL' })])
  })

  test('does not let what the caller holds pass as sealed', async () => {
    const channel = sealAmqp(raw, options).createChannel()
    const { envelope } = opener.openSync(sealer.sealSync(canary, { channel: 'orders' }).bytes, { channel: 'orders' })
    await raw.arrive()
    await channel.sendToQueue('orders', envelope)
    const inner = raw.connections[0]?.made[0]
    expect(inner?.published[0]?.content.equals(envelope)).toBe(true)
    // The same buffer with a plaintext in it, on a channel that a setup was given.
    envelope.fill(0x20)
    const setup = await new Promise<FakeConfirmChannel>((resolve) => channel.addSetup((given: FakeConfirmChannel) => resolve(given)))
    setup.sendToQueue('orders', envelope)
    expect(open(inner?.published[1]?.content ?? envelope)).toMatch(/^ +$/)
  })

  test('leaves plaintext channels plain', async () => {
    const channel = sealAmqp(raw, options).createChannel()
    await raw.arrive()
    const { plain = 0 } = sealer.counts()['metrics'] ?? {}
    await channel.sendToQueue('metrics', canary)
    expect(raw.connections[0]?.made[0]?.published[0]?.content).toEqual(canary)
    expect(sealer.counts()['metrics']?.plain, 'it is counted').toBe(plain + 1)
  })

  test('rejects a mandatory message that comes back, one for each', async () => {
    const channel = sealAmqp(raw, options).createChannel()
    const [inner = expect.fail()] = (await raw.arrive()).made
    inner.answer = 'return'
    const unroutable = { code: 'ERR_SEALBUS_UNROUTABLE', message: expect.not.stringContaining('total') as string }
    await expect(channel.publish('shop', 'nowhere', canary, { mandatory: true })).rejects.toMatchObject(unroutable)
    const outcomes = await Promise.allSettled([channel.sendToQueue('metrics', canary, { mandatory: true }), channel.sendToQueue('metrics', canary, { mandatory: true }), channel.sendToQueue('metrics', canary)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    inner.answer = 'confirm'
    expect(await channel.publish('shop', 'somewhere', canary, { mandatory: true })).toBe(true)
  })

  test('hands wrapped channels to setups, with callback or without, and to later ones', async () => {
    const setups: FakeConfirmChannel[] = []
    const channel = sealAmqp(raw, options).createChannel({ setup: (given: FakeConfirmChannel, done: (error?: Error) => void) => (setups.push(given), done()) })
    await channel.addSetup((given: FakeConfirmChannel) => setups.push(given))
    const [inner = expect.fail()] = (await raw.arrive()).made
    const [first = expect.fail(), second] = setups
    expect([first === second, first === inner]).toEqual([true, false])
    first.sendToQueue('orders', canary)
    expect(open(inner.published[0]?.content ?? canary)).toBe(canary.toString())
    const received: unknown[] = []
    await first.consume('orders', (message) => received.push(message?.content.toString()))
    inner.deliver('orders', inner.published[0] ?? expect.fail())
    expect(received).toEqual([canary.toString()])
    expect(channelHealth(channel)).toMatchObject({ healthy: true, consumers: [{ queue: 'orders', state: 'running' }] })
  })

  test('has a connection that makes wrapped channels too', async () => {
    const connection = sealAmqp(raw, options)
    await raw.arrive()
    const channel = await connection.connection?.createConfirmChannel()
    channel?.sendToQueue('orders', canary)
    expect(open(raw.connection?.made[0]?.published[0]?.content ?? canary)).toBe(canary.toString())
  })

  test('has no consumers before it is connected', () => {
    expect(channelHealth(sealAmqp(raw, options).createChannel())).toEqual({ healthy: true, consumers: [] })
  })

  test('without a sealer publishes nothing, and without an opener consumes nothing', async () => {
    const consuming = sealAmqp(raw, { opener, onStopped: () => {} }).createChannel()
    await expect(consuming.publish('shop', '', canary)).rejects.toThrow(invalid)
    await expect(consuming.sendToQueue('orders', canary)).rejects.toThrow(invalid)
    const other = new FakeManager()
    const setups: FakeConfirmChannel[] = []
    sealAmqp(other, { sealer }).createChannel({ setup: (given: FakeConfirmChannel) => setups.push(given) })
    await other.arrive()
    await expect(setups[0]?.consume('orders', () => {})).rejects.toThrow(invalid)
    await raw.arrive()
    expect(raw.connections[0]?.made[0]?.published).toEqual([])
  })

  test('is wrapped with its manager, and not by itself', () => {
    const managed = raw.createChannel()
    expect(() => sealChannel(managed as never, { sealer })).toThrow(invalid)
    expect(() => openChannel(managed as never, { opener, onStopped: () => {} })).toThrow(invalid)
  })
})

describe('keys that are not in memory', () => {
  /** Keys that come when the test says so. */
  const late = (): { arrive: () => void; options: SealAmqpOptions } => {
    const { promise, resolve } = Promise.withResolvers<void>()
    let known = false
    const directory: RecipientDirectory = {
      peek: (name) => (known ? source.directory.peek(name) : undefined),
      async resolve(name, given) {
        await promise
        known = true
        return await source.directory.resolve(name, given)
      },
    }
    return { arrive: resolve, options: { ...options, sealer: createSealer({ directory, channels }) } }
  }

  test('are waited for, in order, plain messages included; the caller may use its buffer again', async () => {
    const { arrive, options: waiting } = late()
    const channel = sealAmqp(raw, waiting).createChannel()
    await raw.arrive()
    const buffer = Buffer.from('one')
    const plain = Buffer.from('plain')
    const headers = { tenant: 'a' }
    const sent = [channel.sendToQueue('orders', buffer, { headers }), channel.sendToQueue('metrics', plain), channel.sendToQueue('orders', Buffer.from('two'))]
    for (const each of [buffer, plain]) each.fill(0)
    headers.tenant = 'b'
    await new Promise((resolve) => setImmediate(resolve))
    const inner = raw.connections[0]?.made[0]
    expect(inner?.published).toEqual([])
    arrive()
    await Promise.all(sent)
    const last = channel.sendToQueue('orders', Buffer.from('three'))
    expect(inner?.published.map(({ routingKey, content }) => (routingKey === 'metrics' ? content.toString() : open(content)))).toEqual(['one', 'plain', 'two', 'three'])
    expect(inner?.published[0]?.options?.headers).toEqual({ tenant: 'a' })
    await last
  })

  test('that do not come in time are an error, and nothing is sent', async () => {
    const { options: waiting } = late()
    const channel = sealAmqp(raw, { ...waiting, keyWaitMs: 20 }).createChannel()
    await raw.arrive()
    await expect(channel.sendToQueue('orders', canary)).rejects.toMatchObject({ code: 'ERR_SEALBUS_KEYS_NOT_READY', transient: true })
    expect(raw.connections[0]?.made[0]?.published).toEqual([])
  })

  test.each(['channel', 'manager'] as const)('are not waited for once the %s is closed', async (what) => {
    const { options: waiting } = late()
    const connection = sealAmqp(raw, { ...waiting, keyWaitMs: 60_000 })
    const channel = connection.createChannel()
    const sent = channel.sendToQueue('orders', canary)
    await (what === 'channel' ? channel : connection).close()
    await expect(sent).rejects.toMatchObject({ code: 'ERR_SEALBUS_KEYS_NOT_READY' })
    expect(raw.channels[0]?.queued).toEqual([])
  })

  test.each([-1, 1.5, Number.NaN])('`keyWaitMs` is not %s', (keyWaitMs) => {
    expect(() => sealAmqp(raw, { ...options, keyWaitMs })).toThrow(invalid)
  })
})

test('a managed parking place that is offline keeps no copies for later: each attempt ends with its time', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const parking = createParking({ channel: raw.createChannel(), exchange: 'parked' })
    const message = { content: canary, fields: { deliveryTag: 1, exchange: '', routingKey: 'orders' }, properties: {} }
    for (let attempt = 0; attempt < 3; attempt++) {
      const refused = expect(parking.park(message, 'orders', 'ERR_SEALBUS_NOT_SEALED')).rejects.toThrow()
      await vi.advanceTimersByTimeAsync(30_000)
      await refused
    }
    const parked = parking.park(message, 'orders', 'ERR_SEALBUS_NOT_SEALED')
    const connection = await raw.arrive()
    expect(await parked).toMatchObject({ queue: 'orders' })
    expect(connection.made[0]?.published).toHaveLength(1)
  } finally {
    vi.useRealTimers()
  }
})
