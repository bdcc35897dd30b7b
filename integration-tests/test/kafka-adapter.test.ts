import { setTimeout as sleep } from 'node:timers/promises'
import { defineChannels, opened, SealbusError } from '@sealbus/core'
import { consumerHealth, type ParkedMessage, sealKafka, type SealKafkaOptions, type StoppedMessage } from '@sealbus/kafka'
import type { Consumer, EachBatchPayload, EachMessagePayload, KafkaMessage } from 'kafkajs'
import { beforeEach, describe, expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { tamper, useKafka, WAIT } from '../support/kafka-fixture.ts'

describeWithKafka('Kafka adapter', ({ bootstrap }) => {
  const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] }, metrics: 'plaintext' })
  const fixture = useKafka(bootstrap, channels)
  let topic: string
  beforeEach(async () => {
    topic = await fixture.topic('orders', { partitions: 2 })
  })

  const consumer = (options: Partial<SealKafkaOptions> = {}, groupId = uniqueName('group')): Promise<Consumer> => fixture.consumer({ ...options, topics: [topic], groupId })
  const numbers = (count: number, partition?: number): { value: string; key: string; partition?: number }[] =>
    Array.from({ length: count }, (_, index) => ({ value: `${index}`, key: `k${index}`, ...(partition !== undefined && { partition }) }))
  const tampered = (): Buffer => tamper(fixture.sealer.sealSync('x', { channel: 'orders', key: null }).bytes)

  describe('round trip', () => {
    it('send and sendBatch: the broker has envelopes, the handler has plaintext, headers and keys as they were', async () => {
      await fixture.sealed.send({ topic, messages: [{ key: 'a', value: '{"n":1}', headers: { 'content-type': 'application/json', trace: 't1', many: ['x', 'y'] }, partition: 0 }] })
      await fixture.sealed.sendBatch({ topicMessages: [{ topic, messages: [{ key: null, value: Buffer.from([0, 255]), partition: 0 }, { key: 'gone', value: null, partition: 0 }, { key: 'e', value: '', partition: 0 }] }] })
      const seen: KafkaMessage[] = []
      const wrapped = await consumer()
      await wrapped.run({ eachMessage: async ({ message }) => void seen.push(message) })
      const stored = await fixture.stored(topic, 4)
      await expect.poll(() => seen.length, WAIT).toBe(4)
      expect(seen.map(({ value }) => value)).toEqual([Buffer.from('{"n":1}'), Buffer.from([0, 255]), null, Buffer.from('')])
      expect(seen.map(({ key }) => key?.toString() ?? null)).toEqual(['a', null, 'gone', 'e'])
      expect(seen[0]?.headers).toEqual({ 'content-type': Buffer.from('application/json'), trace: Buffer.from('t1'), many: [Buffer.from('x'), Buffer.from('y')] })
      expect(seen.map((message) => opened(message)?.channel)).toEqual(['orders', 'orders', undefined, 'orders'])
      expect(opened({ ...seen[0] })?.kid).toBe('billing-1')
      expect(stored[0]?.headers?.['content-type']?.toString()).toBe('application/jose+json')
      expect(stored[0]?.value?.toString()).toMatch(/^\{"protected":"/)
      expect(stored[2]?.value).toBeNull()
    })

    it('transactions: committed ones arrive sealed, aborted ones do not', async () => {
      const producer = sealKafka(fixture.kafka, { sealer: fixture.sealer }).producer({ transactionalId: uniqueName('tx'), idempotent: true, maxInFlightRequests: 1 })
      fixture.closeLater(() => producer.disconnect())
      await producer.connect()
      for (const [value, commit] of [['aborted', false], ['kept', true]] as const) {
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: [{ value, partition: 0 }] })
        await (commit ? transaction.commit() : transaction.abort())
      }
      const seen: string[] = []
      const wrapped = await consumer()
      await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
      await expect.poll(() => seen, { timeout: 15_000 }).toEqual(['kept'])
    })

    it('a batch is sealed whole or not at all, and errors quote nothing', async () => {
      const batch = fixture.sealed.sendBatch({ topicMessages: [{ topic, messages: [{ value: 'secret-1' }] }, { topic: 'undeclared', messages: [{ value: 'secret-2' }] }] })
      await expect(batch).rejects.toMatchObject({ code: 'ERR_SEALBUS_UNDECLARED_CHANNEL' })
      const misspelt = fixture.sealed.send({ topic, messages: [{ vlaue: 'secret-3' } as never] })
      await expect(misspelt).rejects.toThrow(SealbusError)
      await expect(misspelt).rejects.not.toThrow(/secret/)
      const large = fixture.sealed.send({ topic, messages: [{ value: 'x'.repeat(900_000) }] })
      await expect(large).rejects.toMatchObject({ code: 'ERR_SEALBUS_TOO_LARGE' })
      expect(await fixture.ends(topic)).toEqual(['0', '0'])
    })

    it('an opened message passes through a sealed producer to a retry topic as it is', async () => {
      const retry = await fixture.topic('orders-retry')
      await fixture.sealed.send({ topic, messages: [{ key: 'k', value: 'again' }] })
      const seen: [string, string | undefined, boolean][] = []
      let first: Buffer | undefined
      const wrapped = await consumer()
      await wrapped.subscribe({ topic: retry, fromBeginning: true })
      await wrapped.run({
        eachMessage: async ({ topic: from, message }) => {
          const envelope = opened(message)?.envelope
          seen.push([from, message.value?.toString(), first === undefined || envelope?.equals(first) === true])
          first ??= envelope
          if (from === topic) await fixture.sealed.send({ topic: retry, messages: [{ key: message.key, value: envelope ?? null, headers: message.headers ?? {} }] })
        },
      })
      await expect.poll(() => seen, { timeout: 15_000 }).toEqual([[topic, 'again', true], [retry, 'again', true]])
    })
  })

  type Mode = 'eachMessage' | 'eachBatch' | 'manual commit'
  const MODES: readonly Mode[] = ['eachMessage', 'eachBatch', 'manual commit']
  const run = (made: Consumer, mode: Mode, handle: (place: { topic: string; partition: number }, message: KafkaMessage) => void): Promise<void> => {
    if (mode === 'eachBatch') {
      return made.run({ eachBatch: async ({ batch }: EachBatchPayload) => {
        for (const message of batch.messages) handle(batch, message)
        if (batch.messages.length > 0) expect(BigInt(batch.lastOffset())).toBeGreaterThanOrEqual(BigInt(batch.messages.at(-1)?.offset ?? '0'))
      } })
    }
    const manual = mode === 'manual commit'
    return made.run({ autoCommit: !manual, eachMessage: async ({ topic: from, partition, message }: EachMessagePayload) => {
      handle({ topic: from, partition }, message)
      if (manual) await made.commitOffsets([{ topic: from, partition, offset: `${BigInt(message.offset) + 1n}` }])
    } })
  }

  describe.each(MODES)('a message that does not open, %s', (mode) => {
    it('hold: the partition keeps its place, the other goes on, and everything is handled once the key source is back', async () => {
      const { source, opener } = fixture.remote()
      const groupId = uniqueName('group')
      const seen: string[][] = [[], []]
      const wrapped = await consumer({ opener }, groupId)
      await fixture.sealed.send({ topic, messages: numbers(5, 0) })
      await run(wrapped, mode, ({ partition }, { value }) => void seen[partition]?.push(String(value)))
      await expect.poll(() => seen[0]?.length, { timeout: 15_000 }).toBe(5)
      source.available = false
      fixture.sealer.reset()
      await fixture.sealed.send({ topic, messages: numbers(5, 0).map((each) => ({ ...each, value: `held-${each.value}` })) })
      await expect.poll(() => consumerHealth(wrapped).halted, { timeout: 15_000 }).toMatchObject([{ topic, partition: 0, offset: '5', state: 'holding', code: 'ERR_SEALBUS_KEY_UNAVAILABLE' }])
      // A tombstone needs no key: partition 1 goes on, again and again.
      for (let round = 1; round <= 3; round++) {
        await fixture.raw.send({ topic, messages: [{ key: 't', value: null, partition: 1 }] })
        await expect.poll(() => seen[1]?.length, { timeout: 2_000 }).toBe(round)
      }
      await sleep(600)
      expect(seen[0]).toHaveLength(5)
      expect((await fixture.committed(groupId, topic))[0]).toBe('5')
      source.available = true
      await expect.poll(() => seen[0]?.length, { timeout: 15_000 }).toBe(10)
      expect(seen[0]?.slice(5)).toEqual(['held-0', 'held-1', 'held-2', 'held-3', 'held-4'])
      await expect.poll(async () => (await fixture.committed(groupId, topic))[0], { timeout: 5_000 }).toBe('10')
      expect(consumerHealth(wrapped)).toEqual({ healthy: true, halted: [] })
    })

    it('park: the copy is byte for byte with its reason, and the rest is handled in order, also when it is last', async () => {
      const parkTopic = await fixture.topic('parked')
      const bad = tampered()
      const groupId = uniqueName('group')
      const parked: ParkedMessage[] = []
      await fixture.sealed.send({ topic, messages: numbers(2, 0) })
      await fixture.raw.send({ topic, messages: [{ key: 'bad', value: bad, headers: { mark: 'kept' }, partition: 0 }] })
      await fixture.sealed.send({ topic, messages: [{ value: '2', partition: 0 }] })
      await fixture.raw.send({ topic, messages: [{ value: 'plain', partition: 0 }] })
      const seen: string[] = []
      const wrapped = await consumer({ park: { topic: parkTopic, producer: fixture.raw }, onParked: (message) => void parked.push(message) }, groupId)
      await run(wrapped, mode, (_place, { value }) => void seen.push(String(value)))
      await expect.poll(() => [seen, parked.map(({ code }) => code)], { timeout: 15_000 }).toEqual([['0', '1', '2'], ['ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_NOT_SEALED']])
      await expect.poll(async () => (await fixture.committed(groupId, topic))[0], { timeout: 5_000 }).toBe(mode === 'manual commit' ? '4' : '5')
      const copies = await fixture.stored(parkTopic, 2)
      expect(copies[0]?.value).toEqual(bad)
      expect(copies[0]?.key?.toString()).toBe('bad')
      const headers = Object.fromEntries(Object.entries(copies[0]?.headers ?? {}).map(([name, value]) => [name, String(value)]))
      expect(headers).toMatchObject({ mark: 'kept', 'sealbus-park-code': 'ERR_SEALBUS_DECRYPT_FAILED', 'sealbus-park-by': groupId, 'sealbus-park-origin': `${topic}/0/2`, 'sealbus-park-id': `${groupId}/${topic}/0/2` })
    })

    it('stop: nothing is committed past it, health fails, the other partition goes on; seeking past it goes on', async () => {
      const groupId = uniqueName('group')
      const stopped: StoppedMessage[] = []
      await fixture.sealed.send({ topic, messages: numbers(2, 0) })
      await fixture.raw.send({ topic, messages: [{ value: tampered(), partition: 0 }] })
      await fixture.sealed.send({ topic, messages: [{ value: 'after', partition: 0 }, { value: 'other', partition: 1 }] })
      const seen: string[] = []
      const wrapped = await consumer({ onStopped: (message) => void stopped.push(message) }, groupId)
      await run(wrapped, mode, (_place, { value }) => void seen.push(String(value)))
      await expect.poll(() => [seen.toSorted(), stopped.length], { timeout: 15_000 }).toEqual([['0', '1', 'other'], 1])
      expect(stopped[0]).toMatchObject({ topic, partition: 0, offset: '2', error: { code: 'ERR_SEALBUS_DECRYPT_FAILED' } })
      expect(consumerHealth(wrapped)).toMatchObject({ healthy: false, halted: [{ state: 'stopped', offset: '2' }] })
      await sleep(1_000)
      expect(stopped).toHaveLength(1)
      await expect.poll(async () => (await fixture.committed(groupId, topic))[0], { timeout: 5_000 }).toBe('2')
      wrapped.seek({ topic, partition: 0, offset: '3' })
      await expect.poll(() => seen.at(-1), { timeout: 15_000 }).toBe('after')
      expect(consumerHealth(wrapped).healthy).toBe(true)
    })
  })

  it('skip: messages that are not for us by name, by choice only', async () => {
    const seen: string[] = []
    const groupId = uniqueName('group')
    await fixture.sealed.send({ topic, messages: numbers(3, 0) })
    const wrapped = await consumer({ opener: fixture.services.named('audit').opener(channels), dispositions: { notARecipient: 'skip' } }, groupId)
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(async () => (await fixture.committed(groupId, topic))[0], { timeout: 15_000 }).toBe('3')
    expect(seen).toEqual([])
  })

  it('stop() during a hold ends in under 5 s, and a new consumer goes on at the held message', async () => {
    const { source, opener } = fixture.remote()
    source.available = false
    const groupId = uniqueName('group')
    await fixture.sealed.send({ topic, messages: numbers(3, 0) })
    const held = await consumer({ opener }, groupId)
    await held.run({ eachMessage: async () => expect.unreachable('it cannot be opened') })
    await expect.poll(() => consumerHealth(held).halted.length, { timeout: 15_000 }).toBe(1)
    const start = Date.now()
    await held.stop()
    expect(Date.now() - start).toBeLessThan(5_000)
    await held.disconnect()
    const seen: string[] = []
    const next = await consumer({}, groupId)
    await next.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen, { timeout: 15_000 }).toEqual(['0', '1', '2'])
  })

  it("a handler's error arrives at the client as the same object, and the message comes again", async () => {
    await fixture.sealed.send({ topic, messages: numbers(3, 0) })
    const seen: string[] = []
    const wrapped = await consumer()
    await wrapped.run({
      eachMessage: async ({ message }) => {
        seen.push(String(message.value))
        if (seen.length === 2) throw new Error('handler')
      },
    })
    await expect.poll(() => seen, { timeout: 20_000 }).toEqual(['0', '1', '1', '2'])
  })

  it('a slow key source delays only its own partition', async () => {
    const service = fixture.services.named('billing')
    const [identity] = service.identities.list().map((each) => ({
      ...each,
      async unwrap(request: Parameters<typeof each.unwrap>[0]): Promise<Buffer | null> {
        await sleep(1_500)
        return each.unwrap(request)
      },
    }))
    const slowOpener = service.opener(channels, { identities: { find: () => identity, list: () => [] } })
    const seen: { partition: number; at: number }[] = []
    const wrapped = await consumer({ opener: slowOpener })
    await wrapped.run({ eachMessage: async ({ partition }) => void seen.push({ partition, at: Date.now() }) })
    await fixture.sealed.send({ topic, messages: [{ value: 'slow', partition: 0 }] })
    const start = Date.now()
    for (let count = 0; count < 15; count++) {
      await fixture.raw.send({ topic, messages: [{ key: 't', value: null, partition: 1 }] })
      await sleep(100)
    }
    await expect.poll(() => seen.filter(({ partition }) => partition === 0).length, { timeout: 15_000 }).toBe(1)
    const times = [start, ...seen.filter(({ partition, at }) => partition === 1 && at >= start).map(({ at }) => at)]
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
    expect(Math.max(...gaps)).toBeLessThan(1_000)
  })
})
