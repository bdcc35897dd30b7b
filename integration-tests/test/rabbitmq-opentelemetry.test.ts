import { createRequire } from 'node:module'
import { opened } from '@sealbus/core'
import type * as Api from '@opentelemetry/api'
import { AmqplibInstrumentation } from '@opentelemetry/instrumentation-amqplib'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { describeWithRabbit } from '../support/brokers.ts'
import { RABBIT_CLIENTS } from '../support/rabbit-clients.ts'
import { createRabbitWorld, type RabbitWorld } from '../support/rabbit-world.ts'

/** The instrumentation's own copy of the API: it sees what the SDK has registered with an older one only by its version. */
const require = createRequire(import.meta.url)
const { context, propagation, trace } = createRequire(require.resolve('@opentelemetry/instrumentation-amqplib'))('@opentelemetry/api') as typeof Api

describeWithRabbit('RabbitMQ with OpenTelemetry', ({ url }) => {
  const exporter = new InMemorySpanExporter()
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const instrumentation = new AmqplibInstrumentation()
  /** What the instrumentation patches where these are loaded after it: the channels of both of amqplib's APIs. */
  const patched = ['amqplib', 'amqplib-0.10'].flatMap((name) => ['channel_model', 'callback_model'].map((file) => createRequire(require.resolve(name))(`./lib/${file}.js`) as unknown))
  let world: RabbitWorld

  const hooks = (): { patch(module: unknown, version: string): unknown; unpatch(module?: unknown): void }[] =>
    instrumentation.getModuleDefinitions().flatMap(({ files }) => files.filter(({ name }) => name.endsWith('_model.js')))

  beforeAll(() => {
    provider.register()
    const registered = Reflect.get(globalThis, Symbol.for('opentelemetry.js.api.1')) as { version: string }
    registered.version = '1.999.0'
    instrumentation.setTracerProvider(provider)
    for (const module of patched) hooks()[0]?.patch(module, '2.3.1')
  })
  afterAll(async () => {
    for (const module of patched) hooks()[0]?.unpatch(module)
    await provider.shutdown()
    for (const each of [trace, context, propagation]) each.disable()
  })
  beforeEach(async () => {
    exporter.reset()
    world = await createRabbitWorld(url)
  })
  afterEach(async () => world.close())

  const inRequest = <Value>(work: () => Promise<Value>): Promise<Value> =>
    provider.getTracer('test').startActiveSpan('request', async (span) => {
      try {
        return await work()
      } finally {
        span.end()
      }
    })
  const traceId = (): string | undefined => trace.getActiveSpan()?.spanContext().traceId

  describe.each(RABBIT_CLIENTS)('$name', (client) => {
    test('pitfall 17: what is written into the headers after sealing changes nothing, and each handler is in its message’s own trace', async () => {
      const { first } = await world.open(client)
      const sent: unknown[] = []
      for (const text of ['now', 'later', 'later still']) {
        await inRequest(async () => {
          sent.push([text, traceId()])
          await first.publish('', world.orders, Buffer.from(text), { headers: { tenant: 'a' } })
        })
      }
      const seen: unknown[] = []
      await first.consume(world.orders, (message) => {
        if (!message) return
        seen.push([message.content.toString(), traceId()])
        expect([opened(message)?.channel, message.properties.headers?.['tenant']]).toEqual(['orders', 'a'])
        expect(String(message.properties.headers?.['traceparent'])).toContain(traceId())
        first.ack(message)
      })
      await expect.poll(() => seen).toEqual(sent)

      // Those that wait for a key, too.
      seen.length = sent.length = 0
      world.source.answers = 20
      for (const text of ['one', 'two', 'three']) {
        await inRequest(async () => {
          sent.push([text, traceId()])
          await first.publish('', world.orders, Buffer.from(text), { headers: { tenant: 'a' } })
        })
      }
      await expect.poll(() => seen).toEqual(sent)
      // An acknowledgement ends the span of its message, so each was the client's own object.
      await expect.poll(() => exporter.getFinishedSpans().filter(({ name }) => name.endsWith(' process')).length).toBe(6)
    })
  })
})
