import { createSealer, opened, type RecipientDirectory, SealbusError } from '@sealbus/core'
import { describe, expect, test, vi } from 'vitest'
import { openChannel } from '../src/consuming-channel.ts'
import { sealChannel } from '../src/publishing-channel.ts'
import { FakeChannel, FakeConfirmChannel } from './support/fake-channel.ts'
import { createWorld } from './support/key-source.ts'

const { sealer, opener, channels } = createWorld({
  orders: { to: ['billing'], match: ['orders', 'orders.copy', 'shop'] },
  invoices: { to: ['billing'] },
  metrics: 'plaintext',
})
const canary = Buffer.from('{"total":9}')

const open = (content: Buffer, channel = 'orders'): string => opener.openSync(content, { channel }).plaintext.toString()

describe('publish and sendToQueue', () => {
  test('seal once, and leave the rest as it is', () => {
    const raw = new FakeChannel()
    const channel = sealChannel(raw, { sealer })
    const options = Object.freeze({ contentType: 'application/json', messageId: 'm-1', headers: Object.freeze({ a: '1' }) })
    channel.publish('shop', 'eu.new', canary, options)
    channel.sendToQueue('orders', canary)
    expect(raw.published.map(({ exchange, routingKey }) => [exchange, routingKey])).toEqual([
      ['shop', 'eu.new'],
      ['', 'orders'],
    ])
    expect(raw.published[0]?.options).toEqual({ contentType: 'application/jose+json', messageId: 'm-1', headers: { a: '1' } })
    for (const { content } of raw.published) {
      expect(Buffer.isBuffer(content)).toBe(true)
      expect(content.includes('total')).toBe(false)
      expect(open(content)).toBe(canary.toString())
    }
    expect(opener.openSync(raw.published[0]?.content ?? canary, { channel: 'orders' }).id).toBe('m-1')
  })

  test("return the client's own boolean", () => {
    const raw = new FakeChannel()
    const channel = sealChannel(raw, { sealer })
    expect(channel.sendToQueue('orders', canary)).toBe(true)
    raw.full = true
    expect(channel.publish('shop', '', canary)).toBe(false)
  })

  test('hand the confirm callback on', async () => {
    const raw = new FakeConfirmChannel()
    const channel = sealChannel(raw, { sealer })
    raw.answer = 'nack'
    expect(await new Promise((resolve) => channel.publish('shop', '', canary, {}, resolve))).toEqual(new Error('message nacked'))
    raw.answer = 'confirm'
    expect(await new Promise((resolve) => channel.sendToQueue('orders', canary, undefined, resolve))).toBeNull()
    await channel.waitForConfirms()
    expect(raw.published.map(({ content }) => open(content))).toEqual([canary.toString(), canary.toString()])
  })

  test('leave plaintext channels plain', () => {
    const raw = new FakeChannel()
    sealChannel(raw, { sealer }).sendToQueue('metrics', canary, { contentType: 'text/plain' })
    expect(raw.published).toEqual([{ exchange: '', routingKey: 'metrics', content: canary, options: { contentType: 'text/plain' } }])
  })

  test('pass an opened envelope on as it is', () => {
    const raw = new FakeChannel()
    const { envelope } = opener.openSync(sealer.sealSync(canary, { channel: 'orders' }).bytes, { channel: 'orders' })
    sealChannel(raw, { sealer }).sendToQueue('orders.copy', envelope, { contentType: 'application/json' })
    expect(raw.published[0]?.content).toBe(envelope)
    expect(raw.published[0]?.options).toEqual({ contentType: 'application/jose+json' })
  })
})

