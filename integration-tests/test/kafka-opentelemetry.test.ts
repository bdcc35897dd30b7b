import { createRequire } from 'node:module'
import { defineChannels, opened } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import type * as Api from '@opentelemetry/api'
import { KafkaJsInstrumentation } from '@opentelemetry/instrumentation-kafkajs'
import { InMemorySpanExporter, NodeTracerProvider, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import type { ConsumerConfig, Kafka, KafkaMessage, ProducerConfig } from 'kafkajs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { useKafka, WAIT } from '../support/kafka-fixture.ts'

const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] } })
type Clients = Pick<Kafka, 'producer' | 'consumer'>

/** The instrumentation's own copy of the API: it sees what the SDK has registered with an older one only by its version. */
const require = createRequire(import.meta.url)
const { context, propagation, trace } = createRequire(require.resolve('@opentelemetry/instrumentation-kafkajs'))('@opentelemetry/api') as typeof Api

describeWithKafka('Kafka with OpenTelemetry', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  const exporter = new InMemorySpanExporter()
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const instrumentation = new KafkaJsInstrumentation()

  beforeAll(() => {
    provider.register()
    const registered = Reflect.get(globalThis, Symbol.for('opentelemetry.js.api.1')) as { version: string }
    registered.version = '1.999.0'
    instrumentation.setTracerProvider(provider)
    instrumentation.disable()
  })
  afterAll(async () => {
    instrumentation.disable()
    await provider.shutdown()
    for (const each of [trace, context, propagation]) each.disable()
  })
  beforeEach(() => exporter.reset())
  afterEach(() => instrumentation.disable())

  const options = (): Parameters<typeof sealKafka>[1] => ({ sealer: fixture.sealer, opener: fixture.opener(), onStopped: () => {} })
  /** As an application gets it: the client's module is patched when it is loaded, and so is what the wrapper wraps. */
  const inside = (): Clients => {
    instrumentation.enable()
    require('kafkajs')
    return sealKafka(fixture.kafka, options())
  }
  /** What the instrumentation patches is the wrapped client. */
  const around = (clients: Clients): Clients => {
    class Outer {
      producer(config?: ProducerConfig): ReturnType<Kafka['producer']> {
        return clients.producer(config)
      }
      consumer(config: ConsumerConfig): ReturnType<Kafka['consumer']> {
        return clients.consumer(config)
      }
    }
    for (const { patch } of instrumentation.getModuleDefinitions()) patch?.({ Kafka: Outer }, '2.2.4')
    return new Outer()
  }
  const sides: [string, () => Clients, number][] = [
    ['inside the wrapper', inside, 1],
    ['outside the wrapper', () => around(sealKafka(fixture.kafka, options())), 1],
    ['on both sides', () => around(inside()), 2],
  ]
  const inRequest = <Value>(work: (span: Api.Span) => Promise<Value>): Promise<Value> =>
    provider.getTracer('test').startActiveSpan('request', async (span) => {
      try {
        return await work(span)
      } finally {
        span.end()
      }
    })
  const spans = (kind: string): ReadableSpan[] => exporter.getFinishedSpans().filter(({ name }) => name.startsWith(kind))

  describe.each(sides)('instrumentation %s', (title, clients, layers) => {
    it('pitfall 17: send, sendBatch and transactions: sealed once, one span each, and the trace goes along; eachMessage opens', async () => {
      const topic = await fixture.topic()
      const kafka = clients()
      const producer = kafka.producer({ transactionalId: topic, idempotent: true, maxInFlightRequests: 1 })
      fixture.closeLater(() => producer.disconnect())
      await producer.connect()
      const traceId = await inRequest(async (span) => {
        const transaction = await producer.transaction()
        await transaction.send({ topic, messages: [{ key: 'a', value: 'in a transaction' }] })
        await transaction.sendBatch({ topicMessages: [{ topic, messages: [{ key: 'b', value: 'in its batch' }] }] })
        await transaction.commit()
        return span.spanContext().traceId
      })
      expect(spans(`send ${topic}`).filter((span) => span.spanContext().traceId === traceId)).toHaveLength(2 * layers)
      const seen: [KafkaMessage, string | undefined][] = []
      const consumer = kafka.consumer({ groupId: uniqueName('group'), maxWaitTimeInMs: 100 })
      fixture.closeLater(() => consumer.disconnect())
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({ eachMessage: async ({ message }) => void seen.push([message, trace.getActiveSpan()?.spanContext().traceId]) })
      await expect.poll(() => seen.length, WAIT).toBe(2)
      expect(seen.map(([message]) => [String(message.value), opened(message)?.channel])).toEqual([['in a transaction', 'orders'], ['in its batch', 'orders']])
      // Every message has a span that leads to its sender's: as its parent outside of the wrapper, as a link inside, where the client runs batches.
      await expect.poll(() => spans(`process ${topic}`).length, WAIT).toBe(2 * layers)
      for (const span of spans(`process ${topic}`)) expect([span.spanContext().traceId, ...span.links.map((link) => link.context.traceId)]).toContain(traceId)
      if (title !== 'inside the wrapper') expect(seen.map(([, active]) => active)).toEqual([traceId, traceId])
      // What a handler does to go on with the sender's trace, on whatever side the instrumentation is.
      const carrier = { traceparent: String(seen[0]?.[0].headers?.['traceparent']) }
      expect(trace.getSpanContext(propagation.extract(context.active(), carrier))?.traceId).toBe(traceId)
      for (const { value, headers } of await fixture.stored(topic, 2)) {
        expect(String(value)).toMatch(/^\{"protected":/)
        expect(String(headers?.['traceparent'])).toContain(traceId)
      }
    })

    it('pitfall 17: send alone, and eachBatch', async () => {
      const topic = await fixture.topic()
      const kafka = clients()
      const producer = kafka.producer()
      fixture.closeLater(() => producer.disconnect())
      await producer.connect()
      const traceId = await inRequest(async (span) => {
        await producer.send({ topic, messages: [{ value: 'alone' }] })
        await producer.sendBatch({ topicMessages: [{ topic, messages: [{ value: 'batch' }] }] })
        return span.spanContext().traceId
      })
      expect(spans(`send ${topic}`)).toHaveLength(2 * layers)
      const seen: string[] = []
      const consumer = kafka.consumer({ groupId: uniqueName('group'), maxWaitTimeInMs: 100 })
      fixture.closeLater(() => consumer.disconnect())
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({ eachBatch: async ({ batch }) => void seen.push(...batch.messages.map(({ value }) => String(value))) })
      await expect.poll(() => seen, WAIT).toEqual(['alone', 'batch'])
      await expect.poll(() => spans(`process ${topic}`).length, WAIT).toBe(2 * layers)
      for (const { links } of spans(`process ${topic}`)) expect(links.map((link) => link.context.traceId)).toEqual([traceId])
    })
  })
})
