import { setTimeout as sleep } from 'node:timers/promises'
import { defineChannels, type Opener, type Sealer } from '@sealbus/core'
import { consumerHealth, type ParkedMessage, type ParkingPlace, sealKafka, type SealKafkaOptions, withPlaintextPartitioner } from '@sealbus/kafka'
import { type Consumer, Kafka, logLevel, type PartitionerArgs, type Producer } from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { createTopics, describeWithKafka, uniqueName } from '../support/brokers.ts'
import { remoteIdentities, type Services, startServices } from '../support/services.ts'

const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] } })

describeWithKafka('Kafka: places, groups and commits', ({ bootstrap }) => {
  const kafka = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100 } })
  let services: Services
  let sealer: Sealer
  let raw: Producer
  let sealed: Producer
  let topic: string
  let groupId: string
  const closing: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    services = await startServices('billing')
    sealer = await services.sealer(channels)
    raw = kafka.producer()
    sealed = sealKafka(kafka, { sealer }).producer()
    await Promise.all([raw.connect(), sealed.connect()])
  })
  afterAll(async () => {
    await Promise.all([raw?.disconnect(), sealed?.disconnect()])
    services?.close()
  })
  beforeEach(async () => {
    topic = uniqueName('orders')
    groupId = uniqueName('group')
    await createTopics(bootstrap, [{ topic, numPartitions: 2 }])
  })
  afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()))
  })

  const consumer = async (options: Partial<SealKafkaOptions> = {}): Promise<Consumer> => {
    const opener: Opener = options.opener ?? services.named('billing').opener(channels)
    const made = sealKafka(kafka, { onStopped: () => {}, dispositions: { holdBackoffMs: { first: 50, longest: 200 } }, ...options, opener }).consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 300, maxWaitTimeInMs: 100 })
    closing.push(() => made.disconnect())
    await made.connect()
    await made.subscribe({ topic, fromBeginning: true })
    return made
  }
  const remote = (): { source: ReturnType<typeof remoteIdentities>; opener: Opener } => {
    const source = remoteIdentities(services.named('billing'))
    return { source, opener: services.named('billing').opener(channels, { identities: source }) }
  }
  const committed = async (): Promise<string[]> => {
    const admin = kafka.admin()
    await admin.connect()
    const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] })
    await admin.disconnect()
    return (offsets?.partitions ?? []).toSorted((a, b) => a.partition - b.partition).map(({ offset }) => offset)
  }
  const values = (count: number, partition: number, stem = ''): { value: string; partition: number }[] => Array.from({ length: count }, (_, index) => ({ value: `${stem}${index}`, partition }))
  const WAIT = { timeout: 20_000 }

  it('a rebalance during a hold: whoever has the partition then holds it, and nothing is lost or committed past', async () => {
    const { source, opener } = remote()
    source.available = false
    const seen: string[] = []
    const handle = { eachMessage: async ({ message }: { message: { value: Buffer | null } }) => void seen.push(String(message.value)) }
    await sealed.send({ topic, messages: [...values(3, 0, 'a'), ...values(3, 1, 'b')] })
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
    const parkTopic = uniqueName('parked')
    await createTopics(bootstrap, [{ topic: parkTopic, numPartitions: 1 }])
    const bad = { value: 'not sealed', partition: 0 }
    await raw.send({ topic, messages: [bad] })
    await sealed.send({ topic, messages: values(2, 0) })
    await raw.send({ topic, messages: [bad] })
    await sealed.send({ topic, messages: [{ value: '2', partition: 0 }] })
    await raw.send({ topic, messages: [bad, bad] })
    const seen: string[] = []
    const parked: ParkedMessage[] = []
    const wrapped = await consumer({ park: { topic: parkTopic, producer: raw }, onParked: (message) => void parked.push(message) })
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
    const parkTopic = uniqueName('parked')
    await createTopics(bootstrap, [{ topic: parkTopic, numPartitions: 1 }])
    await sealed.send({ topic, messages: values(1, 0) })
    await raw.send({ topic, messages: [{ value: 'not sealed', partition: 0 }] })
    let tries = 0
    const wrapped = await consumer({ park: { topic: parkTopic, producer: raw } })
    await wrapped.run({ eachBatch: async () => {
      if (++tries < 4) throw new Error('handler')
    } })
    await expect.poll(async () => (await committed())[0], WAIT).toBe('2')
    const admin = kafka.admin()
    await admin.connect()
    expect([tries, (await admin.fetchTopicOffsets(parkTopic)).map(({ high }) => high)]).toEqual([4, ['1']])
    await admin.disconnect()
  })

  it('a parking place that answers slowly delays its own partition only', async () => {
    const parkTopic = uniqueName('parked')
    await createTopics(bootstrap, [{ topic: parkTopic, numPartitions: 1 }])
    let copies = 0
    const producer: ParkingPlace['producer'] = {
      send: async (given: Parameters<Producer['send']>[0]) => {
        copies++
        await sleep(2_500)
        return raw.send(given)
      },
      sendBatch: () => expect.fail('one message, one send'),
    }
    const seen: { value: string; at: number }[] = []
    const wrapped = await consumer({ park: { topic: parkTopic, producer } })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push({ value: String(message.value), at: Date.now() }) })
    await sealed.send({ topic, messages: [{ value: 'first', partition: 1 }] })
    await expect.poll(() => seen.length, WAIT).toBe(1)
    await raw.send({ topic, messages: [{ value: 'not sealed', partition: 0 }] })
    await sealed.send({ topic, messages: [{ value: 'behind', partition: 0 }] })
    for (let count = 0; count < 20; count++) {
      await sealed.send({ topic, messages: [{ value: 'other', partition: 1 }] })
      await sleep(100)
    }
    const others = seen.filter(({ value }) => value !== 'behind').map(({ at }) => at)
    expect(Math.max(...others.slice(1).map((at, index) => at - (others[index] ?? 0)))).toBeLessThan(1_000)
    expect(seen.some(({ value }) => value === 'behind')).toBe(false)
    await expect.poll(() => seen.at(-1)?.value, WAIT).toBe('behind')
    expect(copies).toBe(1)
  })

  it('disconnect() while a parking place does not answer ends in under 5 s, and nothing was committed', async () => {
    await raw.send({ topic, messages: [{ value: 'not sealed', partition: 0 }] })
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
    const { source, opener } = remote()
    source.available = false
    const seen: string[] = []
    const config = { eachMessage: async ({ message }: { message: { value: Buffer | null } }) => void seen.push(String(message.value)) }
    await sealed.send({ topic, messages: values(3, 0) })
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
    const { source, opener } = remote()
    source.available = false
    const seen: string[] = []
    await raw.send({ topic, messages: [{ key: 't', value: null, partition: 0 }] })
    const wrapped = await consumer({ opener })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen, WAIT).toEqual(['null'])
    wrapped.pause([{ topic }])
    wrapped.resume([{ topic, partitions: [0] }])
    await sealed.send({ topic, messages: [{ value: 'held', partition: 0 }] })
    await expect.poll(() => consumerHealth(wrapped).halted.length, WAIT).toBe(1)
    await raw.send({ topic, messages: [{ key: 'paused', value: null, partition: 1 }] })
    await sleep(1_000)
    expect(seen).toEqual(['null'])
    source.available = true
    await expect.poll(() => seen, WAIT).toEqual(['null', 'held'])
    wrapped.resume([{ topic }])
    await expect.poll(() => seen, WAIT).toEqual(['null', 'held', 'null'])
  })

  it('autoCommitThreshold works as it does without the wrapper: commits in the midst of a batch', async () => {
    await sealed.send({ topic, messages: values(5, 0) })
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
    const target = uniqueName('orders')
    await createTopics(bootstrap, [{ topic: target, numPartitions: 1 }])
    const producer = sealKafka(kafka, { sealer }).producer({ transactionalId: uniqueName('tx'), idempotent: true, maxInFlightRequests: 1 })
    closing.push(() => producer.disconnect())
    await producer.connect()
    await sealed.send({ topic, messages: values(2, 0) })
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
    const producer = sealKafka(kafka, { sealer }).producer({ createPartitioner })
    closing.push(() => producer.disconnect())
    await producer.connect()
    await producer.send({ topic, messages: [1, 3, 4, 5].map((value) => ({ value: `${value}` })) })
    const admin = kafka.admin()
    await admin.connect()
    expect((await admin.fetchTopicOffsets(topic)).toSorted((a, b) => a.partition - b.partition).map(({ high }) => high)).toEqual(['1', '3'])
    await admin.disconnect()
  })
})