describe('nothing is sent', () => {
  const attempts: [string, (channel: FakeChannel) => unknown, string][] = [
    ['to an undeclared queue', (channel) => channel.sendToQueue('elsewhere', canary), 'ERR_SEALBUS_UNDECLARED_CHANNEL'],
    ['to an undeclared exchange', (channel) => channel.publish('elsewhere', 'orders', canary), 'ERR_SEALBUS_UNDECLARED_CHANNEL'],
    ['that is sealed already', (channel) => channel.sendToQueue('orders', sealer.sealSync(canary, { channel: 'orders' }).bytes), 'ERR_SEALBUS_ALREADY_SEALED'],
    ['with a copy to a queue of another channel', (channel) => channel.sendToQueue('metrics', canary, { CC: 'orders' }), 'ERR_SEALBUS_AMBIGUOUS_CHANNEL'],
    ['with such a copy by header', (channel) => channel.publish('', 'metrics', canary, { headers: { BCC: ['orders'] } }), 'ERR_SEALBUS_AMBIGUOUS_CHANNEL'],
    ['that the broker would not take', (channel) => channel.sendToQueue('orders', Buffer.alloc(2_000)), 'ERR_SEALBUS_TOO_LARGE'],
  ]
  test.each(attempts)('%s', (_, attempt, code) => {
    const raw = new FakeChannel()
    expect(() => attempt(sealChannel(raw, { sealer, maxMessageBytes: 2_000 }))).toThrow(expect.objectContaining({ code }))
    expect(raw.published).toEqual([])
  })

  test('says both sizes when it is too large', () => {
    const channel = sealChannel(new FakeChannel(), { sealer, maxMessageBytes: 2_000 })
    expect(() => channel.sendToQueue('orders', Buffer.alloc(2_000))).toThrow(/has \d{4} bytes sealed \(2000 before\), and the broker takes 2000/)
  })

  test('before the keys are in memory', () => {
    const directory: RecipientDirectory = { peek: () => undefined, resolve: () => Promise.reject(new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', 'down')) }
    const raw = new FakeChannel()
    const channel = sealChannel(raw, { sealer: createSealer({ directory, channels }) })
    expect(() => channel.publish('shop', '', canary)).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_KEYS_NOT_READY', transient: true }))
    expect(raw.published).toEqual([])
  })

  test.each([['text'], [new Uint8Array(3)], [null], [{ total: 9 }]])('that is no Buffer: %s', (content) => {
    const raw = new FakeChannel()
    expect(() => sealChannel(raw, { sealer }).sendToQueue('orders', content as Buffer)).toThrow(new TypeError('content is not a buffer'))
    expect(raw.published).toEqual([])
  })

  test.each([0, 1.5, Number.NaN])('with a limit of %s', (maxMessageBytes) => {
    expect(() => sealChannel(new FakeChannel(), { sealer, maxMessageBytes })).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' }))
  })
})

describe('nothing leaks round the wrapper', () => {
  test('what returns the channel returns the wrapper', () => {
    const raw = new FakeChannel()
    const channel = sealChannel(raw, { sealer })
    const listener = vi.fn()
    expect(channel.on('drain', listener).once('drain', listener).setMaxListeners(3)).toBe(channel)
    expect(Reflect.get(channel, 'on')).toBe(Reflect.get(channel, 'on'))
    raw.emit('drain', 1)
    raw.emit('drain', 2)
    expect(listener.mock.calls).toEqual([[1], [1], [2]])
    expect(listener.mock.contexts.every((context) => context === channel)).toBe(true)
    channel.off('drain', listener).once('drain', listener).off('drain', listener)
    raw.emit('drain', 3)
    expect(listener).toHaveBeenCalledTimes(3)
  })

  test('a method that somebody replaces on it still seals once', () => {
    const raw = new FakeChannel()
    const channel = sealChannel(raw, { sealer })
    const publish = Reflect.get<FakeChannel, 'publish'>(channel, 'publish')
    const seen: Buffer[] = []
    channel.publish = (exchange, key, content, options): boolean => {
      seen.push(content)
      return publish(exchange, key, content, options)
    }
    channel.publish('shop', '', canary)
    expect(seen).toEqual([canary])
    expect(raw.published.map(({ content }) => open(content))).toEqual([canary.toString()])
  })

  test('wrapping twice throws, in any order of the roles', () => {
    const twice = expect.objectContaining({ code: 'ERR_SEALBUS_ALREADY_WRAPPED' })
    const onStopped = (): void => {}
    const sealed = sealChannel(new FakeChannel(), { sealer })
    expect(() => sealChannel(sealed, { sealer })).toThrow(twice)
    const both = openChannel(sealed, { opener, onStopped })
    expect(() => sealChannel(both, { sealer })).toThrow(twice)
    expect(() => openChannel(both, { opener, onStopped })).toThrow(twice)
  })

  test('both roles on one channel', async () => {
    const raw = new FakeChannel()
    const channel = sealChannel(openChannel(raw, { opener, onStopped: () => {} }), { sealer })
    const received: unknown[] = []
    await channel.consume('orders', (message) => received.push(message?.content.toString(), message && opened(message)?.channel))
    channel.sendToQueue('orders', canary)
    expect(raw.published).toHaveLength(1)
    for (const published of raw.published) raw.deliver('orders', published)
    expect(received).toEqual([canary.toString(), 'orders'])
  })
})
