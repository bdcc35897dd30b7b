import { randomBytes } from 'node:crypto'
import { loadavg } from 'node:os'
import { sealAmqp } from '@sealbus/rabbitmq'
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import { startRabbitNode } from '../integration-tests/support/rabbitmq-node.ts'
import { floorOfOpening, floorOfSealing } from './gcm.ts'
import { BATCH, createPayloads, kibibyte, type Payloads } from './payloads.ts'
import { addedP99, type Contestant, measureInRounds, medianRate, ratio, type Rates, runRounds } from './rounds.ts'
import { createPair } from './services.ts'

export interface RabbitmqBenchResult {
  /** Messages per second: the median of the rounds. */
  readonly rates: Readonly<Record<string, number>>
  readonly ratios: Readonly<Record<string, number>>
  /** From `publish` to the handler, what sealing and opening add to the 99th percentile, in milliseconds. */
  readonly addedP99Ms: Readonly<Record<string, number>>
  /** How busy the machine was: processes that wanted a processor, before and after. */
  readonly load: Readonly<Record<string, number>>
}

const ROUND_TRIPS = 500
const PREFETCH = 200

/**
 * amqplib with and without the wrapper, by turns on one broker: a process of its own on this machine. Persistent messages
 * of 1 KiB. The floor is amqplib with plain messages as large as sealed ones, and for each the least that any JWE
 * of 1 KiB takes: see `floorOfSealing`.
 */
export async function benchRabbitmq(sliceMs: number, backlog: number): Promise<RabbitmqBenchResult> {
  const [before = 0] = loadavg()
  const node = await startRabbitNode()
  const connections: ChannelModel[] = []
  const open = async (): Promise<ChannelModel> => {
    // Without it, a message that amqplib writes in two pieces (over 2 KiB, sealed or plain) waits some 40 ms for the broker's acknowledgement of the first.
    const connection = await connect(node.url, { noDelay: true })
    connections.push(connection)
    return connection
  }
  try {
    const { sealer, createOpener } = await createPair({ sealed: { to: ['billing'], match: [/^sealed/] } })
    const sealing = async (): Promise<ConfirmChannel> => sealAmqp(await open(), { sealer, opener: await createOpener(), onStopped: fail }).createConfirmChannel()
    const [plain, sealed] = [await (await open()).createConfirmChannel(), await sealing()]

    const payloads = createPayloads(kibibyte)
    const { value } = payloads.one()
    const size = sealer.sealSync(value, { channel: 'sealed' }).bytes.length
    const padded = createPayloads(() => randomBytes(size))
    const [encrypt, decrypt] = [floorOfSealing(value), floorOfOpening(value)]

    const published = await publish({
      'publish plain': { channel: plain, queue: 'published', payloads },
      'publish sealed': { channel: sealed, queue: 'sealed.published', payloads },
      'publish plain, as large as sealed': { channel: plain, queue: 'published', payloads: padded },
      'publish floor': { channel: plain, queue: 'published', payloads: padded, work: encrypt },
    }, sliceMs)
    const consumed = await measureInRounds({
      'consume plain': () => consumeRate(plain, plain, 'backlog', payloads, backlog),
      // A channel of its own each time: an opener that has unwrapped nothing yet.
      'consume sealed': async () => consumeRate(sealed, await sealing(), 'sealed.backlog', payloads, backlog),
      'consume plain, as large as sealed': () => consumeRate(plain, plain, 'backlog', padded, backlog),
      'consume floor': () => consumeRate(plain, plain, 'backlog', padded, backlog, decrypt),
    })
    const [withPlain, withSealed] = [await createRoundTrip(plain, 'trip', payloads), await createRoundTrip(sealed, 'sealed.trip', payloads)]
    const withPadded = await createRoundTrip(await (await open()).createConfirmChannel(), 'padded.trip', padded)
    const added = await addedP99(withPlain, withSealed, ROUND_TRIPS)
    const addedBySize = await addedP99(withPlain, withPadded, ROUND_TRIPS)
    const [after = 0] = loadavg()
    return {
      rates: Object.fromEntries([published, consumed].flatMap((rounds) => Object.keys(rounds[0] ?? {}).map((name) => [name, medianRate(rounds, name)]))),
      ratios: {
        publish_vs_plain: ratio(published, 'publish sealed', 'publish plain'),
        publish_vs_plain_of_same_size: ratio(published, 'publish sealed', 'publish plain, as large as sealed'),
        publish_vs_floor: ratio(published, 'publish sealed', 'publish floor'),
        publish_floor_vs_plain: ratio(published, 'publish floor', 'publish plain'),
        consume_vs_plain: ratio(consumed, 'consume sealed', 'consume plain'),
        consume_vs_plain_of_same_size: ratio(consumed, 'consume sealed', 'consume plain, as large as sealed'),
        consume_vs_floor: ratio(consumed, 'consume sealed', 'consume floor'),
        consume_floor_vs_plain: ratio(consumed, 'consume floor', 'consume plain'),
      },
      addedP99Ms: { 'publish to handler': added, 'publish to handler, plain as large as sealed': addedBySize },
      load: { before, after },
    }
  } finally {
    await Promise.all(connections.map((connection) => connection.close()))
    await node.stop()
  }
}

