import { inspect } from 'node:util'
import { createSealer, defineChannels, opened, type Opener, type RecipientDirectory, type Sealer } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { type ChannelModel, connect } from 'amqplib'
import { CompressionTypes, Kafka, logLevel, type Message, type Producer } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createTopics, describeWithLocalKafka, describeWithLocalRabbit } from '../support/brokers.ts'
import { type Canaries, createCanaries } from '../support/canaries.ts'
import { type RabbitNode, startRabbitNode } from '../support/rabbitmq-node.ts'
import { type ScannedKafka, startScannedKafka } from '../support/scanned-kafka.ts'
import { findInFiles } from '../support/segment-scan.ts'
import { type Services, startServices } from '../support/services.ts'
import { startTcpProxy, type TcpProxy, type WireFinding } from '../support/tcp-proxy.ts'

const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders/] }, nobody: { to: () => [] }, metrics: 'plaintext', cold: { to: ['unreachable'] } })

/** Everything that a process shows of itself: errors, events, what the client logs, and the console. */
class Shown {
  readonly #texts: string[] = []
  add(value: unknown): void {
    this.#texts.push(inspect(value, { depth: 12, showHidden: true, maxArrayLength: null, maxStringLength: null }))
  }
  /** Until the mocks are restored. */
  captureConsole(): void {
    for (const method of ['debug', 'log', 'info', 'warn', 'error', 'trace', 'dir'] as const) vi.spyOn(console, method).mockImplementation((...args: unknown[]) => this.add(args))
    process.on('warning', (warning) => this.add(warning))
  }
  /** Runs what must fail, and keeps its error. */
  async failure(call: () => unknown): Promise<void> {
    try {
      await call()
    } catch (error) {
      this.add(error)
      return
    }
    expect.fail('it must fail, and did not')
  }
  contains(patterns: readonly Buffer[]): boolean {
    // Buffers are shown in hexadecimal, and only their beginning is, which is where a canary has its mark.
    const forms = patterns.flatMap((pattern) => [pattern.toString(), pattern.toString('hex'), pattern.toString('hex').replace(/..(?=.)/g, '$& ')])
    return this.#texts.some((text) => forms.some((form) => text.includes(form)))
  }
  get size(): number {
    return this.#texts.length
  }
}

async function start(): Promise<{ services: Services; sealer: Sealer; opener: Opener }> {
  const services = await startServices('billing')
  await services.directory.resolve('billing')
  // Its keys never come, so that the path of a message that waits in vain is walked too.
  const never: RecipientDirectory = {
    peek: () => undefined,
    resolve: (_name, { signal } = {}) => new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted')))),
  }
  const at = (name: string): RecipientDirectory => (name === 'unreachable' ? never : services.directory)
  const directory: RecipientDirectory = { peek: (name) => at(name).peek(name), resolve: (name, options) => at(name).resolve(name, options) }
  return { services, sealer: createSealer({ channels, directory }), opener: services.named('billing').opener(channels) }
}

function tampered(sealer: Sealer, canary: string): Buffer {
  const jwe = JSON.parse(sealer.sealSync(canary, { channel: 'orders', key: null }).bytes.toString()) as object
  return Buffer.from(JSON.stringify({ ...jwe, tag: Buffer.alloc(16, 1).toString('base64url') }))
}

