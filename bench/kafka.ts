import { randomBytes } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { sealKafka } from '@sealbus/kafka'
import { CompactEncrypt } from 'jose'
import { CompressionTypes, type Consumer, Kafka, logLevel, type Producer } from 'kafkajs'
import { type KafkaCluster, startKafkaCluster } from '../integration-tests/support/kafka-cluster.ts'
import { floorOfOpening, floorOfSealing } from './gcm.ts'
import { BATCH, createPayloads, kibibyte, order, type Payload, type Payloads } from './payloads.ts'
import { addedP99, type Contestant, measureInRounds, medianRate, ratio, type Rates, runRounds } from './rounds.ts'
import { createPair, type Pair } from './services.ts'

export interface KafkaBenchResult {
  /** Messages per second: the median of the rounds. */
  readonly rates: Readonly<Record<string, number>>
  readonly ratios: Readonly<Record<string, number>>
  /** Of a message, as it lies in the segment files, key and headers included. */
  readonly bytesOnBroker: Readonly<Record<string, number>>
  /** From `send` to the handler, what sealing and opening add to the 99th percentile, in milliseconds. */
  readonly addedP99Ms: Readonly<Record<string, number>>
  /** How busy the machine was: processes that wanted a processor, before and after. */
  readonly load: Readonly<Record<string, number>>
}

const ROUND_TRIPS = 300
const DECLARATIONS = { sealed: { to: ['billing'], match: [/^sealed/] }, compressed: { to: ['billing'], compress: 'gzip' } } as const
const gzip = CompressionTypes.GZIP

/**
 * kafkajs with and without the wrapper, by turns on one broker: a process of its own on this machine. The floor is kafkajs
 * with plain messages as large as sealed ones, and for each the least that any JWE of 1 KiB takes: see `floorOfSealing`.
 */
export async function benchKafka(sliceMs: number, backlog: number): Promise<KafkaBenchResult> {
  const [before = 0] = loadavg()
  const cluster = await startKafkaCluster()
  try {
    const bench = await createBench(cluster)
    try {
      const produced = await bench.produce(sliceMs)
      const bytesOnBroker = await bench.bytesOnBroker()
      const consumed = await bench.consume(backlog)
      const addedP99Ms = { 'send to handler': await bench.roundTrip() }
      const [after = 0] = loadavg()
      const rates = { ...ratesOf(produced), ...ratesOf(consumed) }
      const ratios = {
        produce_vs_plain: ratio(produced, 'produce sealed', 'produce plain'),
        produce_vs_plain_of_same_size: ratio(produced, 'produce sealed', 'produce plain, as large as sealed'),
        produce_vs_floor: ratio(produced, 'produce sealed', 'produce floor'),
        produce_floor_vs_plain: ratio(produced, 'produce floor', 'produce plain'),
        send1_vs_plain: ratio(produced, 'send one sealed', 'send one plain'),
        send1_vs_floor: ratio(produced, 'send one sealed', 'send one floor'),
        send1_floor_vs_plain: ratio(produced, 'send one floor', 'send one plain'),
        gzip_vs_plain: ratio(produced, 'produce JSON sealed, gzip', 'produce JSON plain, gzip'),
        compress_vs_plain: ratio(produced, 'produce JSON compressed and sealed, gzip', 'produce JSON plain, gzip'),
        jose_vs_plain: ratio(produced, 'produce with jose', 'produce plain'),
        consume_vs_plain: ratio(consumed, 'eachBatch sealed', 'eachBatch plain'),
        consume_vs_plain_of_same_size: ratio(consumed, 'eachBatch sealed', 'eachBatch plain, as large as sealed'),
        consume_vs_floor: ratio(consumed, 'eachBatch sealed', 'eachBatch floor'),
        consume_floor_vs_plain: ratio(consumed, 'eachBatch floor', 'eachBatch plain'),
        consume_each_message_vs_plain: ratio(consumed, 'eachMessage sealed', 'eachMessage plain'),
      }
      return { rates, ratios, bytesOnBroker, addedP99Ms, load: { before, after } }
    } finally {
      await bench.close()
    }
  } finally {
    await cluster.stop()
  }
}

const ratesOf = (rounds: readonly Rates[]): Record<string, number> => Object.fromEntries(Object.keys(rounds[0] ?? {}).map((name) => [name, medianRate(rounds, name)]))

