import { setTimeout as sleep } from 'node:timers/promises'
import { createSealer, createStaticDirectory, defineChannels, opened } from '@sealbus/core'
import type { ParkedMessage } from '@sealbus/kafka'
import type { KafkaMessage } from 'kafkajs'
import { afterEach, expect, it, vi } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { NOTHING, tamper, useKafka, WAIT } from '../support/kafka-fixture.ts'

// The numbers are those of the list of pitfalls in docs/KAFKA.md.
const channels = defineChannels({
  orders: { to: ['billing'], match: [/^(?:dr\.)?orders-[0-9a-f]+(?:-retry|-dlq)?$/], bind: { headers: ['tenant'] } },
  refunds: { to: ['billing'], match: [/^refunds-/] },
  moving: { to: ['billing'], match: [/^moving-/], accept: 'sealed-or-plain' },
})

describeWithKafka('Kafka pitfalls: envelopes on their way', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  afterEach(() => void vi.useRealTimers())

  const handledFrom = async (topics: readonly string[], options: object = {}): Promise<{ seen: [string, KafkaMessage][]; parked: ParkedMessage[] }> => {
    const [seen, parked] = [[] as [string, KafkaMessage][], [] as ParkedMessage[]]
    const parkTopic = await fixture.topic('parked')
    const consumer = await fixture.consumer({ topics, park: { topic: parkTopic, producer: fixture.raw }, onParked: (each) => void parked.push(each), ...options })
    await consumer.run({ eachMessage: async ({ topic, message }) => void seen.push([topic, message]) })
    return { seen, parked }
  }
  const named = async (name: string): Promise<string> => {
    await fixture.admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }], waitForLeaders: true })
    return name
  }

  it('pitfall 16: what brokers, mirrors and tracing change on the way is not bound: retry topic, dead-letter topic, renamed mirror, other headers, order and case', async () => {
    const { sealed, raw, stored, topic } = fixture
    const origin = await topic()
    const [retry, dead, mirror] = [await named(`${origin}-retry`), await named(`${origin}-dlq`), await named(`dr.${origin}`)]
    await sealed.send({ topic: origin, messages: [{ key: 'k', value: 'on its way', headers: { a: '1', tenant: 'acme', z: '2', 'content-type': 'text/plain' }, timestamp: '1700000000000' }] })
    const [{ key, value, headers = {} } = NOTHING] = await stored(origin, 1)
    const turned = Object.fromEntries(Object.entries(headers).toReversed())
    await raw.send({ topic: retry, messages: [{ key, value, headers: { ...turned, 'retry-count': '3', 'content-type': 'application/octet-stream' } }] })
    await raw.send({ topic: dead, messages: [{ key, value, headers: { tenant: headers['tenant'], 'dlq-reason': 'none' }, timestamp: '1600000000000' }] })
    await raw.send({ topic: mirror, messages: [{ key, value, headers: { ...headers, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } }] })
    const { seen, parked } = await handledFrom([origin, retry, dead, mirror])
    await expect.poll(() => seen.length, WAIT).toBe(4)
    expect(new Set(seen.map(([from]) => from))).toEqual(new Set([origin, retry, dead, mirror]))
    expect(seen.map(([, message]) => [String(message.value), String(message.headers?.['content-type']), opened(message)?.channel])).toEqual(Array.from({ length: 4 }, () => ['on its way', 'text/plain', 'orders']))
    expect(new Set(seen.map(([, message]) => opened(message)?.id)).size).toBe(1)
    expect(parked).toEqual([])
  })

  it('pitfall 16: what is bound is: another key, a changed or missing bound header, another channel', async () => {
    const { sealed, raw, stored, topic } = fixture
    const origin = await topic()
    const foreign = await topic('refunds')
    await sealed.send({ topic: origin, messages: [{ key: 'k', value: 'bound', headers: { tenant: 'acme' } }] })
    const [{ key, value, headers = {} } = NOTHING] = await stored(origin, 1)
    await raw.send({ topic: origin, messages: [
      { key: 'other', value, headers },
      { value, headers },
      { key, value, headers: { ...headers, tenant: 'globex' } },
      { key, value, headers: { ...headers, tenant: ['acme', 'globex'] } },
      { key, value, headers: {} },
    ] })
    await raw.send({ topic: foreign, messages: [{ key, value, headers }] })
    const { seen, parked } = await handledFrom([origin, foreign])
    await expect.poll(() => parked.length, WAIT).toBe(6)
    expect([seen.map(([, message]) => String(message.value)), parked.map(({ code }) => code)]).toEqual([['bound'], Array(6).fill('ERR_SEALBUS_CONTEXT_MISMATCH')])
  })

  it('pitfall 29: what Kafka delivers again is no attack: after a failure, a crash before the commit, a seek, a new group and a copy', async () => {
    const { sealed, raw, topic, stored, consumer } = fixture
    const name = await topic()
    const groupId = uniqueName('group')
    await sealed.send({ topic: name, messages: [{ key: 'k', value: 'once sealed', headers: { tenant: 'acme' } }] })
    const ids: (string | undefined)[] = []
    const deliver = async ({ message }: { message: KafkaMessage }): Promise<void> => {
      ids.push(opened(message)?.id)
      if (ids.length === 1) throw new Error('the handler fails once')
    }
    const first = await consumer({ topics: [name], groupId })
    await first.run({ autoCommit: false, eachMessage: deliver })
    await expect.poll(() => ids.length, WAIT).toBe(2)
    // As a crash: nothing was committed.
    await first.disconnect()
    const second = await consumer({ topics: [name], groupId })
    await second.run({ eachMessage: deliver })
    await expect.poll(() => ids.length, WAIT).toBe(3)
    second.seek({ topic: name, partition: 0, offset: '0' })
    await expect.poll(() => ids.length, WAIT).toBe(4)
    const third = await consumer({ topics: [name] })
    await third.run({ eachMessage: deliver })
    await expect.poll(() => ids.length, WAIT).toBe(5)
    // What a producer's retry without idempotence leaves behind.
    const [{ key, value, headers = {} } = NOTHING] = await stored(name, 1)
    await raw.send({ topic: name, messages: [{ key, value, headers }] })
    await expect.poll(() => ids.length, WAIT).toBe(7)
    expect(new Set(ids).size).toBe(1)
  })

  it('pitfall 30: a message that waited for days, or comes from a clock that is ahead, opens', async () => {
    const { raw, services, topic } = fixture
    const name = await topic()
    // Keys from a directory without a clock: it is the message's time that is to be old.
    const [identity] = services.named('billing').identities.list()
    const sealer = createSealer({ directory: createStaticDirectory({ billing: { ...identity?.publicJwk, kid: 'billing-1' } }), channels, contentKeys: 'per-message' })
    const days = [-30, -3, 2]
    const messages = days.map((day) => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + day * 86_400_000 })
      const { bytes } = sealer.sealSync(`${day}`, { channel: 'orders', key: null, headers: { tenant: 'acme' } })
      vi.useRealTimers()
      return { value: bytes, headers: { tenant: 'acme' } }
    })
    await raw.send({ topic: name, messages })
    const { seen, parked } = await handledFrom([name])
    await expect.poll(() => seen.length, WAIT).toBe(3)
    const ages = seen.map(([, message]) => Math.round((Number(opened(message)?.time) - Date.now()) / 86_400_000))
    expect([seen.map(([, { value }]) => Number(String(value))), ages, parked]).toEqual([days, days, []])
  })

  it('pitfall 32: a channel that is sealed takes nothing plain, whatever its headers say', async () => {
    const { raw, topic } = fixture
    const name = await topic()
    const { bytes } = fixture.sealer.sealSync('sealed', { channel: 'orders', key: null, headers: { tenant: 'acme' } })
    await raw.send({ topic: name, messages: [
      { value: 'plain', headers: { tenant: 'acme' } },
      { value: 'plain', headers: { tenant: 'acme', 'content-type': 'text/plain' } },
      { value: '{"total":9}', headers: { tenant: 'acme', 'content-type': 'application/jose+json' } },
      // The type of the envelope stripped: it is an envelope all the same, and opens.
      { value: bytes, headers: { tenant: 'acme' } },
      { value: bytes, headers: { tenant: 'acme', 'content-type': 'text/plain' } },
    ] })
    const { seen, parked } = await handledFrom([name])
    await expect.poll(() => [seen.length, parked.length], WAIT).toEqual([2, 3])
    expect(seen.map(([, message]) => [String(message.value), opened(message) !== undefined])).toEqual(Array.from({ length: 2 }, () => ['sealed', true]))
    expect(parked.map(({ offset, code }) => [offset, code.replace('MALFORMED', 'NOT_SEALED')])).toEqual(['0', '1', '2'].map((offset) => [offset, 'ERR_SEALBUS_NOT_SEALED']))
  })

  it('pitfall 32: while a topic moves over, plain and sealed are both taken, and a sealed one that fails is never taken for a plain one', async () => {
    const { raw, sealed, topic, sealer } = fixture
    const name = await topic('moving')
    const envelope = sealer.sealSync('x', { channel: 'moving', key: null }).bytes
    const [first, ...rest] = [
      tamper(envelope),
      // Cut, or without the type of an envelope, or dressed up as another JOSE form: sealed by its looks, and so never plain.
      envelope.subarray(0, 300),
      Buffer.from('{"protected":"e30","ciphertext":"AA","iv":"","tag":""}'),
      Buffer.from(`{ "ciphertext": "AA", "protected": "e30" }`),
      Buffer.from(`${Buffer.from('{"alg":"dir","enc":"A256GCM"}').toString('base64url')}....`),
    ].map((value) => ({ value, headers: { 'content-type': 'application/json' } }))
    await raw.send({ topic: name, messages: [{ value: '{"total":1}', headers: { 'content-type': 'application/json' } }, first ?? { value: null }, ...rest, { value: 'ciphertext: none' }] })
    await sealed.send({ topic: name, messages: [{ value: 'sealed' }] })
    const { seen, parked } = await handledFrom([name])
    await expect.poll(() => seen.length, WAIT).toBe(3)
    await sleep(200)
    expect(seen.map(([, message]) => [String(message.value), opened(message) !== undefined])).toEqual([['{"total":1}', false], ['ciphertext: none', false], ['sealed', true]])
    expect(parked).toHaveLength(1 + rest.length)
  })
})