const fail = ({ error }: { error: Error }): never => {
  throw error
}

const nothing = (): void => {}

interface Publishing {
  readonly channel: ConfirmChannel
  readonly queue: string
  readonly payloads: Payloads
  /** What is done for each message besides. */
  readonly work?: Contestant
}

/** A hundred messages, and then their confirms. */
async function publish(publishings: Readonly<Record<string, Publishing>>, sliceMs: number): Promise<readonly Rates[]> {
  const contestants: Record<string, Contestant> = {}
  for (const [name, { channel, queue, payloads, work = nothing }] of Object.entries(publishings)) {
    // Bounded: what is measured is not how a queue fills the disk.
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-max-length': 1_000 } })
    contestants[name] = async () => {
      for (const { value } of payloads.batch()) {
        work()
        channel.sendToQueue(queue, value, { persistent: true })
      }
      await channel.waitForConfirms()
    }
  }
  const rounds = await runRounds(contestants, sliceMs)
  return rounds.map((rates) => Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, rate * BATCH])))
}

/** Messages per second from `consume` to the last acknowledgement, one for each message. */
async function consumeRate(filling: ConfirmChannel, channel: ConfirmChannel, queue: string, payloads: Payloads, backlog: number, work: Contestant = nothing): Promise<number> {
  await filling.assertQueue(queue, { durable: true })
  let sent = 0
  while (sent < backlog) {
    for (const { value } of payloads.batch()) filling.sendToQueue(queue, value, { persistent: true })
    await filling.waitForConfirms()
    sent += BATCH
  }
  globalThis.gc?.({ type: 'minor', execution: 'sync' })
  await channel.prefetch(PREFETCH)
  const { promise: done, resolve } = Promise.withResolvers<void>()
  let seen = 0
  const start = performance.now()
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (!message) return
    work()
    channel.ack(message)
    seen++
    if (seen === sent) resolve()
  })
  await done
  const elapsed = performance.now() - start
  await channel.cancel(consumerTag)
  return (sent / elapsed) * 1_000
}

/** Publishes one message and waits until a handler has it. */
async function createRoundTrip(channel: ConfirmChannel, queue: string, payloads: Payloads): Promise<Contestant> {
  await channel.assertQueue(queue, { durable: true })
  let arrived = (): void => {}
  await channel.consume(queue, (message) => {
    if (!message) return
    channel.ack(message)
    arrived()
  })
  return async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    arrived = resolve
    channel.sendToQueue(queue, payloads.one().value, { persistent: true })
    await promise
  }
}
