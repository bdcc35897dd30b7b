import { inspect } from 'node:util'
import { defineChannels, opened, SealbusError } from '@sealbus/core'
import { Kafka, Partitioners } from 'kafkajs'
import { beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest'
import type { OutgoingRecord, TopicRecords } from '../src/client-shape.ts'
import { sealKafka, sealProducer, withPlaintextPartitioner } from '../src/index.ts'
import { channels, FakeProducer, type Keys, makeKeys } from './support/fakes.ts'

let keys: Keys
let inner: FakeProducer
let producer: FakeProducer
beforeEach(async () => {
  keys = await makeKeys()
  inner = new FakeProducer()
  producer = sealProducer(inner, { sealer: keys.sealer, keyWaitMs: 200 })
})

const CANARY = 'plaintext-canary'
const rejection = async (promise: Promise<unknown>): Promise<unknown> => promise.then(() => expect.fail('it did not reject'), (error: unknown) => error)
const deepFreeze = <Value>(value: Value): Value => {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const each of Object.values(value)) deepFreeze(each)
    Object.freeze(value)
  }
  return value
}

/** What Immutable.js and its like hand out: kafkajs needs `find`, `some`, `reduce` and iteration only. */
class ListLike {
  readonly #items: readonly object[]
  constructor(...items: readonly object[]) {
    this.#items = items
  }
  find(test: (item: object) => boolean): unknown {
    return this.#items.find(test)
  }
  some(test: (item: object) => boolean): boolean {
    return this.#items.some(test)
  }
  reduce<Result>(step: (result: Result, item: object) => Result, start: Result): Result {
    return this.#items.reduce(step, start)
  }
  [Symbol.iterator](): Iterator<object> {
    return this.#items[Symbol.iterator]()
  }
}
const sealedForOther = (): { bytes: Buffer } => keys.sealerFor(defineChannels({ other: { to: ['billing'] } })).sealSync(CANARY, { channel: 'other', key: null })

