import { gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineChannels } from '@sealbus/core'
import { sealKafka, sealProducer } from '@sealbus/kafka'
import { CompressionCodecs, CompressionTypes, type Consumer, type ConsumerRunConfig, type KafkaMessage } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { useKafka, WAIT } from '../support/kafka-fixture.ts'

// What a wrapped client has in common with the bare one, beyond what the numbered pitfalls look at.
const channels = defineChannels({
  orders: { to: ['billing'], match: [/^orders-/] },
  reports: { to: ['billing'], match: [/^reports-/], compress: 'gzip' },
})

describeWithKafka('Kafka, as without the wrapper', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  const values = (count: number, stem = ''): { value: string }[] => Array.from({ length: count }, (_, index) => ({ value: `${stem}${index}` }))

  describe('producing', () => {
    it('explicit partitions, timestamps and headers are what the broker has; the answer is the client\'s, one for each partition', async () => {
      const topic = await fixture.topic('orders', { partitions: 3 })
      const answer = await fixture.sealed.send({ topic, messages: [0, 1, 2, 1].map((partition) => ({ key: 'same', value: `${partition}`, partition, timestamp: `170000000000${partition}`, headers: { at: `${partition}` } })) })
      expect(answer.map(({ topicName, partition, errorCode, baseOffset }) => [topicName, partition, errorCode, baseOffset]).toSorted((a, b) => Number(a[1]) - Number(b[1]))).toEqual([0, 1, 2].map((partition) => [topic, partition, 0, '0']))
      const stored = await fixture.stored(topic, 4)
      expect(stored.map(({ key, timestamp, headers }) => [String(key), timestamp, String(headers?.['at'])])).toEqual(['0', '1', '1', '2'].map((at) => ['same', `170000000000${at}`, at]))
    })

    it('sends that nobody awaits reach the client in the order in which they were made, whatever kinds there are', async () => {
      const topic = await fixture.topic()
      const inner = fixture.kafka.producer()
      const handedOver: string[] = []
      const note = (messages: readonly { readonly value: unknown }[]): void => void handedOver.push(...messages.map(({ value }) => fixture.opener().openSync(value as Buffer, { channel: 'orders', key: null }).plaintext.toString()))
      const { send, sendBatch } = { send: inner.send.bind(inner), sendBatch: inner.sendBatch.bind(inner) }
      inner.send = (given) => {
        note(given.messages)
        return send(given)
      }
      inner.sendBatch = (given) => {
        note((given.topicMessages ?? []).flatMap(({ messages }) => messages))
        return sendBatch(given)
      }
      const producer = sealProducer(inner, { sealer: fixture.sealer })
      fixture.closeLater(() => producer.disconnect())
      await producer.connect()
      await Promise.all(values(100).map((message, index) => index % 10 === 9 ? producer.sendBatch({ topicMessages: [{ topic, messages: [message] }] }) : producer.send({ topic, messages: [message] })))
      expect(handedOver).toEqual(values(100).map(({ value }) => value))
      expect(await fixture.ends(topic)).toEqual(['100'])
    })

    it('a batch that cannot be sealed whole is not sent at all, whichever message it is', async () => {
      const topic = await fixture.topic()
      const batch = fixture.sealed.sendBatch({ topicMessages: [{ topic, messages: values(5) }, { topic, messages: [{ value: 'x'.repeat(1_000_000) }] }] })
      await expect(batch).rejects.toMatchObject({ code: 'ERR_SEALBUS_TOO_LARGE' })
      await expect(fixture.sealed.send({ topic, messages: [...values(5), { value: undefined as never }] })).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
      expect(await fixture.ends(topic)).toEqual(['0'])
    })

    it("the client's compression is the client's; the channel's comes before sealing, and is what makes envelopes smaller", async () => {
      const [plain, compressed] = [await fixture.topic(), await fixture.topic('reports')]
      const value = JSON.stringify(Array.from({ length: 200 }, (_, index) => ({ customer: 'Ada Lovelace', total: index % 3 })))
      for (const topic of [plain, compressed]) await fixture.sealed.send({ topic, compression: CompressionTypes.GZIP, messages: [{ value }] })
      const [[one], [other]] = [await fixture.stored(plain, 1), await fixture.stored(compressed, 1)]
      // Base64url is a third more than the bytes; the rest of an envelope is less than a kilobyte.
      expect(one?.value?.length).toBeGreaterThan(value.length * 4 / 3)
      expect(other?.value?.length).toBeLessThan(gzipSync(value).length * 4 / 3 + 1_000)
      const seen: string[] = []
      const consumer = await fixture.consumer({ topics: [plain, compressed] })
      await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
      await expect.poll(() => seen.length, WAIT).toBe(2)
      expect(seen).toEqual([value, value])
    })

    it.each([['gzip', CompressionTypes.GZIP], ['zstd, registered as a codec,', CompressionTypes.ZSTD]] as const)('%s is applied to what is sealed, and undone before it is opened', async (_title, compression) => {
      CompressionCodecs[CompressionTypes.ZSTD] = () => ({ compress: async ({ buffer }: { buffer: Buffer }) => zstdCompressSync(buffer), decompress: async (buffer: Buffer) => zstdDecompressSync(buffer) })
      // Of a ciphertext, compression gets back what base64url costs: a batch of 134,000 bytes is one of 101,000.
      const topic = await fixture.topic('orders', { config: { 'max.message.bytes': '110000' } })
      const value = 'x'.repeat(100_000)
      await expect(fixture.sealed.send({ topic, messages: [{ value }] })).rejects.toMatchObject({ type: 'MESSAGE_TOO_LARGE' })
      await fixture.sealed.send({ topic, compression, messages: [{ value }] })
      await fixture.sealed.sendBatch({ compression, topicMessages: [{ topic, messages: [{ value }] }] })
      const seen: string[] = []
      const consumer = await fixture.consumer({ topics: [topic] })
      await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
      await expect.poll(() => seen, WAIT).toEqual([value, value])
    })

    it("an ended transaction complains as the client does, also without arguments; so does everything else that is malformed", async () => {
      const topic = await fixture.topic()
      const producer = await fixture.producer({ transactionalId: uniqueName('tx'), idempotent: true, maxInFlightRequests: 1 })
      const bare = fixture.kafka.producer({ transactionalId: uniqueName('tx'), idempotent: true, maxInFlightRequests: 1 })
      fixture.closeLater(() => bare.disconnect())
      await bare.connect()
      const complaints = async (given: typeof producer): Promise<string[]> => {
        const transaction = await given.transaction()
        await transaction.commit()
        const calls: (() => Promise<unknown>)[] = [
          () => (transaction.send as () => Promise<unknown>)(),
          () => transaction.commit(),
          () => given.send({ topic: undefined as never, messages: values(1) }),
          () => given.send({ topic, messages: undefined as never }),
          () => given.sendBatch({ topicMessages: [{ topic: '', messages: values(1) }] }),
        ]
        const messages: string[] = []
        for (const call of calls) messages.push(await call().then(() => 'fine', (error: Error) => `${error.name}: ${error.message}`))
        return messages
      }
      const [ours, theirs] = [await complaints(producer), await complaints(bare)]
      expect(ours.slice(0, 4)).toEqual(theirs.slice(0, 4))
      // An empty topic is one that no channel is declared for.
      expect(ours[4]).toContain('no channel is declared for ""')
      expect(ours.every((each) => each !== 'fine')).toBe(true)
    })
  })

  describe('consuming', () => {
    /** What a consumer does to a topic, by its own events, until it has seen everything. */
    const course = async (consumer: Consumer, config: ConsumerRunConfig, count: number): Promise<{ events: unknown[]; seen: number }> => {
      const events: unknown[] = []
      let seen = 0
      const end = Promise.withResolvers<void>()
      consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload: { partition, batchSize, firstOffset, lastOffset, offsetLag } }) => void events.push(['start', partition, batchSize, firstOffset, lastOffset, offsetLag]))
      consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload: { partition, batchSize } }) => void events.push(['end', partition, batchSize]))
      consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload: { topics } }) => void events.push(['commit', topics[0]?.partitions]))
      const note = (messages: readonly KafkaMessage[]): void => {
        seen += messages.length
        if (seen === count) end.resolve()
      }
      const { eachMessage, eachBatch, ...rest } = config
      await consumer.run({ ...rest, ...(eachMessage && { eachMessage: async (payload) => {
        note([payload.message])
        await eachMessage(payload)
      } }), ...(eachBatch && { eachBatch: async (payload) => {
        note(payload.batch.messages)
        await eachBatch(payload)
      } }) })
      await end.promise
      await consumer.disconnect()
      return { events: events.filter((each) => !(Array.isArray(each) && each[2] === 0)), seen }
    }
    it.each<[string, ConsumerRunConfig]>([
      ['eachMessage', { eachMessage: async () => {} }],
      ['eachMessage and autoCommitThreshold', { autoCommitThreshold: 3, eachMessage: async () => {} }],
      ['eachMessage by hand', { autoCommit: false, eachMessage: async () => {} }],
      ['eachBatch', { eachBatch: async () => {} }],
      ['eachBatch that resolves by itself', { eachBatchAutoResolve: false, autoCommitThreshold: 2, eachBatch: async (payload) => {
        for (const { offset } of payload.batch.messages) {
          payload.resolveOffset(offset)
          await payload.commitOffsetsIfNecessary()
        }
      } }],
    ])('the instrumentation of %s tells the same story: batches, their borders, and commits', async (_title, config) => {
      const topic = await fixture.topic()
      await fixture.sealed.send({ topic, messages: values(10) })
      const bare = fixture.kafka.consumer({ groupId: uniqueName('bare'), maxWaitTimeInMs: 100 })
      await bare.connect()
      await bare.subscribe({ topic, fromBeginning: true })
      const wrapped = await fixture.consumer({ topics: [topic] })
      const [theirs, ours] = [await course(bare, config, 10), await course(wrapped, config, 10)]
      expect(ours).toEqual(theirs)
      expect(ours.events.length).toBeGreaterThan(1)
    })

    it('autoCommitInterval: committed while the handler is still at its batch', async () => {
      const topic = await fixture.topic()
      const groupId = uniqueName('group')
      await fixture.sealed.send({ topic, messages: values(4) })
      const gate = Promise.withResolvers<void>()
      const consumer = await fixture.consumer({ topics: [topic], groupId })
      await consumer.run({ autoCommitInterval: 50, eachMessage: async ({ message }) => {
        await sleep(100)
        if (message.offset === '3') await gate.promise
      } })
      await expect.poll(() => fixture.committed(groupId, topic), WAIT).toEqual(['3'])
      gate.resolve()
      await expect.poll(() => fixture.committed(groupId, topic), WAIT).toEqual(['4'])
    })

    it('an error of a handler is what the client\'s CRASH event tells, and what is no error of the program does not end the consumer', async () => {
      const topic = await fixture.topic()
      await fixture.sealed.send({ topic, messages: values(1) })
      const thrown = new TypeError('mine')
      const crashes: { error: Error & { cause?: unknown }; restart: boolean }[] = []
      const consumer = await fixture.consumer({ topics: [topic] })
      consumer.on(consumer.events.CRASH, ({ payload }) => void crashes.push(payload))
      await consumer.run({ eachMessage: () => { throw thrown } })
      await expect.poll(() => crashes.length, WAIT).toBe(1)
      // As kafkajs has it: a TypeError of the caller's own ends the consumer for good.
      expect([crashes[0]?.restart, crashes[0]?.error.message, crashes[0]?.error.cause]).toEqual([false, 'mine', thrown])
    })

    it('handlers that return no promise, batches that are copied, and several partitions at once', async () => {
      const topic = await fixture.topic('orders', { partitions: 3 })
      await fixture.sealed.send({ topic, messages: [0, 1, 2].map((partition) => ({ value: `${partition}`, partition })) })
      const gates = new Map<number, () => void>()
      const seen: string[] = []
      const consumer = await fixture.consumer({ topics: [topic] })
      await consumer.run({ partitionsConsumedConcurrently: 3, eachBatch: async ({ batch }) => {
        const copy = { ...batch }
        seen.push(...copy.messages.map(({ value }) => String(value)))
        await new Promise<void>((resolve) => gates.set(copy.partition, resolve))
      } })
      // All three are in their handlers at one time.
      await expect.poll(() => [...gates.keys()].toSorted((a, b) => a - b), WAIT).toEqual([0, 1, 2])
      for (const open of gates.values()) open()
      expect(seen.toSorted()).toEqual(['0', '1', '2'])
      const plainly: string[] = []
      const second = await fixture.consumer({ topics: [topic] })
      await second.run({ eachMessage: (({ message }: { message: KafkaMessage }) => void plainly.push(String(message.value))) as never })
      await expect.poll(() => plainly.toSorted(), WAIT).toEqual(['0', '1', '2'])
    })

    it('what the client says about topics, groups and pauses is what the wrapped one says', async () => {
      const topic = await fixture.topic('orders', { partitions: 2 })
      const groupId = uniqueName('group')
      const consumer = await fixture.consumer({ topics: [topic], groupId })
      await expect(consumer.subscribe({ topic: 7 as never })).rejects.toThrow(/Invalid topic/)
      expect(() => consumer.seek({ topic, partition: 0, offset: '0' })).toThrow(/not initialized|before consumer.run/i)
      expect(() => consumer.pause([{ topic }])).toThrow()
      await consumer.run({ eachMessage: async () => {} })
      await expect.poll(async () => (await consumer.describeGroup()).state, WAIT).toBe('Stable')
      consumer.pause([{ topic, partitions: [1] }])
      expect(consumer.paused()).toEqual([{ topic, partitions: [1] }])
      consumer.resume([{ topic, partitions: [1] }])
      expect(consumer.paused()).toEqual([])
      expect(consumer.logger()).toBeTypeOf('object')
      expect(sealKafka(fixture.kafka, { sealer: fixture.sealer }).logger()).toBe(fixture.kafka.logger())
      await expect(consumer.commitOffsets([{ topic, partition: 0, offset: 'x' }])).rejects.toThrow(/offset/i)
    })
  })
})