interface Bench {
  produce(sliceMs: number): Promise<readonly Rates[]>
  consume(backlog: number): Promise<readonly Rates[]>
  bytesOnBroker(): Promise<Record<string, number>>
  roundTrip(): Promise<number>
  close(): Promise<void>
}

async function createBench(cluster: KafkaCluster): Promise<Bench> {
  const pair = await createPair(DECLARATIONS)
  const kafka = new Kafka({ brokers: cluster.bootstrap, logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  const [plain, sealed] = [kafka.producer(), sealKafka(kafka, { sealer: pair.sealer }).producer()]
  await Promise.all([admin.connect(), plain.connect(), sealed.connect()])
  const createTopics = (...names: string[]): Promise<boolean> => admin.createTopics({ topics: names.map((topic) => ({ topic, numPartitions: 3 })) })
  await createTopics('plain', 'sealed', 'compressed')
  const [random, json] = [createPayloads(kibibyte), createPayloads(order)]
  const { key, value } = random.one()
  const size = pair.sealer.sealSync(value, { channel: 'sealed', key }).bytes.length
  const padded = createPayloads(() => randomBytes(size))
  const [encrypt, decrypt] = [floorOfSealing(value), floorOfOpening(value)]

  return {
    async produce(sliceMs): Promise<readonly Rates[]> {
      const rounds = await runRounds({
        'produce plain': () => plain.send({ topic: 'plain', messages: random.batch() }),
        'produce sealed': () => sealed.send({ topic: 'sealed', messages: random.batch() }),
        'produce plain, as large as sealed': () => plain.send({ topic: 'plain', messages: padded.batch() }),
        'produce floor': () => plain.send({ topic: 'plain', messages: padded.batch().map((each) => (encrypt(), each)) }),
        'produce with jose': async () => plain.send({ topic: 'plain', messages: await Promise.all(random.batch().map((each) => withJose(each, pair))) }),
        'send one plain': () => plain.send({ topic: 'plain', messages: [random.one()] }),
        'send one sealed': () => sealed.send({ topic: 'sealed', messages: [random.one()] }),
        'send one floor': () => (encrypt(), plain.send({ topic: 'plain', messages: [padded.one()] })),
        'produce JSON plain, gzip': () => plain.send({ topic: 'plain', messages: json.batch(), compression: gzip }),
        'produce JSON sealed, gzip': () => sealed.send({ topic: 'sealed', messages: json.batch(), compression: gzip }),
        'produce JSON compressed and sealed, gzip': () => sealed.send({ topic: 'compressed', messages: json.batch(), compression: gzip }),
      }, sliceMs)
      const messages = (name: string): number => (name.startsWith('send one') ? 1 : BATCH)
      return rounds.map((rates) => Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, rate * messages(name)])))
    },

    async consume(backlog): Promise<readonly Rates[]> {
      const topics = { plain: 'backlog', padded: 'padded.backlog', sealed: 'sealed.backlog' }
      await createTopics(topics.plain, topics.padded, topics.sealed)
      for (let sent = 0; sent < backlog; sent += BATCH) {
        await plain.send({ topic: topics.plain, messages: random.batch() })
        await plain.send({ topic: topics.padded, messages: padded.batch() })
        await sealed.send({ topic: topics.sealed, messages: random.batch() })
      }
      const opened = async (): Promise<Kafka> => sealKafka(kafka, { opener: await pair.createOpener(), onStopped: fail })
      return measureInRounds({
        'eachBatch plain': () => consumeRate(kafka, topics.plain, 'eachBatch', backlog),
        'eachBatch plain, as large as sealed': () => consumeRate(kafka, topics.padded, 'eachBatch', backlog),
        'eachBatch floor': () => consumeRate(kafka, topics.padded, 'eachBatch', backlog, decrypt),
        'eachBatch sealed': async () => consumeRate(await opened(), topics.sealed, 'eachBatch', backlog),
        'eachMessage plain': () => consumeRate(kafka, topics.plain, 'eachMessage', backlog),
        'eachMessage sealed': async () => consumeRate(await opened(), topics.sealed, 'eachMessage', backlog),
      })
    },

    async bytesOnBroker(): Promise<Record<string, number>> {
      const cases: readonly [name: string, topic: string, send: () => unknown][] = [
        ['1 KiB plain', 'plain', () => plain.send({ topic: 'plain', messages: random.batch() })],
        ['1 KiB sealed', 'sealed', () => sealed.send({ topic: 'sealed', messages: random.batch() })],
        ['JSON plain', 'plain', () => plain.send({ topic: 'plain', messages: json.batch() })],
        ['JSON plain, gzip', 'plain', () => plain.send({ topic: 'plain', messages: json.batch(), compression: gzip })],
        ['JSON sealed, gzip', 'sealed', () => sealed.send({ topic: 'sealed', messages: json.batch(), compression: gzip })],
        ['JSON compressed and sealed', 'compressed', () => sealed.send({ topic: 'compressed', messages: json.batch() })],
        ['JSON compressed and sealed, gzip', 'compressed', () => sealed.send({ topic: 'compressed', messages: json.batch(), compression: gzip })],
      ]
      const bytes: Record<string, number> = {}
      for (const [name, topic, send] of cases) {
        const start = segmentBytes(cluster, topic)
        for (let sent = 0; sent < 10; sent++) await send()
        bytes[name] = Math.round((segmentBytes(cluster, topic) - start) / (10 * BATCH))
      }
      return bytes
    },

    async roundTrip(): Promise<number> {
      const withPlain = await createRoundTrip(kafka, plain, 'plain', random)
      const withSealed = await createRoundTrip(sealKafka(kafka, { opener: await pair.createOpener(), onStopped: fail }), sealed, 'sealed', random)
      try {
        return await addedP99(withPlain.once, withSealed.once, ROUND_TRIPS)
      } finally {
        await Promise.all([withPlain.close(), withSealed.close()])
      }
    },

    async close(): Promise<void> {
      await Promise.all([plain.disconnect(), sealed.disconnect(), admin.disconnect()])
    },
  }
}