describe('sealed producer', () => {
  it('keeps the types of the caller', () => {
    const kafka = new Kafka({ brokers: ['x'] })
    expectTypeOf(sealKafka(kafka, { sealer: keys.sealer })).toEqualTypeOf<Kafka>()
    const made = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    expectTypeOf(sealProducer(made, { sealer: keys.sealer })).toEqualTypeOf<typeof made>()
  })

  it("pitfalls 1 and 5: real Buffers go out, in objects of our own, and the caller's are untouched", async () => {
    const given = deepFreeze({
      topic: 'orders',
      acks: -1,
      messages: [{ key: new Uint8Array([1, 2]) as Buffer, value: new TextEncoder().encode(CANARY) as Buffer, partition: 3, timestamp: '7', headers: { a: 'x', b: new Uint8Array([9]) as Buffer, c: ['y', new Uint8Array([8]) as Buffer], gone: undefined, 'Content-Type': 'text/plain' } }],
    })
    await producer.send(given)
    await producer.send(given)
    const [first, second] = inner.sent as (TopicRecords & { acks: number })[]
    const message = first?.messages[0]
    expect(first?.acks).toBe(-1)
    expect(message).toMatchObject({ key: Buffer.from([1, 2]), partition: 3, timestamp: '7', headers: { a: 'x', b: Buffer.from([9]), c: ['y', Buffer.from([8])], 'content-type': 'application/jose+json' } })
    expect(Object.keys(message?.headers ?? {}).toSorted()).toEqual(['a', 'b', 'c', 'content-type'])
    for (const bytes of [message?.key, message?.value, message?.headers?.['b']]) expect(Buffer.isBuffer(bytes)).toBe(true)
    expect(Object.isFrozen(message)).toBe(false)
    expect(second?.messages[0]?.value).not.toEqual(message?.value)
    expect(keys.opener.openSync(message?.value as Buffer, { channel: 'orders', key: Buffer.from([1, 2]) })).toMatchObject({ plaintext: Buffer.from(CANARY), contentType: 'text/plain' })
  })

  it('pitfall 2: a tombstone stays one, and an empty value is none', async () => {
    await producer.send({ topic: 'orders', messages: [{ key: 'k', value: null }, { value: '' }] })
    const [tombstone, empty] = inner.sent[0]?.messages ?? []
    expect(tombstone).toEqual({ key: 'k', value: null })
    expect(keys.opener.openSync(empty?.value as Buffer, { channel: 'orders', key: null }).plaintext).toHaveLength(0)
  })

  it('pitfall 14: header names of Object.prototype are names like any other', async () => {
    const headers = JSON.parse('{"__proto__":"a","constructor":"b"}') as Record<string, string>
    await producer.send({ topic: 'orders', messages: [{ value: 'x', headers }] })
    const sent = inner.sent[0]?.messages[0]?.headers ?? {}
    expect(Object.keys(sent).toSorted()).toEqual(['__proto__', 'constructor', 'content-type'])
    expect(({} as Record<string, unknown>)['a']).toBeUndefined()
  })

  it('one inner call for each outer one, in the same tick where the keys are in memory', () => {
    void producer.send({ topic: 'orders', messages: [{ value: 'x' }] })
    void producer.sendBatch({ topicMessages: [{ topic: 'orders', messages: [{ value: 'x' }] }, { topic: 'orders-2', messages: [{ value: 'y' }, { value: 'z' }] }] })
    expect(inner.calls).toEqual(['send', 'sendBatch'])
  })

  it('acks, time-out and compression of a call reach the client, of a batch and in a transaction too', async () => {
    const options = { acks: 1, timeout: 7_000, compression: 1 }
    const records = { topic: 'orders', messages: [{ value: 'x' }] }
    const transaction = await producer.transaction()
    for (const each of [producer, transaction]) {
      await each.send({ ...records, ...options })
      await each.sendBatch({ topicMessages: [records], ...options })
    }
    for (const each of [inner, inner.transactions[0]]) {
      expect(each?.calls).toEqual(['send', 'sendBatch'])
      expect([each?.sent[0], each?.batches[0]]).toMatchObject([options, options])
    }
  })

  it('a topic that waits for keys keeps its order, and never delays another', async () => {
    const waiting = [producer.send({ topic: 'other', messages: [{ value: '1' }] }), producer.send({ topic: 'other', messages: [{ value: '2' }] })]
    await producer.send({ topic: 'orders', messages: [{ value: 'now' }] })
    expect(inner.sent.map(({ topic }) => topic)).toEqual(['orders'])
    keys.arrive()
    waiting.push(producer.send({ topic: 'other', messages: [{ value: '3' }] }))
    await Promise.all(waiting)
    const values = inner.sent.slice(1).map(({ messages }) => keys.opener.openSync(messages[0]?.value as Buffer, { channel: 'other', key: null }).plaintext.toString())
    expect(values).toEqual(['1', '2', '3'])
  })

  it('keys that do not come in time: a transient error, and nothing was sent', async () => {
    expect(await rejection(producer.send({ topic: 'other', messages: [{ value: CANARY }] }))).toMatchObject({ code: 'ERR_SEALBUS_KEYS_NOT_READY', transient: true })
    expect(inner.calls).toEqual([])
    keys.arrive()
    await producer.send({ topic: 'other', messages: [{ value: 'x' }] })
    expect(inner.calls).toEqual(['send'])
  })

  it.each<[string, unknown, string]>([
    ['an undeclared topic', { topic: 'invoices', messages: [{ value: CANARY }] }, 'ERR_SEALBUS_UNDECLARED_CHANNEL'],
    ['no recipients', { topic: 'nobody', messages: [{ value: CANARY }] }, 'ERR_SEALBUS_NO_RECIPIENTS'],
    ['a misspelt value', { topic: 'orders', messages: [{ value: CANARY }, { vlaue: CANARY }] }, 'ERR_SEALBUS_INVALID_OPTION'],
    ['a value that is an object', { topic: 'orders', messages: [{ value: { secret: CANARY } }] }, 'ERR_SEALBUS_INVALID_OPTION'],
    ['a value that is an envelope', { topic: 'orders', messages: [{ value: '{"protected":"","ciphertext":"" }' }] }, 'ERR_SEALBUS_ALREADY_SEALED'],
    ['a value that is too large sealed', { topic: 'orders', messages: [{ value: CANARY.repeat(60_000) }] }, 'ERR_SEALBUS_TOO_LARGE'],
  ])('pitfalls 6, 33 and 34: %s is refused whole, and quotes nothing', async (_title, given, code) => {
    const error = await rejection(producer.send(given as TopicRecords))
    expect(error).toMatchObject({ code })
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(CANARY)
    expect(inner.calls).toEqual([])
  })

  it('nothing goes out where sealing fails, for whatever reason', async () => {
    const failing = sealProducer(inner, { sealer: { ...keys.sealer, sealSync: () => { throw new Error('broken') } } })
    await rejection(failing.send({ topic: 'orders', messages: [{ value: CANARY }] }))
    await rejection(failing.sendBatch({ topicMessages: [{ topic: 'metrics', messages: [{ value: 'plain' }] }, { topic: 'orders', messages: [{ value: CANARY }] }] }))
    expect(inner.calls).toEqual([])
  })

  it('a send that the client rejects is rejected: sealed once, and sent once', async () => {
    const thrown = new Error('broker')
    inner.send = async (given) => {
      inner.sent.push(given as TopicRecords)
      throw thrown
    }
    expect(await rejection(producer.send({ topic: 'orders', messages: [{ value: 'x' }] }))).toBe(thrown)
    expect(inner.sent).toHaveLength(1)
  })

  it("malformed arguments are the client's to refuse, and carry no plaintext to it", async () => {
    await producer.send()
    await producer.send({ topc: 'orders', messages: [{ value: CANARY }] } as never)
    await producer.sendBatch({ topicMessages: [{ topc: 'orders', messages: [{ value: CANARY }] }] } as never)
    expect(inner.calls).toEqual(['send', 'send', 'sendBatch'])
    expect(inner.bytes).not.toContain(CANARY)
  })

  it.each<[string, (list: object) => object]>([
    ['send', (messages) => ({ topic: 'orders', messages })],
    ['sendBatch', (messages) => ({ topicMessages: [{ topic: 'orders', messages }] })],
    ['sendBatch', (messages) => ({ topicMessages: new ListLike({ topic: 'orders', messages }) })],
  ])('%s: a list that is no array, but would pass for one in the client, is refused', async (method, wrapped) => {
    const call = method === 'send' ? producer.send(wrapped(new ListLike({ value: CANARY })) as TopicRecords) : producer.sendBatch(wrapped(new ListLike({ value: CANARY })))
    const error = await rejection(call)
    expect(error).toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    expect(inspect(error, { depth: Infinity })).not.toContain(CANARY)
    expect(inner.calls).toEqual([])
  })

  it('sends that wait behind others wait no longer than one does', async () => {
    const start = Date.now()
    const sends = Array.from({ length: 5 }, () => rejection(producer.send({ topic: 'other', messages: [{ value: 'x' }] })))
    for (const error of await Promise.all(sends)) expect(error).toMatchObject({ code: 'ERR_SEALBUS_KEYS_NOT_READY' })
    expect(Date.now() - start).toBeLessThan(500)
    expect(inner.calls).toEqual([])
  })

  it('a directory that does not heed the signal is not waited for longer', async () => {
    const deaf = sealProducer(inner, { sealer: { ...keys.sealer, ready: () => new Promise(() => {}) }, keyWaitMs: 50 })
    expect(await rejection(deaf.send({ topic: 'other', messages: [{ value: 'x' }] }))).toMatchObject({ code: 'ERR_SEALBUS_KEYS_NOT_READY' })
  })

  it('the reason of the directory is passed on when it comes in time', async () => {
    const reason = new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', 'down')
    const failing = sealProducer(inner, { sealer: { ...keys.sealer, ready: () => Promise.reject(reason) } })
    expect(await rejection(failing.send({ topic: 'other', messages: [{ value: 'x' }] }))).toBe(reason)
  })

  it('disconnect() reaches the client at once, and ends the waits: in transactions too', async () => {
    const slow = sealProducer(inner, { sealer: keys.sealer, keyWaitMs: 60_000 })
    const transaction = await slow.transaction()
    const waiting = [slow, transaction].map((each) => rejection(each.send({ topic: 'other', messages: [{ value: 'x' }] })))
    const disconnected = slow.disconnect()
    expect(inner.calls).toEqual(['disconnect'])
    await disconnected
    for (const error of await Promise.all(waiting)) expect(error).toMatchObject({ code: 'ERR_SEALBUS_KEYS_NOT_READY' })
    keys.arrive()
    await slow.send({ topic: 'other', messages: [{ value: 'after connecting again' }] })
    expect(inner.calls).toEqual(['disconnect', 'send'])
  })

  it('a batch over two topics is behind what waits on each of them, and what comes later is behind the batch', async () => {
    const sends = [
      producer.send({ topic: 'other', messages: [{ value: '1' }] }),
      producer.sendBatch({ topicMessages: [{ topic: 'other', messages: [{ value: '2' }] }, { topic: 'orders', messages: [{ value: '3' }] }] }),
      producer.send({ topic: 'orders', messages: [{ value: '4' }] }),
    ]
    expect(inner.calls).toEqual([])
    keys.arrive()
    await Promise.all(sends)
    expect(inner.calls).toEqual(['send', 'sendBatch', 'send'])
    expect(inner.sent.map(({ topic }) => topic)).toEqual(['other', 'other', 'orders', 'orders'])
  })

  it('an opened envelope needs no key of the directory to be passed on', async () => {
    const { bytes } = sealedForOther()
    const { envelope } = keys.opener.openSync(bytes, { channel: 'other', key: null })
    await producer.send({ topic: 'other', messages: [{ value: envelope }] })
    expect(inner.sent[0]?.messages[0]?.value).toBe(envelope)
  })

  it('a record that its caller uses again while the keys are awaited goes where it was to go', async () => {
    const record = { topic: 'other', messages: [{ value: 'first' }] }
    const first = producer.send(record)
    record.topic = 'metrics'
    const batch = { topicMessages: [{ topic: 'metrics', messages: [{ value: 'plain' }] }, { topic: 'other', messages: [{ value: 'second' }] }] }
    const second = producer.sendBatch(batch)
    for (const each of batch.topicMessages) each.topic = 'orders'
    keys.arrive()
    await Promise.all([first, second])
    expect(inner.sent.map(({ topic, messages }) => [topic, String(messages[0]?.value).slice(0, 12)])).toEqual([['other', '{"protected"'], ['metrics', 'plain'], ['other', '{"protected"']])
  })

  it('a content type cannot be bound: the header changes on the way', async () => {
    const binding = defineChannels({ orders: { to: ['billing'], bind: { headers: ['Content-Type'] } } })
    const bound = sealProducer(inner, { sealer: keys.sealerFor(binding) })
    expect(await rejection(bound.send({ topic: 'orders', messages: [{ value: 'x', headers: { 'Content-Type': 'text/plain' } }] }))).toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
  })

  it('a bound header may be a Uint8Array, as any other', async () => {
    const binding = defineChannels({ orders: { to: ['billing'], bind: { headers: ['tenant'] } } })
    const bound = sealProducer(inner, { sealer: keys.sealerFor(binding) })
    await bound.send({ topic: 'orders', messages: [{ value: 'x', headers: { tenant: new Uint8Array([65]) } }] })
    expect(inner.sent[0]?.messages[0]?.headers?.['tenant']).toEqual(Buffer.from('A'))
  })

  it('pitfall 6: transactions are wrapped too, and plaintext channels alone pass as they are', async () => {
    const transaction = await producer.transaction()
    await transaction.send({ topic: 'orders', messages: [{ value: CANARY }] })
    await transaction.sendBatch({ topicMessages: [{ topic: 'orders', messages: [{ value: CANARY }] }] })
    expect(inner.transactions[0]?.sent).toHaveLength(2)
    expect(inner.transactions[0]?.bytes).not.toContain(CANARY)
    const { plain = 0 } = keys.sealer.counts()['metrics'] ?? {}
    await producer.send({ topic: 'metrics', messages: [{ value: 'plain' }, { value: 'plain too' }] })
    expect(inner.sent[0]?.messages[0]).toEqual({ value: 'plain' })
    expect(keys.sealer.counts()['metrics']?.plain, 'they are counted').toBe(plain + 2)
  })

  it('pitfall 35: nothing leads round the wrapper, and wrapping twice throws', async () => {
    expect(producer.on()).toBe(producer)
    expect(await producer.connect()).toBe(producer)
    expect(() => sealProducer(producer, { sealer: keys.sealer })).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_ALREADY_WRAPPED' }) as Error)
    expect(() => sealKafka({ producer: () => inner, consumer: () => expect.fail() }, { opener: keys.opener, onStopped: () => {} }).producer()).toThrow(/needs a `sealer`/)
  })

  it.each([
    ['a class', (): FakeProducer => new FakeProducer()],
    ['an object, as kafkajs makes it', (): FakeProducer => Object.assign(new FakeProducer(), { send: async (given: TopicRecords) => void inner.sent.push(given) })],
  ])('pitfall 35: who looks for a method by its property descriptor, as spies and tracers do, finds the wrapped one: %s', async (_title, make) => {
    const raw = make()
    const wrapped = sealProducer(raw, { sealer: keys.sealer })
    const spy = vi.spyOn(wrapped, 'send')
    await wrapped.send({ topic: 'orders', messages: [{ value: CANARY }] })
    expect(spy).toHaveBeenCalledOnce()
    spy.mockRestore()
    await wrapped.send({ topic: 'orders', messages: [{ value: CANARY }] })
    const sent = [...raw.sent, ...inner.sent]
    expect(sent.map(({ messages }) => String(messages[0]?.value).slice(0, 13))).toEqual(Array(2).fill('{"protected":'))
    expect(Object.keys(wrapped)).toEqual(Object.keys(raw))
  })

  it('pitfall 4: a custom partitioner is given the plaintext', async () => {
    const seen: unknown[] = []
    const partitioner = withPlaintextPartitioner(() => ({ message }: { message: OutgoingRecord }) => {
      seen.push(message.value)
      return 0
    })()
    await producer.send({ topic: 'orders', messages: [{ value: CANARY }] })
    partitioner({ message: inner.sent[0]?.messages[0] as OutgoingRecord })
    expect(seen).toEqual([CANARY])
  })

  it('an opened envelope passes through as it is, and gets the content type of an envelope', async () => {
    const { bytes } = keys.sealer.sealSync(CANARY, { channel: 'orders', key: null })
    const { envelope } = keys.opener.openSync(bytes, { channel: 'orders', key: null })
    await producer.send({ topic: 'orders-retry', messages: [{ value: envelope, headers: { 'content-type': 'application/json' } }] })
    expect(inner.sent[0]?.messages[0]).toEqual({ value: envelope, headers: { 'content-type': 'application/jose+json' } })
    expect(opened({})).toBeUndefined()
    expect(channels.at('orders-retry').name).toBe('orders')
  })
})
