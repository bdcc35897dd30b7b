import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSealer, defineChannels, opened, type RecipientDirectory } from '@sealbus/core'
import { openConsumer, sealKafka, sealProducer, withPlaintextPartitioner } from '@sealbus/kafka'
import { CompressionTypes, Kafka, type KafkaMessage, logLevel, type Message, type PartitionerArgs, Partitioners } from 'kafkajs'
import { expect, it } from 'vitest'
import { describeWithKafka, describeWithLocalKafka } from '../support/brokers.ts'
import { canariesIn, createCanaries, shownOf } from '../support/canaries.ts'
import { useKafka, WAIT } from '../support/kafka-fixture.ts'
import { startScannedKafka } from '../support/scanned-kafka.ts'
import { startServices } from '../support/services.ts'

// The numbers are those of the list of pitfalls in docs/KAFKA.md.
const channels = defineChannels({
  orders: { to: ['billing'], match: [/^orders-/] },
  cold: { to: ['billing'], match: [/^cold-/] },
})

const deepFreeze = <Value>(value: Value): Value => {
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) {
    for (const each of Object.values(value)) deepFreeze(each)
    Object.freeze(value)
  }
  return value
}

describeWithKafka('Kafka pitfalls: producing', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)

  it('pitfall 1: values, keys and headers as Uint8Array, of 0 to 300 bytes, arrive byte for byte', async () => {
    const { sealed, consumer, topic, stored } = fixture
    const name = await topic()
    // Views into a larger buffer, whose neighbours must not come along.
    const bytes = Array.from({ length: 301 }, (_, length) => new Uint8Array(randomBytes(length + 16).buffer.slice(0), 0, length).map((_byte, index) => (index * 7 + length) & 255))
    const views = bytes.map((each) => {
      const larger = new Uint8Array(each.length + 9).fill(0xee)
      larger.set(each, 5)
      return larger.subarray(5, 5 + each.length)
    })
    await sealed.send({ topic: name, messages: views.map((view) => ({ key: view as Buffer, value: view as Buffer, headers: { bytes: view as Buffer, list: [view as Buffer, 'text'] } })) })
    const seen: KafkaMessage[] = []
    const wrapped = await consumer({ topics: [name] })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(message) })
    await expect.poll(() => seen.length, WAIT).toBe(301)
    for (const [index, { key, value, headers }] of seen.entries()) {
      const expected = Buffer.from(bytes[index] ?? [])
      expect([key, value, headers?.['bytes'], headers?.['list']]).toEqual([expected, expected, expected, [expected, Buffer.from('text')]])
    }
    for (const { value } of await stored(name, 301)) expect(value?.subarray(0, 13).toString()).toBe('{"protected":')
  })

  it('pitfall 2: a tombstone stays one and deletes in a compacted topic; an empty value is none', { timeout: 150_000 }, async () => {
    const { sealed, consumer, topic, kafka } = fixture
    const name = await topic('orders', { config: { 'cleanup.policy': 'compact', 'segment.ms': '100', 'min.cleanable.dirty.ratio': '0.01', 'delete.retention.ms': '100', 'max.compaction.lag.ms': '500' } })
    await sealed.send({ topic: name, messages: [{ key: 'kept', value: 'old' }, { key: 'gone', value: 'secret' }, { key: 'kept', value: 'new' }, { key: 'empty', value: '' }, { key: 'gone', value: null, headers: { why: 'erased' } }] })
    const seen: KafkaMessage[] = []
    const wrapped = await consumer({ topics: [name] })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(message) })
    await expect.poll(() => seen.length, WAIT).toBeGreaterThanOrEqual(5)
    const tombstone = seen.find(({ value }) => value === null)
    expect([tombstone?.key?.toString(), Object.keys(tombstone?.headers ?? {}), opened(tombstone ?? {})]).toEqual(['gone', ['why'], undefined])
    expect(seen.find(({ key }) => String(key) === 'empty')?.value).toEqual(Buffer.alloc(0))

    // The broker compacts what is no longer the active segment: each round begins a new one.
    const keysOnDisk = async (): Promise<string[]> => {
      await sealed.send({ topic: name, messages: [{ key: 'filler', value: 'x' }] })
      const found: string[] = []
      const reader = kafka.consumer({ groupId: `${name}-${found.length}-${randomBytes(4).toString('hex')}`, maxWaitTimeInMs: 100 })
      await reader.connect()
      await reader.subscribe({ topic: name, fromBeginning: true })
      const end = Promise.withResolvers<void>()
      const [high = '0'] = await fixture.ends(name)
      await reader.run({ eachMessage: async ({ message }) => {
        found.push(String(message.key))
        if (BigInt(message.offset) + 1n >= BigInt(high)) end.resolve()
      } })
      await end.promise
      await reader.disconnect()
      return found.filter((key) => key !== 'filler').toSorted((a, b) => a.localeCompare(b))
    }
    await expect.poll(keysOnDisk, { timeout: 120_000, interval: 2_000 }).toEqual(['empty', 'kept'])
  })

  it("pitfall 3: 1,000 keys land where they land without sealing, which is where Java's murmur2 puts them", async () => {
    const { sealed, raw, topic, kafka, closeLater } = fixture
    const partitions = 7
    const [one, other] = [await topic('orders', { partitions }), await topic('orders', { partitions })]
    // From the tests of Apache Kafka's own murmur2.
    const java: Readonly<Record<string, number>> = { '21': -973932308, foobar: -790332482, 'a-little-bit-long-string': -985981536, 'a-little-bit-longer-string': -1486304829, abc: 479470107 }
    const messages = [...Object.keys(java), ...Array.from({ length: 1_000 }, (_, index) => `${index}-${randomBytes(index % 40).toString('base64')}`)].map((key) => ({ key, value: `value of ${key}` }))
    await sealed.send({ topic: one, messages })
    await raw.send({ topic: other, messages })
    const placed: Record<string, Map<string, number>> = { [one]: new Map(), [other]: new Map() }
    const reader = kafka.consumer({ groupId: `${one}-reader`, maxWaitTimeInMs: 100 })
    closeLater(() => reader.disconnect())
    await reader.connect()
    await reader.subscribe({ topics: [one, other], fromBeginning: true })
    await reader.run({ eachMessage: async ({ topic: from, partition, message }) => void placed[from]?.set(String(message.key), partition) })
    await expect.poll(() => [placed[one]?.size, placed[other]?.size], WAIT).toEqual([messages.length, messages.length])
    expect(placed[one]).toEqual(placed[other])
    for (const [key, hash] of Object.entries(java)) expect(placed[one]?.get(key), key).toBe((hash & 0x7fffffff) % partitions)
    const partitioner = Partitioners.DefaultPartitioner()
    const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({ partitionId, leader: 1, partitionErrorCode: 0, replicas: [1], isr: [1] }))
    for (const message of messages) expect(placed[one]?.get(message.key)).toBe(partitioner({ topic: one, partitionMetadata, message }))
  })

  it('pitfall 4: a custom partitioner chooses by the plaintext, through every way to send', async () => {
    const { producer, topic, ends } = fixture
    const name = await topic('orders', { partitions: 3 })
    const seen: unknown[] = []
    const createPartitioner = withPlaintextPartitioner(() => ({ message }: PartitionerArgs) => {
      seen.push(message.value)
      return Number(message.value) % 3
    })
    const wrapped = await producer({ createPartitioner })
    const transactional = await producer({ createPartitioner, transactionalId: `${name}-tx`, idempotent: true, maxInFlightRequests: 1 })
    await wrapped.send({ topic: name, messages: ['1', '2', '4'].map((value) => ({ value })) })
    await wrapped.sendBatch({ topicMessages: [{ topic: name, messages: [{ value: '7' }] }] })
    const transaction = await transactional.transaction()
    await transaction.send({ topic: name, messages: [{ value: '5' }] })
    await transaction.commit()
    expect(seen).toEqual(['1', '2', '4', '7', '5'])
    // The transaction has its marker behind its record.
    await expect.poll(() => ends(name), WAIT).toEqual(['0', '3', '3'])
  })

  it("pitfall 5: the caller's objects are untouched, frozen or not, and may be sent again", async () => {
    const { sealed, consumer, topic } = fixture
    const name = await topic()
    const record = deepFreeze({ topic: name, acks: -1, compression: CompressionTypes.None, messages: [{ key: 'k', value: 'again', headers: { 'content-type': 'text/plain', list: ['a', 'b'] }, timestamp: '1700000000000', partition: 0 }] })
    const before = structuredClone(record)
    await sealed.send(record)
    await sealed.send(record)
    await sealed.sendBatch(deepFreeze({ topicMessages: [{ topic: name, messages: record.messages }] }))
    expect(record).toEqual(before)
    const seen: KafkaMessage[] = []
    const wrapped = await consumer({ topics: [name] })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(message) })
    await expect.poll(() => seen.length, WAIT).toBe(3)
    expect(seen.map(({ value, timestamp, headers }) => [String(value), timestamp, headers])).toEqual(Array.from({ length: 3 }, () => ['again', '1700000000000', { 'content-type': Buffer.from('text/plain'), list: [Buffer.from('a'), Buffer.from('b')] }]))
    expect(new Set(seen.map((message) => opened(message)?.id)).size).toBe(3)
  })

  it('pitfall 33: a message too large when sealed is refused before anything is sent, with both sizes', async () => {
    const { producer, topic, ends, sealer } = fixture
    const name = await topic('orders', { config: { 'max.message.bytes': '20000' } })
    const wrapped = await producer({}, { maxMessageBytes: 20_000 })
    // Fits plain, and not sealed: base64url is a third larger.
    const value = 'x'.repeat(16_000)
    const { length } = sealer.sealSync(value, { channel: 'orders', key: null }).bytes
    const error = await wrapped.sendBatch({ topicMessages: [{ topic: name, messages: [{ value: 'small' }, { value }] }] }).then(() => expect.fail('it is too large'), (reason: unknown) => reason as Error & { code: string })
    expect(error.code).toBe('ERR_SEALBUS_TOO_LARGE')
    const [sealedSize = 0, plainSize = 0, limit] = / (\d+) bytes sealed \((\d+) before\), and the broker takes (\d+)$/.exec(error.message)?.slice(1).map(Number) ?? []
    expect([sealedSize > length && sealedSize < length + 300, plainSize > 16_000 && plainSize < 16_300, limit]).toEqual([true, true, 20_000])
    expect(await ends(name)).toEqual(['0'])
    // What is let through at the bound is taken by the broker.
    const room = Math.floor((20_000 - (sealedSize - Math.ceil(16_000 * 4 / 3))) * 3 / 4) - 8
    await wrapped.send({ topic: name, messages: [{ value: 'x'.repeat(room) }] })
    expect(await ends(name)).toEqual(['1'])
  })

  it("pitfall 33: what the broker's limit holds for is a call's batch: one that fits plain, and not sealed, is the client's own error, and nothing is there; fewer in a call are taken", async () => {
    const { raw, sealed, topic, ends } = fixture
    const name = await topic()
    const messages = Array.from({ length: 1_000 }, () => ({ key: 'same', value: Buffer.alloc(700) }))
    await raw.send({ topic: await topic(), messages })
    await expect(sealed.send({ topic: name, messages })).rejects.toMatchObject({ type: 'MESSAGE_TOO_LARGE' })
    expect(await ends(name)).toEqual(['0'])
    for (const part of [messages.slice(0, 500), messages.slice(500)]) await sealed.send({ topic: name, messages: part })
    expect(await ends(name)).toEqual(['1000'])
  })

  it('pitfall 34: no plaintext in errors, logs or instrumentation events of the client', async () => {
    const canaries = createCanaries()
    const shown: unknown[] = []
    const kafka = new Kafka({ brokers: [...bootstrap], logLevel: logLevel.DEBUG, logCreator: () => (entry) => void shown.push(entry), retry: { retries: 0 } })
    const name = await fixture.topic()
    const small = await fixture.topic('orders', { config: { 'max.message.bytes': '500' } })
    const producer = sealKafka(kafka, { sealer: fixture.sealer, keyWaitMs: 50 }).producer({ allowAutoTopicCreation: false })
    for (const event of Object.values(producer.events)) producer.on(event as never, (each: unknown) => void shown.push(each))
    await producer.connect()
    const message = (): Message => ({ value: canaries.next() })
    const failures: (() => Promise<unknown>)[] = [
      () => producer.send({ topic: small, messages: [message()] }),
      () => producer.send({ topic: 'orders-that-does-not-exist', messages: [message()] }),
      () => producer.send({ topic: name, messages: [{ ...message(), timestamp: 'not a number' }] }),
      () => producer.send({ topic: name, messages: [{ vlaue: canaries.next() } as never] }),
      () => producer.send({ topic: name, messages: [{ ...message(), headers: { n: 7 as never } }] }),
      () => producer.send({ topc: name, messages: [message()] } as never),
      () => producer.send({ topic: 'undeclared', messages: [message()] }),
      () => producer.sendBatch({ topicMessages: [{ topic: name, messages: [message()] }, { topic: name, messages: 'x' as never }] }),
    ]
    for (const [index, failure] of failures.entries()) shown.push(await failure().then(() => expect.fail(`failure ${index} did not fail`), (error: unknown) => error))
    await producer.send({ topic: name, messages: [message()] })
    await producer.disconnect()
    shown.push(await producer.send({ topic: name, messages: [message()] }).catch((error: unknown) => error))
    const text = shownOf(shown)
    expect(canaries.count).toBe(failures.length + 2)
    expect(canariesIn(text, canaries)).toEqual([])
    expect(text.length).toBeGreaterThan(10_000)
  })

  it('pitfall 35: wrapping a wrapped client, producer, transaction or consumer throws', async () => {
    const { kafka, sealer, opener, producer, topic } = fixture
    const options = { sealer, opener: opener(), onStopped: () => {} }
    const wrapped = sealKafka(kafka, options)
    const twice = expect.objectContaining({ code: 'ERR_SEALBUS_ALREADY_WRAPPED' }) as Error
    expect(() => sealKafka(wrapped, options)).toThrow(twice)
    expect(() => sealProducer(wrapped.producer(), { sealer })).toThrow(twice)
    expect(() => openConsumer(wrapped.consumer({ groupId: 'g' }), { opener: opener(), groupId: 'g', onStopped: () => {} })).toThrow(twice)
    const transactional = await producer({ transactionalId: await topic(), idempotent: true, maxInFlightRequests: 1 })
    const transaction = await transactional.transaction()
    expect(() => sealProducer(transaction, { sealer })).toThrow(twice)
    await transaction.abort()
  })

  it('pitfall 36: disconnect() while sends wait for keys ends them, and nothing of them is sent later', async () => {
    const { topic, ends, kafka } = fixture
    const name = await topic('cold')
    const asked = Promise.withResolvers<void>()
    const answer = Promise.withResolvers<never>()
    const directory: RecipientDirectory = {
      peek: () => undefined,
      resolve: () => {
        asked.resolve()
        return answer.promise
      },
    }
    const producer = sealProducer(kafka.producer(), { sealer: createSealer({ directory, channels }), keyWaitMs: 60_000 })
    await producer.connect()
    const sends = [producer.send({ topic: name, messages: [{ value: '1' }] }), producer.sendBatch({ topicMessages: [{ topic: name, messages: [{ value: '2' }] }] })]
    const outcomes = Promise.allSettled(sends)
    await asked.promise
    const disconnected = producer.disconnect()
    // The client is asked at once: a send straight after is one too late, by its own account.
    const late = producer.send({ topic: name, messages: [{ value: null }] })
    await expect(late).rejects.toThrow(/disconnect/i)
    await disconnected
    expect((await outcomes).map((each) => (each.status === 'rejected' ? (each.reason as { code?: string }).code : 'sent'))).toEqual(['ERR_SEALBUS_KEYS_NOT_READY', 'ERR_SEALBUS_KEYS_NOT_READY'])
    answer.reject(new Error('too late'))
    await sleep(200)
    expect(await ends(name)).toEqual(['0'])
  })

  it('pitfall 36: sends under way when disconnect() is called settle one way or the other, and what resolved is there', async () => {
    const { producer, topic, ends } = fixture
    const name = await topic()
    const wrapped = await producer({})
    const sends = Array.from({ length: 50 }, (_, index) => wrapped.send({ topic: name, messages: [{ value: `${index}` }] }))
    const disconnected = wrapped.disconnect()
    const sent = (await Promise.allSettled(sends)).filter(({ status }) => status === 'fulfilled').length
    await disconnected
    expect(Number((await ends(name))[0])).toBeGreaterThanOrEqual(sent)
  })
})

