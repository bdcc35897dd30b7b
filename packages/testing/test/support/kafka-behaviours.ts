import { randomUUID } from 'node:crypto'
import type { Admin, Consumer, ConsumerConfig, EachBatchPayload, EachMessagePayload, Kafka, KafkaMessage, Message, Producer } from 'kafkajs'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'

const WAIT = { timeout: 20_000 }
const RETRY = { initialRetryTime: 30, retries: 3 }

/**
 * What kafkajs does, as its users see it. The Kafka in memory must do the same, so this runs on it and on a real one:
 * where they differ, the one in memory is wrong.
 */
export function describeKafkaBehaviours(name: string, open: () => Kafka): void {
  describe(`as kafkajs: ${name}`, () => {
    let kafka: Kafka
    let admin: Admin
    let producer: Producer
    const consumers: Consumer[] = []

    beforeAll(async () => {
      kafka = open()
      admin = kafka.admin()
      producer = kafka.producer()
      await Promise.all([admin.connect(), producer.connect()])
    })
    afterAll(async () => {
      await Promise.all([admin.disconnect(), producer.disconnect()])
    })
    afterEach(async () => {
      await Promise.all(consumers.splice(0).map((each) => each.disconnect()))
    })

    const newTopic = async (numPartitions = 1): Promise<string> => {
      const topic = `orders-${randomUUID()}`
      await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: true })
      return topic
    }
    const send = (topic: string, ...messages: Message[]): ReturnType<Producer['send']> => producer.send({ topic, messages })
    const sendTexts = (topic: string, ...texts: string[]): ReturnType<Producer['send']> => send(topic, ...texts.map((value) => ({ value })))
    const newConsumer = async (topic: string | RegExp, groupId: string, { fromBeginning = true, ...config }: Partial<ConsumerConfig> & { fromBeginning?: boolean } = {}): Promise<Consumer> => {
      const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 50, retry: RETRY, ...config })
      consumers.push(consumer)
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning })
      return consumer
    }
    /** A consumer that keeps what it is given. */
    const consume = async (topic: string, groupId: string, options: { fromBeginning?: boolean; autoCommit?: boolean } = {}): Promise<{ consumer: Consumer; seen: KafkaMessage[]; texts: () => string[] }> => {
      const { autoCommit = true, ...rest } = options
      const consumer = await newConsumer(topic, groupId, rest)
      const seen: KafkaMessage[] = []
      await consumer.run({ autoCommit, eachMessage: async ({ message }) => void seen.push(message) })
      return { consumer, seen, texts: () => seen.map(({ value }) => String(value)) }
    }
    const committed = async (topic: string, groupId: string): Promise<string[]> => {
      const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] })
      return (offsets?.partitions ?? []).sort((one, other) => one.partition - other.partition).map(({ offset }) => offset)
    }

    it('a record comes out as it went in: offset, timestamp, key, headers as Buffers, tombstone', async () => {
      const topic = await newTopic()
      const sent = Buffer.from('kept')
      const sending = send(topic, { key: 'k', value: sent, timestamp: '1700000000000', headers: { text: 'é', bytes: Buffer.from([0, 255]), many: ['a', Buffer.from('b')], one: ['x'] } }, { key: 'k', value: null }, { value: '' })
      await sending
      sent.write('XXXX')
      const { seen } = await consume(topic, randomUUID())
      await expect.poll(() => seen.length, WAIT).toBe(3)
      expect(seen.map(({ offset, key, value }) => ({ offset, key, value }))).toEqual([
        { offset: '0', key: Buffer.from('k'), value: Buffer.from('kept') },
        { offset: '1', key: Buffer.from('k'), value: null },
        { offset: '2', key: null, value: Buffer.alloc(0) },
      ])
      expect(seen[0]?.timestamp).toBe('1700000000000')
      expect(Math.abs(Number(seen[1]?.timestamp) - Date.now())).toBeLessThan(60_000)
      expect(seen[0]?.headers).toEqual({ text: Buffer.from('é'), bytes: Buffer.from([0, 255]), many: [Buffer.from('a'), Buffer.from('b')], one: Buffer.from('x') })
      expect(seen[1]?.headers).toEqual({})
    })

    it('partitions: by key, and as asked; the answer names each with its first offset', async () => {
      const topic = await newTopic(3)
      const keys = ['a', 'b', 'customer-7', 'ü', '', 'a much longer key than four bytes']
      const first = await send(topic, ...keys.map((key) => ({ key, value: key })))
      await send(topic, ...[0, 1, 2].map((partition) => ({ partition, key: 'a', value: `${partition}` })))
      const places = new Map<string, number>()
      const consumer = await newConsumer(topic, randomUUID())
      await consumer.run({ eachMessage: async ({ partition, message }) => void places.set(String(message.value), partition) })
      await expect.poll(() => places.size, WAIT).toBe(keys.length + 3)
      // What kafkajs' own partitioner says of these keys with three partitions.
      expect(keys.map((key) => places.get(key))).toEqual(KEY_PARTITIONS)
      expect(['0', '1', '2'].map((value) => places.get(value))).toEqual([0, 1, 2])
      expect(first.map(({ topicName, errorCode, baseOffset }) => ({ topicName, errorCode, baseOffset }))).toEqual([...new Set(KEY_PARTITIONS)].map(() => ({ topicName: topic, errorCode: 0, baseOffset: '0' })))
      const [again] = await send(topic, { partition: 1, value: 'x' })
      expect(again).toMatchObject({ partition: 1, baseOffset: `${KEY_PARTITIONS.filter((partition) => partition === 1).length + 1}` })
    })

    it('sendBatch writes several topics; a consumer by pattern takes those that match', async () => {
      const run = randomUUID()
      const [one, two, other] = [`a-${run}-1`, `a-${run}-2`, `b-${run}`]
      await admin.createTopics({ topics: [one, two, other].map((topic) => ({ topic, numPartitions: 1 })), waitForLeaders: true })
      await producer.sendBatch({ topicMessages: [one, two, other].map((topic) => ({ topic, messages: [{ value: topic }] })) })
      const seen: string[] = []
      const consumer = await newConsumer(new RegExp(`^a-${run}-`), randomUUID())
      await consumer.run({ eachMessage: async ({ topic, message }) => void seen.push(`${topic} ${String(message.value)}`) })
      await expect.poll(() => seen.sort(), WAIT).toEqual([`${one} ${one}`, `${two} ${two}`])
    })

    it('admin: creates once, lists, tells offsets, deletes', async () => {
      const topic = await newTopic(2)
      expect(await admin.createTopics({ topics: [{ topic }] })).toBe(false)
      expect(await admin.listTopics()).toContain(topic)
      await send(topic, { partition: 1, value: 'x' }, { partition: 1, value: 'y' })
      const offsets = await admin.fetchTopicOffsets(topic)
      expect(offsets.sort((a, b) => a.partition - b.partition)).toEqual([{ partition: 0, offset: '0', high: '0', low: '0' }, { partition: 1, offset: '2', high: '2', low: '0' }])
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      expect(topics.map((each) => [each.name, each.partitions.length])).toEqual([[topic, 2]])
      await admin.deleteTopics({ topics: [topic] })
      await expect.poll(() => admin.listTopics(), WAIT).not.toContain(topic)
    })

    it('groups are independent, begin where they are told, and go on where they committed', async () => {
      const topic = await newTopic()
      await sendTexts(topic, 'old')
      const groups = { first: randomUUID(), second: randomUUID(), late: randomUUID() }
      const first = await consume(topic, groups.first)
      const second = await consume(topic, groups.second)
      await expect.poll(() => [first.texts(), second.texts()], WAIT).toEqual([['old'], ['old']])
      await first.consumer.disconnect()
      expect(await committed(topic, groups.first)).toEqual(['1'])
      await sendTexts(topic, 'new')
      const again = await consume(topic, groups.first)
      await expect.poll(again.texts, WAIT).toEqual(['new'])
      expect(await committed(topic, groups.late)).toEqual(['-1'])
    })

    it('without fromBeginning a new group sees what comes after it', async () => {
      const topic = await newTopic()
      await sendTexts(topic, 'before')
      const { texts, consumer } = await consume(topic, randomUUID(), { fromBeginning: false })
      // On a real broker the place is found at the first fetch.
      await vi.waitFor(async () => {
        await sendTexts(topic, 'after')
        expect(texts()).toContain('after')
      }, { timeout: 20_000, interval: 100 })
      expect(texts()).not.toContain('before')
      await consumer.stop()
    })

    it('manual commits: nothing is committed but what is asked for', async () => {
      const topic = await newTopic()
      const group = randomUUID()
      await sendTexts(topic, 'a', 'b', 'c')
      const { consumer, seen } = await consume(topic, group, { autoCommit: false })
      await expect.poll(() => seen.length, WAIT).toBe(3)
      expect(await committed(topic, group)).toEqual(['-1'])
      await consumer.commitOffsets([{ topic, partition: 0, offset: '2', metadata: 'why' }])
      const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
      expect(offsets?.partitions).toEqual([{ partition: 0, offset: '2', metadata: 'why' }])
      await consumer.disconnect()
      const again = await consume(topic, group)
      await expect.poll(again.texts, WAIT).toEqual(['c'])
    })

    it('eachBatch: what is resolved is committed, and the rest comes again', async () => {
      const topic = await newTopic()
      const group = randomUUID()
      await sendTexts(topic, 'a', 'b', 'c')
      const consumer = await newConsumer(topic, group)
      const batches: string[][] = []
      const facts: unknown[] = []
      await consumer.run({
        eachBatchAutoResolve: false,
        eachBatch: async (payload: EachBatchPayload) => {
          const { batch } = payload
          batches.push(batch.messages.map(({ value }) => String(value)))
          const [first] = batch.messages
          facts.push([batch.topic, batch.partition, batch.isEmpty(), batch.firstOffset(), batch.lastOffset(), batch.highWatermark, batch.offsetLag(), batch.offsetLagLow(), payload.isRunning(), payload.isStale()])
          if (first) payload.resolveOffset(first.offset)
          facts.push(payload.uncommittedOffsets().topics.map((each) => each.partitions.map(({ offset }) => offset)))
          await payload.heartbeat()
          await payload.commitOffsetsIfNecessary(payload.uncommittedOffsets())
          facts.push(payload.uncommittedOffsets().topics)
        },
      })
      await expect.poll(() => batches, WAIT).toEqual([['a', 'b', 'c'], ['b', 'c'], ['c']])
      expect(facts.slice(0, 3)).toEqual([[topic, 0, false, '0', '2', '3', '0', '2', true, false], [['1']], []])
      await consumer.stop()
      expect(await committed(topic, group)).toEqual(['3'])
    })

    it('seek moves the place, commits it, and cuts the batch that runs', async () => {
      const topic = await newTopic()
      const group = randomUUID()
      await sendTexts(topic, 'a', 'b', 'c', 'd')
      const consumer = await newConsumer(topic, group)
      const seen: string[] = []
      await consumer.run({
        eachMessage: async ({ message }) => {
          seen.push(String(message.value))
          if (seen.length === 2) consumer.seek({ topic, partition: 0, offset: '3' })
        },
      })
      await expect.poll(() => seen, WAIT).toEqual(['a', 'b', 'd'])
      consumer.seek({ topic, partition: 0, offset: '1' })
      await expect.poll(() => seen, WAIT).toEqual(['a', 'b', 'd', 'b', 'c', 'd'])
      await consumer.stop()
      expect(await committed(topic, group)).toEqual(['4'])
    })

    it('pause of one partition: the others go on, and it goes on where it was', async () => {
      const topic = await newTopic(2)
      const consumer = await newConsumer(topic, randomUUID())
      const seen: string[] = []
      let resume: (() => void) | undefined
      await consumer.run({
        eachMessage: async (payload: EachMessagePayload) => {
          const { partition, message } = payload
          seen.push(`${partition}${String(message.value)}`)
          if (partition === 0 && !resume) resume = payload.pause()
        },
      })
      await send(topic, ...['a', 'b'].map((value) => ({ partition: 0, value })))
      await expect.poll(() => seen, WAIT).toEqual(['0a'])
      expect(consumer.paused()).toEqual([{ topic, partitions: [0] }])
      await send(topic, { partition: 1, value: 'a' })
      await expect.poll(() => seen, WAIT).toEqual(['0a', '1a'])
      resume?.()
      await expect.poll(() => seen, WAIT).toEqual(['0a', '1a', '0b'])
      consumer.pause([{ topic }])
      expect(consumer.paused()).toEqual([{ topic, partitions: [0, 1] }])
      consumer.resume([{ topic, partitions: [1] }])
      expect(consumer.paused()).toEqual([{ topic, partitions: [0] }])
      await send(topic, { partition: 0, value: 'c' }, { partition: 1, value: 'b' })
      await expect.poll(() => seen.at(-1), WAIT).toBe('1b')
      consumer.resume([{ topic }])
      await expect.poll(() => seen, WAIT).toEqual(['0a', '1a', '0b', '1b', '0c'])
    })

    it('a handler that throws is called again with the same message; those before it are settled', async () => {
      const topic = await newTopic()
      const group = randomUUID()
      await sendTexts(topic, 'a', 'b', 'c')
      const consumer = await newConsumer(topic, group)
      const seen: string[] = []
      let committedAtError: string[] = []
      await consumer.run({
        eachMessage: async ({ message }) => {
          const text = String(message.value)
          seen.push(text)
          if (text !== 'b' || seen.filter((each) => each === 'b').length > 2) return
          if (seen.filter((each) => each === 'b').length === 2) committedAtError = await committed(topic, group)
          throw new Error('not now')
        },
      })
      await expect.poll(() => seen, WAIT).toEqual(['a', 'b', 'b', 'b', 'c'])
      expect(committedAtError).toEqual(['1'])
    })

    it('after too many tries the consumer says so, and starts anew', async () => {
      const topic = await newTopic()
      await sendTexts(topic, 'a')
      const consumer = await newConsumer(topic, randomUUID())
      const crashes: unknown[] = []
      let tries = 0
      consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => void crashes.push([error.name, restart]))
      await consumer.run({
        eachMessage: async () => {
          if (++tries <= RETRY.retries + 1) throw new Error('never')
        },
      })
      await expect.poll(() => tries, WAIT).toBe(RETRY.retries + 2)
      expect(crashes).toEqual([['KafkaJSNumberOfRetriesExceeded', true]])
    })

    it('an error of the program ends the consumer', async () => {
      const topic = await newTopic()
      await sendTexts(topic, 'a')
      const group = randomUUID()
      const consumer = await newConsumer(topic, group)
      const events: unknown[] = []
      let tries = 0
      consumer.on(consumer.events.STOP, () => void events.push('stop'))
      consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => void events.push([error.name, restart]))
      await consumer.run({
        eachMessage: async () => {
          tries++
          throw new TypeError('a mistake')
        },
      })
      await expect.poll(() => events, WAIT).toEqual(['stop', ['KafkaJSNonRetriableError', false]])
      expect(tries).toBe(1)
      expect(() => consumer.pause([{ topic }])).toThrow(/consumer#run must be called first/)
      const next = await consume(topic, group)
      await expect.poll(next.texts, WAIT).toEqual(['a'])
    })

    it('stop waits for the handler that runs, hands out no more, and can be followed by another run', async () => {
      const topic = await newTopic()
      const group = randomUUID()
      await sendTexts(topic, 'a', 'b')
      const consumer = await newConsumer(topic, group)
      const steps: string[] = []
      const { promise: gate, resolve: open } = Promise.withResolvers<void>()
      await consumer.run({
        eachMessage: async ({ message }) => {
          steps.push(`begin ${String(message.value)}`)
          await gate
          steps.push(`end ${String(message.value)}`)
        },
      })
      await expect.poll(() => steps, WAIT).toEqual(['begin a'])
      const stopped = consumer.stop().then(() => steps.push('stopped'))
      open()
      await stopped
      expect(steps).toEqual(['begin a', 'end a', 'stopped'])
      expect(await committed(topic, group)).toEqual(['1'])
      const seen: string[] = []
      await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
      await expect.poll(() => seen, WAIT).toEqual(['b'])
    })

    it('events: of the group, of batches, of commits and of the end', async () => {
      const topic = await newTopic(2)
      const group = randomUUID()
      await send(topic, { partition: 1, value: 'a' }, { partition: 1, value: 'b' })
      const consumer = await newConsumer(topic, group)
      const seen: Record<string, unknown> = {}
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => void (seen.join = [payload.groupId, payload.isLeader, payload.memberAssignment]))
      consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload: { partition, batchSize, firstOffset, lastOffset } }) => void (seen.start = [partition, batchSize, firstOffset, lastOffset]))
      consumer.on(consumer.events.COMMIT_OFFSETS, ({ type, payload }) => void (seen.commit = [type, payload.topics.map((each) => [each.topic, each.partitions.map(({ partition, offset }) => [`${partition}`, offset])])]))
      consumer.on(consumer.events.STOP, () => void (seen.stop = true))
      consumer.on(consumer.events.DISCONNECT, () => void (seen.disconnect = true))
      const ignored = vi.fn<() => void>()
      consumer.on(consumer.events.STOP, ignored)()
      await consumer.run({ eachMessage: async () => {} })
      await expect.poll(() => seen.commit, WAIT).toBeDefined()
      await consumer.disconnect()
      expect(seen).toEqual({
        join: [group, true, { [topic]: [0, 1] }],
        start: [1, 2, '0', '1'],
        commit: ['consumer.commit_offsets', [[topic, [['1', '2']]]]],
        stop: true,
        disconnect: true,
      })
      expect(ignored).not.toHaveBeenCalled()
    })

    it('several partitions at once, where asked for', async () => {
      const topic = await newTopic(2)
      await send(topic, { partition: 0, value: 'a' }, { partition: 1, value: 'b' })
      const consumer = await newConsumer(topic, randomUUID())
      const { promise: both, resolve: meet } = Promise.withResolvers<void>()
      let inside = 0
      await consumer.run({
        partitionsConsumedConcurrently: 2,
        eachMessage: async () => {
          if (++inside === 2) meet()
          await both
        },
      })
      await both
      expect(inside).toBe(2)
    })

    it('complaints of the client', async () => {
      const topic = await newTopic()
      const idle = kafka.producer()
      await expect(idle.send({ topic, messages: [{ value: 'x' }] })).rejects.toMatchObject({ message: 'The producer is disconnected' })
      const wrong = { name: 'KafkaJSNonRetriableError', retriable: false }
      await expect(producer.send({ topic: '', messages: [] })).rejects.toMatchObject({ ...wrong, message: 'Invalid topic' })
      await expect(producer.send({ topic, messages: undefined as never })).rejects.toMatchObject(wrong)
      await expect(producer.send({ topic, messages: [{ key: 'k' } as never] })).rejects.toMatchObject(wrong)
      await expect(producer.send({ topic, messages: [{ value: 'x', headers: { gone: undefined } }] })).rejects.toThrow()
      const consumer = kafka.consumer({ groupId: randomUUID() })
      expect(() => consumer.pause([{ topic }])).toThrow(expect.objectContaining(wrong) as Error)
      expect(() => consumer.seek({ topic, partition: 0, offset: '0' })).toThrow(expect.objectContaining(wrong) as Error)
      expect(() => consumer.on('consumer.nothing' as never, () => {})).toThrow(expect.objectContaining(wrong) as Error)
      expect(consumer.paused()).toEqual([])
      const { consumer: running } = await consume(topic, randomUUID())
      await expect(running.subscribe({ topic })).rejects.toMatchObject(wrong)
      expect(() => running.seek({ topic, partition: 0, offset: '-5' })).toThrow(expect.objectContaining(wrong) as Error)
      expect(() => running.seek({ topic, partition: 0, offset: 'x' })).toThrow(expect.objectContaining(wrong) as Error)
      expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ high: '0' }])
    })
  })
}

/** As kafkajs' default partitioner has them. */
const KEY_PARTITIONS = [1, 2, 1, 2, 0, 2]
