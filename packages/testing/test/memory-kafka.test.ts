import { Partitioners } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { createMemoryKafka, MEMORY_KAFKA_FEATURES, type MemoryKafka, NotSimulatedError } from '../src/index.ts'
import { describeKafkaBehaviours } from './support/kafka-behaviours.ts'

describeKafkaBehaviours('in memory', createMemoryKafka)

const connected = async (kafka: MemoryKafka): Promise<ReturnType<MemoryKafka['producer']>> => {
  const producer = kafka.producer()
  await producer.connect()
  return producer
}

describe('a Kafka in memory', () => {
  it("chooses the partition that kafkajs' own partitioner chooses, for any key", async () => {
    const kafka = createMemoryKafka({ partitions: 7 })
    const producer = await connected(kafka)
    const theirs = Partitioners.DefaultPartitioner()
    const partitionMetadata = Array.from({ length: 7 }, (_, partitionId) => ({ partitionId, leader: 0, partitionErrorCode: 0, replicas: [0], isr: [0] }))
    const keys = Array.from({ length: 300 }, (_, index) => Buffer.from(Array.from({ length: index % 23 }, (_, at) => (index * 31 + at * 151) % 256)))
    for (const key of keys) {
      const [metadata] = await producer.send({ topic: 't', messages: [{ key, value: '' }] })
      expect([key, metadata?.partition]).toEqual([key, theirs({ topic: 't', partitionMetadata, message: { key, value: '' } })])
    }
  })

  it('takes records without a key in turn, and a partitioner of the caller', async () => {
    const kafka = createMemoryKafka({ partitions: 2 })
    const producer = await connected(kafka)
    await producer.send({ topic: 't', messages: ['a', 'b', 'c'].map((value) => ({ value })) })
    expect(kafka.records('t').map(({ partition, offset, value }) => `${partition}/${offset} ${String(value)}`)).toEqual(['0/0 a', '0/1 c', '1/0 b'])
    const own = kafka.producer({ createPartitioner: () => ({ partitionMetadata }) => partitionMetadata.length - 1 })
    await own.connect()
    await own.send({ topic: 't', messages: [{ key: 'k', value: 'd' }] })
    expect(kafka.records('t').at(-1)).toMatchObject({ partition: 1, offset: '1', key: Buffer.from('k'), value: Buffer.from('d') })
  })

  it('shares no bytes with anyone', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const producer = await connected(kafka)
    const value = Buffer.from('as sent')
    await producer.send({ topic: 't', messages: [{ value, headers: { h: value } }] })
    value.fill(0)
    for (const record of kafka.records('t')) {
      record.value?.fill(0)
      for (const header of Object.values(record.headers)) if (Buffer.isBuffer(header)) header.fill(0)
    }
    const seen: string[] = []
    for (const groupId of ['one', 'two']) {
      const consumer = kafka.consumer({ groupId })
      await consumer.subscribe({ topic: 't', fromBeginning: true })
      await consumer.run({
        eachMessage: async ({ message }) => {
          seen.push(`${String(message.value)} ${String(message.headers['h'])}`)
          message.value?.fill(0)
        },
      })
      await expect.poll(() => seen.splice(0)).toEqual(['as sent as sent'])
      await consumer.disconnect()
    }
  })

  it('tampers with what is stored and with what arrives, until it is told to stop', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const producer = await connected(kafka)
    const send = (key: string): Promise<unknown> => producer.send({ topic: 't', messages: [{ key, value: 'true', headers: { h: '1' } }] })
    await send('a')
    await send('b')
    const stop = kafka.tamper('t', ({ key, offset }) => (String(key) === 'b' ? undefined : { value: Buffer.from(`false ${offset}`) }))
    await send('c')
    stop()
    await send('d')
    expect(kafka.records('t').map(({ key, value, headers }) => [String(key), String(value), headers])).toEqual([
      ['a', 'false 0', { h: Buffer.from('1') }],
      ['b', 'true', { h: Buffer.from('1') }],
      ['c', 'false 2', { h: Buffer.from('1') }],
      ['d', 'true', { h: Buffer.from('1') }],
    ])
    expect(kafka.records('unknown')).toEqual([])
  })

  it('a batch has as many messages as fit, and at least one', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const producer = await connected(kafka)
    await producer.send({ topic: 't', messages: ['12345678901', '1', '2', '345678901'].map((value) => ({ value })) })
    const consumer = kafka.consumer({ groupId: 'g', maxBytesPerPartition: 10 })
    await consumer.subscribe({ topic: 't', fromBeginning: true })
    const sizes: number[] = []
    await consumer.run({ eachBatch: async ({ batch }) => void sizes.push(batch.messages.length) })
    await expect.poll(() => sizes).toEqual([1, 2, 1])
    await consumer.disconnect()
  })

  it('commits by threshold and by interval where asked for', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const producer = await connected(kafka)
    await producer.send({ topic: 't', messages: ['a', 'b', 'c', 'd', 'e'].map((value) => ({ value })) })
    const commitsOf = async (config: { autoCommitThreshold?: number; autoCommitInterval?: number }): Promise<string[]> => {
      const consumer = kafka.consumer({ groupId: JSON.stringify(config) })
      await consumer.subscribe({ topic: 't', fromBeginning: true })
      const commits: string[] = []
      consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload }) => void commits.push(payload.topics[0]?.partitions[0]?.offset ?? ''))
      await consumer.run({ ...config, eachMessage: async () => {} })
      await expect.poll(() => commits.at(-1)).toBe('5')
      await consumer.disconnect()
      return commits
    }
    expect(await commitsOf({ autoCommitThreshold: 2 })).toEqual(['2', '4', '5'])
    expect(await commitsOf({ autoCommitInterval: 0 })).toEqual(['1', '2', '3', '4', '5'])
    expect(await commitsOf({})).toEqual(['5'])
  })

  it('a stop ends the wait for another try, and the group is free again', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const producer = await connected(kafka)
    await producer.send({ topic: 't', messages: [{ value: 'a' }] })
    const failing = kafka.consumer({ groupId: 'g', retry: { initialRetryTime: 600_000 } })
    await failing.subscribe({ topic: 't', fromBeginning: true })
    let tries = 0
    await failing.run({
      eachMessage: async () => {
        tries++
        throw new Error('not now')
      },
    })
    await expect.poll(() => tries).toBe(1)
    await Promise.all([failing.stop(), failing.disconnect()])
    const next = kafka.consumer({ groupId: 'g' })
    await next.subscribe({ topic: 't', fromBeginning: true })
    const seen: string[] = []
    await next.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen).toEqual(['a'])
    await next.disconnect()
    expect(tries).toBe(1)
  })

  it('a consumer whose topic is gone when it starts anew says so, and ends', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const producer = await connected(kafka)
    await producer.send({ topic: 't', messages: [{ value: 'a' }] })
    const consumer = kafka.consumer({ groupId: 'g', retry: { retries: 0, initialRetryTime: 1 } })
    const crashes: unknown[] = []
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => void crashes.push([error.name, restart]))
    await consumer.subscribe({ topic: 't', fromBeginning: true })
    await consumer.run({
      eachMessage: async () => {
        await kafka.admin().deleteTopics({ topics: ['t'] })
        throw new Error('never')
      },
    })
    await expect.poll(() => crashes).toEqual([['KafkaJSNumberOfRetriesExceeded', true], ['KafkaJSNonRetriableError', false]])
  })

  it('asks before it starts anew, where it is told to', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const producer = await connected(kafka)
    await producer.send({ topic: 't', messages: [{ value: 'a' }] })
    const asked: string[] = []
    const consumer = kafka.consumer({ groupId: 'g', retry: { retries: 0, restartOnFailure: async ({ message }) => asked.push(message) > 1 } })
    await consumer.subscribe({ topic: 't', fromBeginning: true })
    const { promise: crashed, resolve } = Promise.withResolvers<boolean>()
    consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.restart))
    await consumer.run({ eachMessage: () => Promise.reject(new Error('never')) })
    expect([await crashed, asked]).toEqual([false, ['never']])
  })

  it('creates topics that are written to or read, but where that is forbidden', async () => {
    const kafka = createMemoryKafka({ partitions: 2 })
    const consumer = kafka.consumer({ groupId: 'g' })
    await consumer.subscribe({ topics: ['read'] })
    const unknown = { name: 'KafkaJSProtocolError', type: 'UNKNOWN_TOPIC_OR_PARTITION' }
    await expect(kafka.consumer({ groupId: 'g', allowAutoTopicCreation: false }).subscribe({ topic: 'other' })).rejects.toMatchObject(unknown)
    const strict = kafka.producer({ allowAutoTopicCreation: false })
    await strict.connect()
    await expect(strict.send({ topic: 'other', messages: [{ value: 'x' }] })).rejects.toMatchObject(unknown)
    await expect(strict.sendBatch({ topicMessages: [{ topic: 'read', messages: [{ value: 'x' }] }, { topic: 'other', messages: [{ value: 'x' }] }] })).rejects.toMatchObject(unknown)
    expect(kafka.records('read')).toEqual([])
    expect(await kafka.admin().listTopics()).toEqual(['read'])
    await expect(kafka.admin().fetchTopicOffsets('other')).rejects.toMatchObject(unknown)
    expect(() => createMemoryKafka({ partitions: 0 })).toThrow(RangeError)
  })

  it('lets a deleted topic begin anew, its groups too', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const producer = await connected(kafka)
    const admin = kafka.admin()
    const read = async (): Promise<string[]> => {
      const consumer = kafka.consumer({ groupId: 'g' })
      await consumer.subscribe({ topic: 't', fromBeginning: true })
      const seen: string[] = []
      await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
      await expect.poll(() => seen.length).toBe(1)
      await consumer.disconnect()
      return seen
    }
    await producer.send({ topic: 't', messages: [{ value: 'old' }] })
    expect(await read()).toEqual(['old'])
    await admin.deleteTopics({ topics: ['t'] })
    await producer.send({ topic: 't', messages: [{ value: 'new' }] })
    expect(await read()).toEqual(['new'])
  })

  it('what it does not simulate is refused by name, and every such feature is', async () => {
    const kafka = createMemoryKafka()
    const admin = kafka.admin()
    const producer = kafka.producer({ transactionalId: 't' })
    const consumer = kafka.consumer({ groupId: 'g' })
    await consumer.subscribe({ topic: 't' })
    await consumer.run({ eachMessage: async () => {} })
    const second = kafka.consumer({ groupId: 'g' })
    await second.subscribe({ topic: 't' })
    const refused = await Promise.all(
      [
        () => producer.transaction(),
        () => second.run({ eachMessage: async () => {} }),
        () => consumer.describeGroup(),
        () => consumer.seek({ topic: 't', partition: 0, offset: '-1' }),
        () => consumer.on(consumer.events.REQUEST, () => {}),
        () => producer.on(producer.events.REQUEST_TIMEOUT, () => {}),
        () => admin.createTopics({ topics: [{ topic: 'c', configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }] }),
        () => admin.createPartitions({}),
        () => admin.setOffsets({}),
        () => admin.describeCluster(),
        () => admin.fetchOffsets({ groupId: 'g', resolveOffsets: true }),
        () => kafka.logger(),
      ].map(async (ask: () => unknown) => {
        try {
          await ask()
          return 'nothing thrown'
        } catch (error) {
          return error instanceof NotSimulatedError ? error.feature : String(error)
        }
      }),
    )
    await consumer.disconnect()
    const missing = Object.entries(MEMORY_KAFKA_FEATURES).flatMap(([name, simulated]) => (simulated ? [] : [name]))
    expect([...new Set(refused)].sort()).toEqual(missing.sort())
    expect(Object.isFrozen(MEMORY_KAFKA_FEATURES)).toBe(true)
  })

  it('has every member of the client that it stands for', async () => {
    const { Kafka, logLevel } = await import('kafkajs')
    const theirs = new Kafka({ brokers: ['x'], logLevel: logLevel.NOTHING })
    const ours = createMemoryKafka()
    const members = (object: object): string[] => Object.keys(object).sort()
    expect(members(ours.producer())).toEqual(members(theirs.producer()))
    expect(members(ours.consumer({ groupId: 'g' }))).toEqual(members(theirs.consumer({ groupId: 'g' })))
    expect(members(ours.admin())).toEqual(expect.arrayContaining(members(theirs.admin())))
    expect(ours.consumer({ groupId: 'g' }).events).toEqual(theirs.consumer({ groupId: 'g' }).events)
    expect(ours.producer().events).toEqual(theirs.producer().events)
    expect(ours.admin().events).toEqual(theirs.admin().events)
  })
})