describeWithLocalKafka('Kafka pitfalls: the wire', () => {
  it('pitfall 6: no path of the API lets a byte of plaintext out: send, sendBatch, transactions, handlers, replies and parking', { timeout: 180_000 }, async () => {
    const canaries = createCanaries()
    const control = createCanaries()
    const scanned = await startScannedKafka([...canaries.patterns, ...control.patterns])
    const services = await startServices('billing')
    try {
      const client = new Kafka({ brokers: scanned.cluster.bootstrap, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100, retries: 12 } })
      const admin = client.admin()
      await admin.connect()
      await admin.createTopics({ topics: ['orders-in', 'orders-out', 'parked'].map((topic) => ({ topic, numPartitions: 1 })), waitForLeaders: true })
      const parking = client.producer()
      const kafka = sealKafka(client, { sealer: await services.sealer(channels), opener: services.named('billing').opener(channels), park: { topic: 'parked', producer: parking } })
      const producer = kafka.producer({ transactionalId: 'tx', idempotent: true, maxInFlightRequests: 1 })
      await Promise.all([parking.connect(), producer.connect()])
      const message = (): Message => ({ key: 'k', value: canaries.next(), headers: { h: 'x' } })
      await producer.send({ topic: 'orders-in', messages: [message(), message()] })
      await producer.sendBatch({ topicMessages: [{ topic: 'orders-in', messages: [message()] }, { topic: 'orders-in', messages: [message()] }] })
      for (const end of ['commit', 'abort'] as const) {
        const transaction = await producer.transaction()
        await transaction.send({ topic: 'orders-in', messages: [message()] })
        await transaction.sendBatch({ topicMessages: [{ topic: 'orders-in', messages: [message()] }] })
        await transaction[end]()
      }
      // A message of a stranger's, which is parked.
      await parking.send({ topic: 'orders-in', messages: [{ value: 'not sealed' }] })
      const seen: string[] = []
      const consumer = kafka.consumer({ groupId: 'billing', maxWaitTimeInMs: 100 })
      await consumer.connect()
      await consumer.subscribe({ topic: 'orders-in', fromBeginning: true })
      await consumer.run({ eachMessage: async ({ message: { key, value, headers } }) => {
        seen.push(String(value))
        await producer.send({ topic: 'orders-out', messages: [{ key, value, headers: headers ?? {} }] })
      } })
      await expect.poll(() => seen.length, WAIT).toBe(6)
      await expect.poll(async () => (await admin.fetchTopicOffsets('parked'))[0]?.high, WAIT).toBe('1')
      await consumer.disconnect()
      expect(canaries.count).toBe(8)
      expect(scanned.found()).toEqual([])
      // The scanner proves itself: what a client without the wrapper sends is seen.
      await parking.send({ topic: 'parked', messages: [{ value: control.next() }] })
      expect(scanned.found().length).toBeGreaterThan(0)
      await Promise.all([producer.disconnect(), parking.disconnect(), admin.disconnect()])
    } finally {
      services.close()
      await scanned.stop()
    }
  })
})
