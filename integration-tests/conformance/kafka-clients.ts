import { opened } from '@sealbus/core'
import { consumerHealth, type ParkedMessage, sealKafka, type SealKafkaOptions, type StoppedMessage } from '@sealbus/kafka'
import type { Kafka, KafkaMessage } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { uniqueName } from '../support/brokers.ts'
import { ConfluentShapedKafka, type ConfluentShapedConsumer, type ConfluentShapedProducer } from '../support/confluent-shape.ts'
import { type KafkaFixture, tamper, WAIT } from '../support/kafka-fixture.ts'

/** What the two clients have in common, by the kinds of their parameters. */
type AnyProducer = Pick<ConfluentShapedProducer, 'connect' | 'disconnect' | 'send' | 'sendBatch' | 'transaction'>
type AnyConsumer = Pick<ConfluentShapedConsumer, 'connect' | 'disconnect' | 'pause' | 'resume' | 'seek' | 'stop' | 'commitOffsets'> & { run(config: Handlers): Promise<void> }
interface Handlers {
  eachMessage?(payload: { topic: string; partition: number; message: KafkaMessage; heartbeat(): Promise<void>; pause(): () => void }): Promise<void>
  eachBatch?(payload: Parameters<Parameters<ConfluentShapedConsumer['run']>[0]['eachBatch'] & object>[0]): Promise<void>
  eachBatchAutoResolve?: boolean
}

/** One client, wrapped, and the ways to use it that are its own. */
export interface WrappedClient {
  readonly name: string
  /** Whether `stop()` stops. */
  readonly stops: boolean
  /** Whether it resolves `acks` and the like per call, or rejects what has them. */
  readonly takesSendOptions: boolean
  wrap(kafka: Kafka, options: SealKafkaOptions): {
    /** A producer of the client itself, for parking. */
    readonly raw: () => AnyProducer
    producer(transactionalId?: string): AnyProducer
    consumer(groupId: string, autoCommit: boolean, topics: string[]): Promise<AnyConsumer>
    /** Begins to consume, with commits as the client is told about them. */
    run(consumer: AnyConsumer, autoCommit: boolean, handlers: Handlers): Promise<void>
    /** One transaction with a message and the offset of its source. */
    exchange(producer: AnyProducer, consumer: AnyConsumer, groupId: string, record: Parameters<AnyProducer['send']>[0], offset: { topic: string; partition: number; offset: string }): Promise<void>
  }
}

export const kafkajsClient: WrappedClient = {
  name: 'kafkajs',
  stops: true,
  takesSendOptions: true,
  wrap(client, options) {
    const kafka = sealKafka(client, options)
    return {
      raw: () => client.producer() as unknown as AnyProducer,
      producer: (transactionalId) => kafka.producer(transactionalId === undefined ? {} : { transactionalId, idempotent: true, maxInFlightRequests: 1 }) as unknown as AnyProducer,
      async consumer(groupId, _autoCommit, topics): Promise<AnyConsumer> {
        const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, heartbeatInterval: 300 })
        await consumer.connect()
        await consumer.subscribe({ topics, fromBeginning: true })
        return consumer as unknown as AnyConsumer
      },
      run: (consumer, autoCommit, handlers) => consumer.run({ ...handlers, autoCommit } as Handlers),
      async exchange(producer, _consumer, consumerGroupId, record, { topic, partition, offset }): Promise<void> {
        const transaction = (await producer.transaction()) as unknown as Awaited<ReturnType<ReturnType<Kafka['producer']>['transaction']>>
        await transaction.send(record)
        await transaction.sendOffsets({ consumerGroupId, topics: [{ topic, partitions: [{ partition, offset }] }] })
        await transaction.commit()
      },
    }
  },
}