const fail = ({ error }: { error: Error }): never => {
  throw error
}

/** What a team writes that seals with `jose` itself: a content key and an ephemeral key for each message. */
async function withJose({ key, value }: Payload, { publicKey }: Pair): Promise<{ key: string; value: string }> {
  return { key, value: await new CompactEncrypt(value).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: 'billing' }).encrypt(publicKey) }
}

/** Whole segments count, so that what lies beside the messages themselves does too. */
function segmentBytes({ dataDirs }: KafkaCluster, topic: string): number {
  const partitions = dataDirs.flatMap((directory) => readdirSync(directory).filter((name) => name.replace(/-\d+$/, '') === topic).map((name) => join(directory, name)))
  return partitions.flatMap((partition) => readdirSync(partition).filter((name) => name.endsWith('.log')).map((name) => statSync(join(partition, name)).size)).reduce((sum, size) => sum + size, 0)
}

const nothing = (): void => {}

let groups = 0

/** Messages per second from the first fetch to the last message, in a group of its own. */
async function consumeRate(kafka: Kafka, topic: string, handler: 'eachBatch' | 'eachMessage', backlog: number, work: Contestant = nothing): Promise<number> {
  globalThis.gc?.({ type: 'minor', execution: 'sync' })
  const consumer = kafka.consumer({ groupId: `bench-${groups++}` })
  const { promise: done, resolve } = Promise.withResolvers<number>()
  let started: number | undefined
  let seen = 0
  consumer.on(consumer.events.FETCH_START, () => (started ??= performance.now()))
  const count = (messages: number): void => {
    seen += messages
    if (seen >= backlog) resolve(performance.now())
  }
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run(handler === 'eachBatch' ? { eachBatch: async ({ batch }) => (batch.messages.forEach(() => work()), count(batch.messages.length)) } : { eachMessage: async () => (work(), count(1)) })
  const ended = await done
  await consumer.disconnect()
  return (seen / (ended - (started ?? ended))) * 1_000
}

/** Sends one message and waits until a handler has it. */
async function createRoundTrip(kafka: Kafka, producer: Producer, topic: string, payloads: Payloads): Promise<{ once: Contestant; close: () => Promise<void> }> {
  const consumer: Consumer = kafka.consumer({ groupId: `bench-${groups++}` })
  let arrived = (): void => {}
  const joined = new Promise<void>((resolve) => void consumer.on(consumer.events.GROUP_JOIN, () => resolve()))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: false })
  await consumer.run({ eachMessage: async () => arrived() })
  await joined
  const once = async (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    arrived = resolve
    await producer.send({ topic, messages: [payloads.one()] })
    await promise
  }
  // A message that was sent before the first fetch asked for the end of the log would be waited for in vain.
  await Promise.race([once(), new Promise((resolve) => void setTimeout(resolve, 1_000))])
  return { once, close: () => consumer.disconnect() }
}