describeWithLocalKafka('plaintext: Kafka', () => {
  const canaries = createCanaries()
  const control = createCanaries()
  const shown = new Shown()
  let scanned: ScannedKafka
  let kafka: Kafka
  let setup: Awaited<ReturnType<typeof start>>

  beforeAll(async () => {
    shown.captureConsole()
    scanned = await startScannedKafka([...canaries.patterns, ...control.patterns])
    kafka = new Kafka({ brokers: scanned.cluster.bootstrap, logLevel: logLevel.DEBUG, logCreator: () => (entry) => shown.add(entry), retry: { initialRetryTime: 100, retries: 10 } })
    setup = await start()
    await createTopics(scanned.cluster.bootstrap, [{ topic: 'orders', numPartitions: 2 }, { topic: 'orders-retry', numPartitions: 1 }, { topic: 'parked', numPartitions: 1 }, { topic: 'metrics', numPartitions: 1 }])
  })
  afterAll(async () => {
    vi.restoreAllMocks()
    setup?.services.close()
    await scanned?.stop()
  })

  const messages = (count: number): Message[] => Array.from({ length: count }, (_, index) => ({ key: `k${index}`, value: index % 2 === 0 ? canaries.next() : Buffer.from(canaries.next()) }))

  it('1,000 messages on every path of the API leave none on the wire, in the segment files, the parked copies, errors or logs', { timeout: 180_000 }, async () => {
    const { sealer, opener } = setup
    const sealed = sealKafka(kafka, { sealer, opener, onStopped: () => {}, keyWaitMs: 300 })
    const producer: Producer = sealed.producer({ allowAutoTopicCreation: false })
    const raw = kafka.producer()
    await Promise.all([producer.connect(), raw.connect()])
    producer.on(producer.events.REQUEST, (event) => shown.add(event))

    await producer.send({ topic: 'orders', messages: messages(300) })
    await Promise.all(Array.from({ length: 50 }, () => producer.send({ topic: 'orders', messages: messages(1) })))
    await producer.sendBatch({ topicMessages: [{ topic: 'orders', messages: messages(100) }, { topic: 'orders-retry', messages: messages(50) }, { topic: 'orders', messages: messages(50) }] })

    await producer.send({ topic: 'orders', messages: messages(20), compression: CompressionTypes.GZIP })

    const transactional = sealed.producer({ transactionalId: 'tx', idempotent: true, maxInFlightRequests: 1 })
    await transactional.connect()
    for (const end of ['commit', 'abort'] as const) {
      const transaction = await transactional.transaction()
      await transaction.send({ topic: 'orders', messages: messages(75) })
      await transaction.sendBatch({ topicMessages: [{ topic: 'orders', messages: messages(25) }] })
      await transaction[end]()
      await shown.failure(() => transaction.send({ topic: 'orders', messages: messages(5) }))
    }

    // Retries: connections break while messages are under way, and the client sends the same bytes again.
    for (let round = 0; round < 10; round++) {
      const sending = producer.send({ topic: 'orders', messages: messages(15) })
      for (const proxy of scanned.proxies) proxy.cutConnections()
      await sending
    }

    await shown.failure(() => producer.send({ topic: 'undeclared', messages: messages(10) }))
    await shown.failure(() => producer.send({ topic: 'nobody', messages: messages(10) }))
    await shown.failure(() => producer.send({ topic: 'cold', messages: messages(10) }))
    await shown.failure(() => producer.send({ topic: 'orders', messages: [{ vlaue: canaries.next() } as unknown as Message] }))
    await shown.failure(() => producer.send({ topics: 'orders', messages: messages(10) } as never))
    await shown.failure(() => producer.sendBatch({ topicMessages: [{ topic: 'orders', messages: messages(10) }, { topc: 'orders', messages: messages(10) } as never] }))
    await shown.failure(() => producer.sendBatch({ topicMessages: [{ topic: 'orders', messages: messages(10) }, { topic: 'undeclared', messages: messages(10) }] }))
    await shown.failure(() => producer.send({ topic: 'orders', messages: [...messages(10), { value: sealer.sealSync(canaries.next(), { channel: 'orders' }).bytes }] }))
    await shown.failure(() => producer.send({ topic: 'orders', messages: [{ value: canaries.next().padEnd(900_000, canaries.next()) }] }))

    // Before anything is consumed, so that a leak is reported as one.
    expectNone(scanned.found(), canaries)

    // Consuming: handlers see plaintext, unopenable ones are parked, opened ones go to a retry topic as they are.
    await raw.send({ topic: 'orders', messages: [{ value: tampered(sealer, canaries.next()) }] })
    const consuming = sealKafka(kafka, { opener, park: { topic: 'parked', producer: raw } })
    const seen = new Set<string>()
    const consumer = consuming.consumer({ groupId: 'billing' })
    await consumer.connect()
    await consumer.subscribe({ topic: 'orders', fromBeginning: true })
    for (const event of Object.values(consumer.events)) consumer.on(event as never, (each: unknown) => shown.add(each))
    let failedOnce = false
    await consumer.run({
      eachMessage: async ({ message }) => {
        if (!failedOnce) {
          failedOnce = true
          throw new Error('a handler that fails once')
        }
        seen.add(String(message.value))
        const envelope = opened(message)?.envelope
        if (seen.size <= 20 && envelope) await producer.send({ topic: 'orders-retry', messages: [{ key: message.key, value: envelope, headers: message.headers ?? {} }] })
      },
    })
    await expect.poll(() => seen.size, { timeout: 60_000 }).toBeGreaterThanOrEqual(300 + 50 + 150 + 20 + 100 + 150)
    const admin = kafka.admin()
    await admin.connect()
    await expect.poll(async () => (await admin.fetchTopicOffsets('parked'))[0]?.high, { timeout: 20_000 }).toBe('1')

    // Compressed batches hide from the scanners, so the records are looked at as any consumer without keys gets them.
    const stored: Buffer[] = []
    const stranger = kafka.consumer({ groupId: 'stranger' })
    await stranger.subscribe({ topics: ['orders', 'orders-retry', 'parked'], fromBeginning: true })
    await stranger.run({ eachMessage: async ({ message }) => void stored.push(message.value ?? expect.fail('a tombstone')) })
    await expect.poll(() => stored.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(seen.size + 50 + 20 + 1)
    expect(stored.filter((value) => !value.toString().startsWith('{"protected":"'))).toEqual([])
    expect(stored.filter((value) => canaries.patterns.some((pattern) => value.includes(pattern)))).toEqual([])
    await stranger.disconnect()

    // The scanners prove themselves on a topic that is declared as plaintext.
    await producer.send({ topic: 'metrics', messages: [{ value: control.next() }] })
    await Promise.all([consumer.disconnect(), producer.disconnect(), transactional.disconnect(), raw.disconnect(), admin.disconnect()])

    expect(canaries.count).toBeGreaterThanOrEqual(1_000)
    await expectFoundOnly(scanned.found().map(({ canary }) => canary), scanned.cluster.dataDirs, canaries, control)
    expect(shown.size).toBeGreaterThan(100)
    expect(shown.contains(canaries.patterns)).toBe(false)
  })
})

describeWithLocalRabbit('plaintext: RabbitMQ', () => {
  const canaries = createCanaries()
  const control = createCanaries()
  const shown = new Shown()
  let node: RabbitNode
  let proxy: TcpProxy
  let connection: ChannelModel
  let setup: Awaited<ReturnType<typeof start>>

  beforeAll(async () => {
    shown.captureConsole()
    node = await startRabbitNode()
    const { hostname, port } = new URL(node.url)
    proxy = await startTcpProxy({ upstream: { host: hostname, port: Number(port) }, scan: [...canaries.patterns, ...control.patterns] })
    connection = await connect(`amqp://guest:guest@127.0.0.1:${proxy.port}`)
    connection.on('error', (error) => shown.add(error))
    setup = await start()
  })
  afterAll(async () => {
    vi.restoreAllMocks()
    await connection?.close()
    setup?.services.close()
    await proxy?.close()
    await node?.stop()
  })

  it('1,000 messages on every path of the API leave none on the wire, in the message store, the parked copies or errors', { timeout: 180_000 }, async () => {
    const { sealer, opener } = setup
    const raw = await connection.createConfirmChannel()
    for (const queue of ['orders', 'orders.kept', 'parked', 'metrics']) await raw.assertQueue(queue, { durable: true })
    await raw.assertExchange('orders', 'fanout', { durable: true })
    await raw.bindQueue('orders', 'orders', '')
    await raw.bindQueue('orders.kept', 'orders', '')

    const sealed = sealAmqp(connection, { sealer, opener, park: { channel: raw, exchange: '', routingKey: 'parked' } })
    const plain = await sealed.createChannel()
    const confirm = await sealed.createConfirmChannel()
    for (const channel of [plain, confirm]) channel.on('error', (error) => shown.add(error)).on('return', (message) => shown.add(message.fields))
    const next = (): Buffer => Buffer.from(canaries.next())
    const persistent = { persistent: true }
    for (let count = 0; count < 150; count++) {
      plain.publish('orders', 'key', next(), persistent)
      plain.sendToQueue('orders', next(), persistent)
      confirm.publish('orders', 'key', next(), persistent, (error) => error && shown.add(error))
      confirm.sendToQueue('orders', next(), { ...persistent, contentType: 'application/json', headers: { trace: `${count}` } })
      confirm.publish('', 'orders', next(), { ...persistent, messageId: `m${count}` })
    }
    // A chain must lead back to the wrapper, and a detached method is the wrapper's too.
    for (let count = 0; count < 50; count++) {
      const chained = confirm.on('drain', () => {}).once('drain', () => {}).removeAllListeners('drain')
      chained.publish('orders', 'key', next(), persistent)
      const detached = confirm.sendToQueue.bind(undefined)
      detached('orders', next(), persistent)
    }
    confirm.publish('orders', 'nowhere', next(), { ...persistent, mandatory: true })
    confirm.sendToQueue('orders.missing', next(), { ...persistent, mandatory: true })

    for (let count = 0; count < 20; count++) {
      await shown.failure(() => confirm.publish('undeclared', 'key', next()))
      await shown.failure(() => confirm.sendToQueue('nobody', next()))
      await shown.failure(() => confirm.sendToQueue('cold', next()))
      await shown.failure(() => confirm.publish('orders', 'key', canaries.next() as never))
      await shown.failure(() => confirm.sendToQueue('orders', sealer.sealSync(canaries.next(), { channel: 'orders' }).bytes))
      await shown.failure(() => confirm.sendToQueue('orders', next(), { CC: ['metrics'] }))
    }
    raw.sendToQueue('orders', tampered(sealer, canaries.next()), persistent)
    await Promise.all([confirm.waitForConfirms(), raw.waitForConfirms()])

    // Before anything is consumed, so that a leak is reported as one.
    expectNone(proxy.found, canaries)

    const seen = new Set<string>()
    await plain.prefetch(50)
    await plain.consume('orders', (message) => {
      if (!message) return
      seen.add(message.content.toString())
      plain.ack(message)
    })
    await expect.poll(() => seen.size, { timeout: 60_000 }).toBe(150 * 5 + 50 * 2 + 1)
    await expect.poll(async () => (await raw.checkQueue('parked')).messageCount, { timeout: 20_000 }).toBe(1)
    const got = await plain.get('orders.kept')
    expect(got && got.content.toString()).toContain('card')

    confirm.sendToQueue('metrics', Buffer.from(control.next()), persistent)
    await confirm.waitForConfirms()
    expect(canaries.count).toBeGreaterThanOrEqual(950)
    for (let rest = canaries.count; rest < 1_000; rest++) confirm.sendToQueue('orders.kept', next(), persistent)
    await confirm.waitForConfirms()
    await expectFoundOnly(proxy.found.map(({ canary }) => canary), [node.dataDir], canaries, control)
    expect(shown.size).toBeGreaterThan(100)
    expect(shown.contains(canaries.patterns)).toBe(false)
  })
})

function expectNone(onWire: readonly WireFinding[], canaries: Canaries): void {
  expect(onWire.filter(({ canary }) => canaries.patterns.includes(canary)).map(({ canary, direction }) => `${direction}: ${canary.toString()}`)).toEqual([])
}

/** The control's canary is found on the wire and in the files: scanners that find nothing prove nothing. Ours are not. */
async function expectFoundOnly(onWire: readonly Buffer[], dataDirs: readonly string[], canaries: Canaries, control: Canaries): Promise<void> {
  const inFiles: Buffer[] = []
  for (const dir of dataDirs) inFiles.push(...(await findInFiles(dir, [...canaries.patterns, ...control.patterns])).map(({ canary }) => canary))
  const [mark = expect.fail()] = control.patterns
  const ours = (found: readonly Buffer[]): string[] => found.filter((each) => canaries.patterns.includes(each)).map(String)
  expect(onWire.some((each) => each.equals(mark))).toBe(true)
  expect(inFiles.some((each) => each.equals(mark))).toBe(true)
  expect(ours(onWire)).toEqual([])
  expect(ours(inFiles)).toEqual([])
}

describe('what a process shows', () => {
  it('is searched to the bottom: causes, buffers, members and the console', () => {
    const canaries = createCanaries()
    const secret = canaries.next()
    const shows: ((shown: Shown) => void)[] = [
      (shown) => shown.add(new Error('outer', { cause: new Error(secret) })),
      (shown) => shown.add(Object.assign(new Error('x'), { record: { messages: [{ value: Buffer.from(secret) }] } })),
      (shown) => shown.add({ text: Buffer.from(secret).toString('base64') }),
      (shown) => {
        shown.captureConsole()
        console.warn('sending', { value: secret })
        vi.restoreAllMocks()
      },
    ]
    for (const show of shows) {
      const shown = new Shown()
      expect(shown.contains(canaries.patterns)).toBe(false)
      show(shown)
      expect(shown.contains(canaries.patterns)).toBe(true)
    }
  })
})

describe('canaries', () => {
  it('are recognized as they are, and in base64 at every alignment', () => {
    const canaries = createCanaries()
    const text = canaries.next()
    for (const shift of [0, 1, 2]) {
      for (const encoding of ['base64', 'base64url'] as const) {
        const encoded = Buffer.from('x'.repeat(shift) + text).toString(encoding)
        expect(canaries.patterns.some((pattern) => encoded.includes(pattern.toString()))).toBe(true)
      }
    }
  })
})