export const confluentClient: WrappedClient = {
  name: "the shape of Confluent's client",
  stops: false,
  takesSendOptions: false,
  wrap(client, options) {
    const inner = new ConfluentShapedKafka(client)
    const kafka = sealKafka(inner, options)
    return {
      raw: () => inner.producer(),
      producer: (transactionalId) => kafka.producer(transactionalId === undefined ? {} : { kafkaJS: { transactionalId } }),
      async consumer(groupId, autoCommit, topics): Promise<AnyConsumer> {
        const consumer = kafka.consumer({ kafkaJS: { groupId, fromBeginning: true, autoCommit } })
        await consumer.connect()
        await consumer.subscribe({ topics })
        return consumer
      },
      run: (consumer, _autoCommit, handlers) => consumer.run(handlers),
      async exchange(producer, consumer, _groupId, record, { topic, partition, offset }): Promise<void> {
        const transaction = await producer.transaction()
        await transaction.send(record)
        await transaction.sendOffsets({ consumer: consumer as ConfluentShapedConsumer, topics: [{ topic, partitions: [{ partition, offset }] }] })
        await transaction.commit()
      },
    }
  },
}

/** One behaviour, whichever client is wrapped. */
export function describeWrappedClient(client: WrappedClient, fixture: KafkaFixture): void {
  const start = (options: Partial<SealKafkaOptions> = {}): ReturnType<WrappedClient['wrap']> =>
    client.wrap(fixture.kafka, { sealer: fixture.sealer, opener: fixture.opener(), onStopped: () => {}, dispositions: { holdBackoffMs: { first: 50, longest: 200 } }, ...options })
  const connected = async (producer: AnyProducer): Promise<AnyProducer> => {
    fixture.closeLater(() => producer.disconnect())
    await producer.connect()
    return producer
  }
  const consuming = async (wrapped: ReturnType<WrappedClient['wrap']>, topics: string[], handlers: Handlers, { groupId = uniqueName('group'), autoCommit = true } = {}): Promise<AnyConsumer> => {
    const consumer = await wrapped.consumer(groupId, autoCommit, topics)
    fixture.closeLater(() => consumer.disconnect())
    await wrapped.run(consumer, autoCommit, handlers)
    return consumer
  }
  /** The same handler, for each message or for a whole batch. */
  const MODES = ['eachMessage', 'eachBatch'] as const
  const handlersFor = (mode: (typeof MODES)[number], handle: (message: KafkaMessage) => void | Promise<void>): Handlers =>
    mode === 'eachMessage' ? { eachMessage: async ({ message }) => handle(message) } : { eachBatch: async ({ batch }) => {
      for (const message of batch.messages) await handle(message)
    } }
  const values = (count: number, stem = ''): { value: string }[] => Array.from({ length: count }, (_, index) => ({ value: `${stem}${index}` }))

  describe(`pitfall 15: ${client.name}`, () => {
    it.each(MODES)('%s: messages with headers and without, a tombstone, the content type from inside', async (mode) => {
      const topic = await fixture.topic()
      const wrapped = start()
      const producer = await connected(wrapped.producer())
      await producer.send({ topic, messages: [{ key: 'k', value: 'with', headers: { a: '1', 'content-type': 'text/plain' } }, { value: 'without' }] })
      await producer.sendBatch({ topicMessages: [{ topic, messages: [{ key: 'k', value: null }] }] })
      // An envelope without any header, as another client may have stored it.
      await fixture.raw.send({ topic, messages: [{ value: fixture.sealer.sealSync('bare', { channel: 'orders', key: null }).bytes }] })
      const seen: KafkaMessage[] = []
      await consuming(wrapped, [topic], handlersFor(mode, (message) => void seen.push(message)))
      await expect.poll(() => seen.length, WAIT).toBe(4)
      expect(seen.map(({ value }) => value?.toString())).toEqual(['with', 'without', undefined, 'bare'])
      expect(seen[0]?.headers).toEqual({ a: Buffer.from('1'), 'content-type': Buffer.from('text/plain') })
      expect([seen[1]?.headers, seen[3]?.headers]).toEqual([{}, {}])
      expect(seen.map((message) => opened(message)?.channel)).toEqual(['orders', 'orders', undefined, 'orders'])
    })

    it("the caller's messages are untouched, though the client may write into what it is given", async () => {
      const topic = await fixture.topic()
      const producer = await connected(start().producer())
      const messages = [{ value: 'x', headers: { a: '1' } }, { value: null, headers: {} }]
      await producer.send({ topic, messages })
      expect(messages).toEqual([{ value: 'x', headers: { a: '1' } }, { value: null, headers: {} }])
    })

    it('options of send are the client\'s to take or to refuse', async () => {
      const topic = await fixture.topic()
      const producer = await connected(start().producer())
      const sending = producer.send({ topic, messages: values(1), acks: 1 } as never)
      if (client.takesSendOptions) await sending
      else await expect(sending).rejects.toThrow("'acks' cannot be an option of send()")
      expect(await fixture.ends(topic)).toEqual([client.takesSendOptions ? '1' : '0'])
    })

    it('a batch has its facts and methods', async () => {
      const topic = await fixture.topic()
      const wrapped = start()
      await (await connected(wrapped.producer())).send({ topic, messages: values(5) })
      const facts: unknown[] = []
      await consuming(wrapped, [topic], { eachBatch: async ({ batch, ...payload }) => {
        facts.push([batch.topic, batch.partition, batch.highWatermark, batch.isEmpty(), batch.firstOffset(), batch.lastOffset(), batch.offsetLag(), batch.offsetLagLow(), payload.isRunning(), payload.isStale()])
        await payload.heartbeat()
        await payload.commitOffsetsIfNecessary()
      } })
      await expect.poll(() => facts, WAIT).toEqual([[topic, 0, '5', false, '0', '4', '0', '4', true, false]])
    })

    it('parks with a producer of its own, and goes on', async () => {
      const topic = await fixture.topic()
      const parkTopic = await fixture.topic('parked')
      const parking = await connected(start().raw())
      const parked: ParkedMessage[] = []
      const wrapped = start({ park: { topic: parkTopic, producer: parking }, onParked: (each) => void parked.push(each) })
      const bad = tamper(fixture.sealer.sealSync('x', { channel: 'orders', key: null }).bytes)
      await fixture.raw.send({ topic, messages: [{ value: bad }] })
      await fixture.sealed.send({ topic, messages: values(1) })
      await fixture.raw.send({ topic, messages: [{ value: bad }] })
      const [seen, groupId] = [[] as string[], uniqueName('group')]
      await consuming(wrapped, [topic], handlersFor('eachMessage', ({ value }) => void seen.push(String(value))), { groupId })
      await expect.poll(() => fixture.committed(groupId, topic), WAIT).toEqual(['3'])
      expect([seen, parked.map(({ offset }) => offset)]).toEqual([['0'], ['0', '2']])
      const [copy] = await fixture.stored(parkTopic, 2)
      expect(copy?.value).toEqual(bad)
    })

    it.each(MODES)('%s: a manual committer commits for itself, and nobody else does', async (mode) => {
      const topic = await fixture.topic()
      const wrapped = start()
      await fixture.sealed.send({ topic, messages: values(3) })
      const [seen, groupId] = [[] as string[], uniqueName('group')]
      const consumer = await consuming(wrapped, [topic], handlersFor(mode, ({ value }) => void seen.push(String(value))), { groupId, autoCommit: false })
      await expect.poll(() => seen, WAIT).toEqual(['0', '1', '2'])
      // Another message makes sure that what came before it is done with.
      await fixture.sealed.send({ topic, messages: [{ value: 'next' }] })
      await expect.poll(() => seen.length, WAIT).toBe(4)
      expect(await fixture.committed(groupId, topic)).toEqual(['-1'])
      await consumer.commitOffsets([{ topic, partition: 0, offset: '2' }])
      expect(await fixture.committed(groupId, topic)).toEqual(['2'])
    })

    it.each(MODES)('%s: what stands before a held message in its batch is handled and committed; the rest once the key source is back', async (mode) => {
      const topic = await fixture.topic()
      const { source, opener } = fixture.remote()
      const wrapped = start({ opener })
      await fixture.sealed.send({ topic, messages: [{ key: 'gone', value: null }, { key: 'too', value: null }] })
      await fixture.sealed.send({ topic, messages: values(40) })
      source.available = false
      const [seen, groupId] = [[] as string[], uniqueName('group')]
      const consumer = await consuming(wrapped, [topic], handlersFor(mode, ({ value }) => void seen.push(String(value))), { groupId })
      await expect.poll(() => fixture.committed(groupId, topic), WAIT).toEqual(['2'])
      expect([seen, consumerHealth(consumer).halted]).toMatchObject([['null', 'null'], [{ offset: '2', state: 'holding' }]])
      source.available = true
      await expect.poll(() => seen.length, WAIT).toBe(42)
      expect(seen.slice(2)).toEqual(values(40).map(({ value }) => value))
      await expect.poll(() => fixture.committed(groupId, topic), WAIT).toEqual(['42'])
      expect(consumerHealth(consumer)).toEqual({ healthy: true, halted: [] })
    })

    it.each(MODES)('%s: a message that stops keeps what comes behind it, and seeking past it goes on; what stood before it is handled', async (mode) => {
      const topic = await fixture.topic()
      const stopped: StoppedMessage[] = []
      const wrapped = start({ onStopped: (each) => void stopped.push(each) })
      await fixture.sealed.send({ topic, messages: values(2) })
      await fixture.raw.send({ topic, messages: [{ value: 'not sealed' }] })
      await fixture.sealed.send({ topic, messages: values(1, 'after-') })
      const [seen, groupId] = [[] as string[], uniqueName('group')]
      const consumer = await consuming(wrapped, [topic], handlersFor(mode, ({ value }) => void seen.push(String(value))), { groupId })
      await expect.poll(() => fixture.committed(groupId, topic), WAIT).toEqual(['2'])
      expect([seen, stopped.map(({ offset }) => offset), consumerHealth(consumer).healthy]).toEqual([['0', '1'], ['2'], false])
      consumer.seek({ topic, partition: 0, offset: '3' })
      await expect.poll(() => seen, WAIT).toEqual(['0', '1', 'after-0'])
      expect(consumerHealth(consumer).healthy).toBe(true)
    })

    it.each(MODES)('%s: a handler that fails gets the message again', async (mode) => {
      const topic = await fixture.topic()
      await fixture.sealed.send({ topic, messages: values(3) })
      const seen: string[] = []
      await consuming(start(), [topic], handlersFor(mode, ({ value }) => {
        seen.push(String(value))
        if (seen.length === 2) throw new Error('handler')
      }))
      await expect.poll(() => seen.at(-1), WAIT).toBe('2')
      expect(seen).toEqual(mode === 'eachMessage' ? ['0', '1', '1', '2'] : ['0', '1', '0', '1', '2'])
    })

    it.each(MODES)("%s: pausing is the caller's, within a handler and from outside", async (mode) => {
      const topic = await fixture.topic('orders', { partitions: 2 })
      const send = (partition: number, ...texts: string[]): Promise<unknown> => fixture.sealed.send({ topic, messages: texts.map((value) => ({ value, partition })) })
      await send(0, '0', '1', '2', '3')
      const seen: string[][] = [[], []]
      const resumes: (() => void)[] = []
      const consumer = await consuming(start(), [topic], mode === 'eachMessage' ? { eachMessage: async (payload) => {
        seen[payload.partition]?.push(String(payload.message.value))
        if (payload.partition === 0 && payload.message.offset === '1') resumes.push(payload.pause())
      } } : { eachBatch: async (payload) => {
        seen[payload.batch.partition]?.push(...payload.batch.messages.map(({ value }) => String(value)))
        // Confluent's client has what is paused come again, unless it is resolved.
        payload.resolveOffset(payload.batch.messages.at(-1)?.offset ?? '')
        if (payload.batch.partition === 0 && resumes.length === 0) resumes.push(payload.pause())
      } })
      /** Shows, by the other partition, that what was sent before would have been fetched. */
      const goOn = async (...texts: string[]): Promise<void> => {
        for (const text of texts) {
          await send(1, text)
          await expect.poll(() => seen[1]?.at(-1), WAIT).toBe(text)
        }
      }
      await expect.poll(() => resumes.length, WAIT).toBe(1)
      const before = mode === 'eachMessage' ? ['0', '1'] : seen[0]?.slice()
      await send(0, 'more')
      await goOn('a', 'b')
      expect(seen[0]).toEqual(before)
      resumes[0]?.()
      await expect.poll(() => seen[0], WAIT).toEqual(['0', '1', '2', '3', 'more'])
      consumer.pause([{ topic, partitions: [0] }])
      await send(0, 'last')
      await goOn('c', 'd')
      expect(seen[0]?.at(-1)).toBe('more')
      consumer.resume([{ topic, partitions: [0] }])
      await expect.poll(() => seen[0]?.at(-1), WAIT).toBe('last')
    })

    it('stop() stops where the client can, and where it cannot, it says so and goes on, holds included', async () => {
      const topic = await fixture.topic()
      const { source, opener } = fixture.remote()
      await fixture.sealed.send({ topic, messages: values(1) })
      source.available = false
      const seen: string[] = []
      const consumer = await consuming(start({ opener }), [topic], handlersFor('eachMessage', ({ value }) => void seen.push(String(value))))
      await expect.poll(() => consumerHealth(consumer).halted.length, WAIT).toBe(1)
      if (client.stops) await consumer.stop()
      else await expect(consumer.stop()).rejects.toThrow('Not implemented')
      source.available = true
      if (client.stops) await consumer.run(handlersFor('eachMessage', ({ value }) => void seen.push(String(value))))
      await expect.poll(() => seen, WAIT).toEqual(['0'])
    })

    it('a transaction seals what it sends, and takes the offsets of a wrapped consumer', async () => {
      const [topic, target, groupId] = [await fixture.topic(), await fixture.topic(), uniqueName('group')]
      const wrapped = start()
      await fixture.sealed.send({ topic, messages: values(1) })
      const producer = await connected(wrapped.producer(uniqueName('tx')))
      const seen: string[] = []
      const consumer = await consuming(wrapped, [topic], handlersFor('eachMessage', ({ value }) => void seen.push(String(value))), { groupId, autoCommit: false })
      await expect.poll(() => seen.length, WAIT).toBe(1)
      // The broker may still be busy with the group's first offsets.
      await expect.poll(() => wrapped.exchange(producer, consumer, groupId, { topic: target, messages: values(1, 'out-') }, { topic, partition: 0, offset: '1' }).then(() => 'done', async () => 'busy'), WAIT).toBe('done')
      await expect.poll(() => fixture.committed(groupId, topic), WAIT).toEqual(['1'])
      const [record] = await fixture.stored(target, 1)
      expect(String(record?.value)).toMatch(/^\{"protected":/)
      expect(fixture.opener().openSync(record?.value ?? Buffer.alloc(0), { channel: 'orders', key: null }).plaintext.toString()).toBe('out-0')
    })

    it('a partition that went to another member is not told of as halted here', async () => {
      const topic = await fixture.topic('orders', { partitions: 2 })
      const groupId = uniqueName('group')
      for (const partition of [0, 1]) await fixture.raw.send({ topic, messages: [{ value: 'not sealed', partition }] })
      const first = await consuming(start(), [topic], handlersFor('eachMessage', () => {}), { groupId })
      await expect.poll(() => consumerHealth(first).halted.length, WAIT).toBe(2)
      const second = await consuming(start(), [topic], handlersFor('eachMessage', () => {}), { groupId })
      await expect.poll(() => [consumerHealth(first).halted.length, consumerHealth(second).halted.length], WAIT).toEqual([1, 1])
    })
  })
}
