import { setTimeout as sleep } from 'node:timers/promises'
import { defineChannels, type IdentityStore, opened } from '@sealbus/core'
import { redrive } from '@sealbus/kafka'
import type { Batch, Consumer, EachBatchPayload, KafkaMessage } from 'kafkajs'
import { expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { eventsOf, NOTHING, tamper, useKafka, WAIT } from '../support/kafka-fixture.ts'

// The numbers are those of the list of pitfalls in docs/KAFKA.md.
const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] } })

describeWithKafka('Kafka pitfalls: consuming', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  const envelope = (value: string): Buffer => fixture.sealer.sealSync(value, { channel: 'orders', key: null }).bytes
  const values = (count: number, partition = 0, stem = ''): { value: string; partition: number }[] => Array.from({ length: count }, (_, index) => ({ value: `${stem}${index}`, partition }))

  it("pitfall 9: a batch has the client's own facts and methods, markers of transactions included", async () => {
    const { kafka, producer, consumer, closeLater, committed } = fixture
    const topic = await fixture.topic()
    const transactional = await producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 })
    for (const end of ['abort', 'commit'] as const) {
      const transaction = await transactional.transaction()
      await transaction.send({ topic, messages: values(3, 0, end) })
      await transaction[end]()
    }
    // Abort and commit have a marker each: 3 + 1 + 3 + 1.
    await expect.poll(() => fixture.ends(topic), WAIT).toEqual(['8'])
    const facts = (batch: Batch): unknown[] => [batch.topic, batch.partition, batch.highWatermark, batch.messages.map(({ offset }) => offset), batch.isEmpty(), batch.firstOffset(), batch.lastOffset(), batch.offsetLag(), batch.offsetLagLow()]
    const [inner, outer]: [unknown[], unknown[]] = [[], []]
    const plain = kafka.consumer({ groupId: uniqueName('plain'), maxWaitTimeInMs: 100 })
    closeLater(() => plain.disconnect())
    await plain.connect()
    await plain.subscribe({ topic, fromBeginning: true })
    await plain.run({ eachBatch: async ({ batch }) => void inner.push(facts(batch)) })
    const groupId = uniqueName('group')
    const wrapped = await consumer({ topics: [topic], groupId })
    const members: string[][] = []
    await wrapped.run({ eachBatchAutoResolve: false, eachBatch: async (payload) => {
      outer.push(facts(payload.batch))
      members.push(Object.keys(payload).toSorted())
      expect([payload.batch.constructor.name, Object.keys({ ...payload.batch }).toSorted()]).toEqual(['Batch', ['fetchedOffset', 'highWatermark', 'messages', 'messagesWithinOffset', 'partition', 'rawMessages', 'topic']])
      expect(payload.uncommittedOffsets()).toMatchObject({ topics: expect.any(Array) as unknown })
      for (const { offset } of payload.batch.messages) payload.resolveOffset(offset)
      await payload.commitOffsetsIfNecessary()
    } })
    await expect.poll(() => [inner.length, outer.length].every((count) => count > 0), WAIT).toBe(true)
    expect(outer[0]).toEqual(inner[0])
    expect(members[0]).toEqual(['batch', 'commitOffsetsIfNecessary', 'heartbeat', 'isRunning', 'isStale', 'pause', 'resolveOffset', 'uncommittedOffsets'])
    // Resolving the last one that is seen moves past the marker, which nobody sees.
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(['8'])
  })

  it('pitfall 10: the last of three is parked, and a handler that resolves what it sees moves past it', async () => {
    const { consumer, raw, sealed, committed } = fixture
    const topic = await fixture.topic()
    const parkTopic = await fixture.topic('parked')
    await sealed.send({ topic, messages: values(2) })
    await raw.send({ topic, messages: [{ value: tamper(envelope('x')) }] })
    const groupId = uniqueName('group')
    const batches: number[] = []
    const wrapped = await consumer({ topics: [topic], groupId, park: { topic: parkTopic, producer: raw } })
    await wrapped.run({ eachBatchAutoResolve: false, eachBatch: async (payload) => {
      batches.push(payload.batch.messages.length)
      for (const { offset } of payload.batch.messages) payload.resolveOffset(offset)
    } })
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(['3'])
    await sealed.send({ topic, messages: values(1) })
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(['4'])
    // The tail was not fetched again.
    expect(batches.reduce((sum, count) => sum + count, 0)).toBe(3)
    expect(await fixture.ends(parkTopic)).toEqual(['1'])
  })

  it.each(['eachMessage', 'eachBatch'] as const)('pitfall 11: %s, 500 messages with 50 ms of key look-up each, session of 6 s: no rebalance', { timeout: 150_000 }, async (mode) => {
    const { consumer, services, opener, raw, committed } = fixture
    const topic = await fixture.topic()
    const sealer = await services.sealer(channels, { contentKeys: 'per-message' })
    await raw.send({ topic, messages: values(500).map(({ value }) => ({ value: sealer.sealSync(value, { channel: 'orders', key: null }).bytes })) })
    const [identity] = services.named('billing').identities.list()
    const slow: IdentityStore = { list: () => [], find: () => identity && { ...identity, async unwrap(request) {
      await sleep(50)
      return identity.unwrap(request)
    } } }
    const groupId = uniqueName('group')
    const seen: string[] = []
    const wrapped = await consumer({ topics: [topic], groupId, opener: opener({ identities: slow }), config: { sessionTimeout: 6_000, heartbeatInterval: 500 } })
    const events = eventsOf(wrapped, 'GROUP_JOIN', 'REBALANCING', 'CRASH')
    const started = Date.now()
    await wrapped.run(mode === 'eachMessage'
      ? { eachMessage: async ({ message }) => void seen.push(String(message.value)) }
      : { eachBatch: async ({ batch }) => void seen.push(...batch.messages.map(({ value }) => String(value))) })
    await expect.poll(() => seen.length, { timeout: 120_000 }).toBe(500)
    // Longer than the session, or nothing was shown.
    expect(Date.now() - started).toBeGreaterThan(6_000)
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(['500'])
    expect([seen, events]).toEqual([values(500).map(({ value }) => value), ['GROUP_JOIN']])
  })

  it.each(['eachMessage', 'eachBatch'] as const)('pitfall 12: seek within %s: nothing more of the batch that is stale then', async (mode) => {
    const { consumer, sealed, committed } = fixture
    const topic = await fixture.topic()
    await sealed.send({ topic, messages: values(10) })
    const [seen, groupId] = [[] as string[], uniqueName('group')]
    const wrapped = await consumer({ topics: [topic], groupId })
    const handle = ({ value, offset }: KafkaMessage): void => {
      seen.push(String(value))
      if (offset === '2' && seen.length === 3) wrapped.seek({ topic, partition: 0, offset: '8' })
    }
    await wrapped.run(mode === 'eachMessage' ? { eachMessage: async ({ message }) => handle(message) } : { eachBatch: async (payload: EachBatchPayload) => {
      for (const message of payload.batch.messages) {
        if (payload.isStale()) break
        handle(message)
        payload.resolveOffset(message.offset)
      }
    } })
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(['10'])
    expect(seen).toEqual(['0', '1', '2', '8', '9'])
  })

  it('pitfall 13: a second member joins in the midst: every message is handled, and again at most one batch per partition', async () => {
    const { consumer, sealed, committed } = fixture
    const partitions = 4
    const topic = await fixture.topic('orders', { partitions })
    const groupId = uniqueName('group')
    const handled = new Map<string, number>()
    let largest = 0
    const member = async (): Promise<Consumer> => {
      const wrapped = await consumer({ topics: [topic], groupId, config: { maxBytesPerPartition: 20_000 } })
      wrapped.on(wrapped.events.START_BATCH_PROCESS, ({ payload }) => void (largest = Math.max(largest, payload.batchSize)))
      await wrapped.run({ partitionsConsumedConcurrently: 2, eachMessage: async ({ message }) => {
        const value = String(message.value)
        handled.set(value, (handled.get(value) ?? 0) + 1)
        await sleep(2)
      } })
      return wrapped
    }
    const all = Array.from({ length: partitions }, (_, partition) => values(250, partition, `${partition}-`)).flat()
    await sealed.send({ topic, messages: all })
    await member()
    await expect.poll(() => handled.size, WAIT).toBeGreaterThan(50)
    const second = await member()
    await expect.poll(() => handled.size, { timeout: 60_000 }).toBe(all.length)
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(Array(partitions).fill('250'))
    for (let partition = 0; partition < partitions; partition++) {
      const again = values(250, partition, `${partition}-`).reduce((sum, { value }) => sum + (handled.get(value) ?? 0) - 1, 0)
      expect(again).toBeLessThanOrEqual(largest)
    }
    // The second member has its share.
    const { groups: [group] } = await fixture.admin.describeGroups([groupId])
    expect(group?.members).toHaveLength(2)
    await second.disconnect()
  })

  it('pitfall 13: that the group rebalances reaches the handler with its heartbeat, as the client tells it', async () => {
    const { consumer, sealed } = fixture
    const topic = await fixture.topic('orders', { partitions: 2 })
    const groupId = uniqueName('group')
    await sealed.send({ topic, messages: [...values(1, 0), ...values(1, 1)] })
    const told: string[] = []
    const first = await consumer({ topics: [topic], groupId })
    const began = Promise.withResolvers<void>()
    await first.run({ eachBatch: async (payload) => {
      began.resolve()
      try {
        while (told.length === 0) {
          await sleep(50)
          await payload.heartbeat()
        }
      } catch (error) {
        told.push((error as { type?: string }).type ?? String(error))
        throw error
      }
    } })
    await began.promise
    const second = await consumer({ topics: [topic], groupId })
    await second.run({ eachMessage: async () => {} })
    await expect.poll(() => told[0], WAIT).toBe('REBALANCE_IN_PROGRESS')
  })

  it("pitfall 13: a handler's own commit is there when it resolves, and one that fails reaches the handler, as the client tells it", async () => {
    const { consumer, sealed, committed } = fixture
    const [topic, groupId] = [await fixture.topic(), uniqueName('group')]
    await sealed.send({ topic, messages: values(2) })
    const told: (string | undefined)[] = []
    const done = Promise.withResolvers<string[]>()
    // It sends no heartbeat, so that the group goes on without it when another joins: its commit is what tells.
    const config = { rebalanceTimeout: 1_000 }
    const first = await consumer({ topics: [topic], groupId, config })
    await first.run({ autoCommit: false, eachBatch: async (payload) => {
      const commit = (): Promise<void> => payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition: 0, offset: '1' }] }] })
      try {
        await commit()
        done.resolve(await committed(groupId, topic))
        while (told.length === 0) {
          await sleep(50)
          await commit()
        }
      } catch (error) {
        told.push((error as { type?: string }).type)
        throw error
      }
    } })
    expect(await done.promise).toEqual(['1'])
    const second = await consumer({ topics: [topic], groupId, config })
    await second.run({ eachMessage: async () => {} })
    await expect.poll(() => told[0], WAIT).toMatch(/^(UNKNOWN_MEMBER_ID|ILLEGAL_GENERATION|REBALANCE_IN_PROGRESS)$/)
  })

  it('pitfall 14: header names of Object.prototype, and a content type that was added a second time on the way', async () => {
    const { consumer, sealed, raw, stored } = fixture
    const topic = await fixture.topic()
    const headers = JSON.parse('{"__proto__":"a","constructor":"b","toString":"c","hasOwnProperty":"d","content-type":"application/json"}') as Record<string, string>
    await sealed.send({ topic, messages: [{ value: '{"n":1}', headers }] })
    const [{ value } = NOTHING] = await stored(topic, 1)
    await raw.send({ topic, messages: [
      { value, headers: { 'content-type': ['application/jose+json', 'text/plain'] } },
      { value, headers: { 'Content-Type': 'text/plain', 'CONTENT-TYPE': 'text/html' } },
      { value },
    ] })
    const seen: KafkaMessage[] = []
    const wrapped = await consumer({ topics: [topic] })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(message) })
    await expect.poll(() => seen.length, WAIT).toBe(4)
    // The type from inside counts, whatever stands outside; and nothing has become anybody's prototype.
    for (const { value: plain, headers: given } of seen) {
      expect(String(plain)).toBe('{"n":1}')
      expect(Object.entries(given ?? {}).filter(([name]) => name.toLowerCase() === 'content-type')).toEqual([['content-type', Buffer.from('application/json')]])
    }
    expect(seen.map((message) => opened(message)?.channel)).toEqual(Array(4).fill('orders'))
    expect(Object.keys(seen[0]?.headers ?? {}).toSorted()).toEqual(['__proto__', 'constructor', 'content-type', 'hasOwnProperty', 'toString'].toSorted())
    expect([Object.getPrototypeOf({}), ({} as Record<string, unknown>)['polluted']]).toEqual([Object.prototype, undefined])
  })

  it('pitfall 14: a message that does not open, with such names, is parked, and comes back by a redrive', async () => {
    const { consumer, sealed, raw, committed, kafka, stored } = fixture
    const [topic, parkTopic, retry, groupId] = [await fixture.topic(), await fixture.topic('parked'), await fixture.topic('retry'), uniqueName('group')]
    const headers = JSON.parse('{"__proto__":"a","constructor":"b","toString":"c"}') as Record<string, string>
    await raw.send({ topic, messages: [{ value: 'not sealed', headers }] })
    await sealed.send({ topic, messages: [{ value: 'next' }] })
    const wrapped = await consumer({ topics: [topic], groupId, park: { topic: parkTopic, producer: raw } })
    await wrapped.run({ eachMessage: async () => {} })
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(['2'])
    expect(await redrive(kafka, { from: parkTopic, by: groupId, to: retry, dryRun: false })).toMatchObject({ delivered: 1 })
    const [message] = await stored(retry, 1)
    expect([String(message?.value), ...Object.keys(message?.headers ?? {}).toSorted()]).toEqual(['not sealed', '__proto__', 'constructor', 'toString'])
  })
})
