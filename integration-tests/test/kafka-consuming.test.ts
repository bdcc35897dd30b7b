import { setTimeout as sleep } from 'node:timers/promises'
import { defineChannels } from '@sealbus/core'
import { consumerHealth, type ParkedMessage, type ParkingPlace, sealKafka, type SealKafkaOptions, withPlaintextPartitioner } from '@sealbus/kafka'
import type { Consumer, PartitionerArgs, Producer } from 'kafkajs'
import { beforeEach, expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { useKafka, WAIT } from '../support/kafka-fixture.ts'

const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] } })

describeWithKafka('Kafka: places, groups and commits', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  let topic: string
  let groupId: string
  beforeEach(async () => {
    topic = await fixture.topic('orders', { partitions: 2 })
    groupId = uniqueName('group')
  })

  const consumer = (options: Partial<SealKafkaOptions> = {}): Promise<Consumer> => fixture.consumer({ ...options, topics: [topic], groupId })
  const committed = (): Promise<string[]> => fixture.committed(groupId, topic)
  const values = (count: number, partition: number, stem = ''): { value: string; partition: number }[] => Array.from({ length: count }, (_, index) => ({ value: `${stem}${index}`, partition }))

  it('a rebalance during a hold: whoever has the partition then holds it, and nothing is lost or committed past', async () => {
    const { source, opener } = fixture.remote()
    source.available = false
    const seen: string[] = []
    const handle = { eachMessage: async ({ message }: { message: { value: Buffer | null } }) => void seen.push(String(message.value)) }
    await fixture.sealed.send({ topic, messages: [...values(3, 0, 'a'), ...values(3, 1, 'b')] })
    const first = await consumer({ opener })
    await first.run(handle)
    await expect.poll(() => consumerHealth(first).halted.length, WAIT).toBe(2)
    const second = await consumer({ opener })
    await second.run(handle)
    // One partition each, held by the one that has it.
    await expect.poll(() => [consumerHealth(first).halted.length, consumerHealth(second).halted.length], WAIT).toEqual([1, 1])
    expect(seen).toEqual([])
    expect(await committed()).toEqual(['-1', '-1'])
    await first.disconnect()
    await expect.poll(() => consumerHealth(second).halted.length, WAIT).toBe(2)
    source.available = true
    await expect.poll(() => seen.toSorted(), WAIT).toEqual(['a0', 'a1', 'a2', 'b0', 'b1', 'b2'])
    await expect.poll(committed, WAIT).toEqual(['3', '3'])
  })

  it('pitfall 10: parked messages around those that a handler resolves itself, the last one too', async () => {
    const parkTopic = await fixture.topic('parked')
    const bad = { value: 'not sealed', partition: 0 }
    await fixture.raw.send({ topic, messages: [bad] })
    await fixture.sealed.send({ topic, messages: values(2, 0) })
    await fixture.raw.send({ topic, messages: [bad] })
    await fixture.sealed.send({ topic, messages: [{ value: '2', partition: 0 }] })
    await fixture.raw.send({ topic, messages: [bad, bad] })
    const seen: string[] = []
    const parked: ParkedMessage[] = []
    const wrapped = await consumer({ park: { topic: parkTopic, producer: fixture.raw }, onParked: (message) => void parked.push(message) })
    await wrapped.run({ eachBatchAutoResolve: false, eachBatch: async (payload) => {
      for (const message of payload.batch.messages) {
        seen.push(String(message.value))
        payload.resolveOffset(message.offset)
        await payload.heartbeat()
      }
    } })
    await expect.poll(async () => (await committed())[0], WAIT).toBe('7')
    await sleep(500)
    expect([seen, parked.map(({ offset }) => offset)]).toEqual([['0', '1', '2'], ['0', '3', '5', '6']])
  })

  it('a handler that fails again and again: each message that did not open has one copy', async () => {
    const parkTopic = await fixture.topic('parked')
    await fixture.sealed.send({ topic, messages: values(1, 0) })
    await fixture.raw.send({ topic, messages: [{ value: 'not sealed', partition: 0 }] })
    let tries = 0
    const wrapped = await consumer({ park: { topic: parkTopic, producer: fixture.raw } })
    await wrapped.run({ eachBatch: async () => {
      if (++tries < 4) throw new Error('handler')
    } })
    await expect.poll(async () => (await committed())[0], WAIT).toBe('2')
    expect([tries, await fixture.ends(parkTopic)]).toEqual([4, ['1']])
  })

  it('a parking place that answers slowly delays its own partition only', async () => {
    const parkTopic = await fixture.topic('parked')
    let copies = 0
    const producer: ParkingPlace['producer'] = {
      send: async (given: Parameters<Producer['send']>[0]) => {
        copies++
        await sleep(2_500)
        return fixture.raw.send(given)
      },
      sendBatch: () => expect.fail('one message, one send'),
    }
    const seen: { value: string; at: number }[] = []
    const wrapped = await consumer({ park: { topic: parkTopic, producer } })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push({ value: String(message.value), at: Date.now() }) })
    await fixture.sealed.send({ topic, messages: [{ value: 'first', partition: 1 }] })
    await expect.poll(() => seen.length, WAIT).toBe(1)
    await fixture.raw.send({ topic, messages: [{ value: 'not sealed', partition: 0 }] })
    await fixture.sealed.send({ topic, messages: [{ value: 'behind', partition: 0 }] })
    for (let count = 0; count < 20; count++) {
      await fixture.sealed.send({ topic, messages: [{ value: 'other', partition: 1 }] })
      await sleep(100)
    }
    const others = seen.filter(({ value }) => value !== 'behind').map(({ at }) => at)
    expect(Math.max(...others.slice(1).map((at, index) => at - (others[index] ?? 0)))).toBeLessThan(1_000)
    expect(seen.some(({ value }) => value === 'behind')).toBe(false)
    await expect.poll(() => seen.at(-1)?.value, WAIT).toBe('behind')
    expect(copies).toBe(1)
  })

  it('disconnect() while a parking place does not answer ends in under 5 s, and nothing was committed', async () => {
    await fixture.raw.send({ topic, messages: [{ value: 'not sealed', partition: 0 }] })
    const producer: ParkingPlace['producer'] = { send: () => new Promise(() => {}), sendBatch: () => new Promise(() => {}) }
    const wrapped = await consumer({ park: { topic: uniqueName('parked'), producer } })
    await wrapped.run({ eachMessage: () => expect.fail('it cannot be opened') })
    await expect.poll(() => consumerHealth(wrapped).halted.length, WAIT).toBe(1)
    const start = Date.now()
    await wrapped.disconnect()
    expect(Date.now() - start).toBeLessThan(5_000)
    expect(await committed()).toEqual(['-1', '-1'])
  })

  it('stop() in the midst of a hold and run() again: pauses of before are gone, everything is handled once', async () => {
    const { source, opener } = fixture.remote()
    source.available = false
    const seen: string[] = []
    const config = { eachMessage: async ({ message }: { message: { value: Buffer | null } }) => void seen.push(String(message.value)) }
    await fixture.sealed.send({ topic, messages: values(3, 0) })
    const wrapped = await consumer({ opener })
    await wrapped.run(config)
    await expect.poll(() => consumerHealth(wrapped).halted.length, WAIT).toBe(1)
    wrapped.pause([{ topic }])
    await wrapped.stop()
    await wrapped.run(config)
    await sleep(1_000)
    expect(seen).toEqual([])
    source.available = true
    await expect.poll(() => seen, WAIT).toEqual(['0', '1', '2'])
    await expect.poll(async () => (await committed())[0], WAIT).toBe('3')
  })

  it("a caller's pause of the whole topic stays in force when one of its partitions is held", async () => {
    const { source, opener } = fixture.remote()
    source.available = false
    const seen: string[] = []
    await fixture.raw.send({ topic, messages: [{ key: 't', value: null, partition: 0 }] })
    const wrapped = await consumer({ opener })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen, WAIT).toEqual(['null'])
    wrapped.pause([{ topic }])
    wrapped.resume([{ topic, partitions: [0] }])
    await fixture.sealed.send({ topic, messages: [{ value: 'held', partition: 0 }] })
    await expect.poll(() => consumerHealth(wrapped).halted.length, WAIT).toBe(1)
    await fixture.raw.send({ topic, messages: [{ key: 'paused', value: null, partition: 1 }] })
    await sleep(1_000)
    expect(seen).toEqual(['null'])
    source.available = true
    await expect.poll(() => seen, WAIT).toEqual(['null', 'held'])
    wrapped.resume([{ topic }])
    await expect.poll(() => seen, WAIT).toEqual(['null', 'held', 'null'])
  })

  it('autoCommitThreshold works as it does without the wrapper: commits in the midst of a batch', async () => {
    await fixture.sealed.send({ topic, messages: values(5, 0) })
    const last = Promise.withResolvers<void>()
    const wrapped = await consumer()
    await wrapped.run({ autoCommitThreshold: 2, eachMessage: async ({ message }) => {
      if (String(message.value) === '4') await last.promise
    } })
    await expect.poll(async () => (await committed())[0], WAIT).toBe('4')
    last.resolve()
    await expect.poll(async () => (await committed())[0], WAIT).toBe('5')
  })

  it('consume, transform, produce: offsets that go with a transaction, and none of ours beside them', async () => {
    const target = await fixture.topic('orders')
    const producer = sealKafka(fixture.kafka, { sealer: fixture.sealer }).producer({ transactionalId: uniqueName('tx'), idempotent: true, maxInFlightRequests: 1 })
    fixture.closeLater(() => producer.disconnect())
    await producer.connect()
    await fixture.sealed.send({ topic, messages: values(2, 0) })
    const offsets: string[] = []
    const wrapped = await consumer()
    await wrapped.run({ autoCommit: false, eachMessage: async ({ partition, message }) => {
      if (message.offset === '0') return
      const transaction = await producer.transaction()
      try {
        await transaction.send({ topic: target, messages: [{ value: `${String(message.value)}!` }] })
        await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic, partitions: [{ partition, offset: '2' }] }] })
        await transaction.commit()
      } catch (error) {
        // The broker may still be busy with the transaction: the message comes again.
        await transaction.abort()
        throw error
      }
      offsets.push(message.offset)
    } })
    await expect.poll(() => offsets, WAIT).toContain('1')
    // Offsets sent in a transaction are visible when its markers are written.
    await expect.poll(async () => (await committed())[0], WAIT).toBe('2')
  })

  it('a custom partitioner chooses by the plaintext, in the client itself', async () => {
    const createPartitioner = withPlaintextPartitioner(() => ({ message }: PartitionerArgs) => Number(message.value) % 2)
    const producer = sealKafka(fixture.kafka, { sealer: fixture.sealer }).producer({ createPartitioner })
    fixture.closeLater(() => producer.disconnect())
    await producer.connect()
    await producer.send({ topic, messages: [1, 3, 4, 5].map((value) => ({ value: `${value}` })) })
    expect(await fixture.ends(topic)).toEqual(['1', '3'])
  })
})
