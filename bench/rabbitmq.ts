import { loadavg } from 'node:os'
import { sealAmqp } from '@sealbus/rabbitmq'
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import { startRabbitNode } from '../integration-tests/support/rabbitmq-node.ts'
import { BATCH, createPayloads, kibibyte } from './payloads.ts'
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

/** amqplib with and without the wrapper, by turns on one broker: a process of its own on this machine. Persistent messages of 1 KiB. */
export async function benchRabbitmq(sliceMs: number, backlog: number): Promise<RabbitmqBenchResult> {
  const [before = 0] = loadavg()
  const node = await startRabbitNode()
  const connections: ChannelModel[] = []
  const open = async (): Promise<ChannelModel> => {
    const connection = await connect(node.url)
    connections.push(connection)
    return connection
  }
  try {
    const { sealer, createOpener } = await createPair({ sealed: { to: ['billing'], match: [/^sealed/] } })
    const sealing = async (): Promise<ConfirmChannel> => sealAmqp(await open(), { sealer, opener: await createOpener(), onStopped: fail }).createConfirmChannel()
    const [plain, sealed] = [await (await open()).createConfirmChannel(), await sealing()]

    const published = await publish(plain, sealed, sliceMs)
    const consumed = await measureInRounds({
      'consume plain': () => consumeRate(plain, plain, 'backlog', backlog),
      // A channel of its own each time: an opener that has unwrapped nothing yet.
      'consume sealed': async () => consumeRate(sealed, await sealing(), 'sealed.backlog', backlog),
    })
    const [withPlain, withSealed] = [await createRoundTrip(plain, 'trip'), await createRoundTrip(sealed, 'sealed.trip')]
    const added = await addedP99(withPlain, withSealed, ROUND_TRIPS)
    const [after = 0] = loadavg()
    return {
      rates: Object.fromEntries([published, consumed].flatMap((rounds) => Object.keys(rounds[0] ?? {}).map((name) => [name, medianRate(rounds, name)]))),
      ratios: { publish_vs_plain: ratio(published, 'publish sealed', 'publish plain'), consume_vs_plain: ratio(consumed, 'consume sealed', 'consume plain') },
      addedP99Ms: { 'publish to handler': added },
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

const payloads = createPayloads(kibibyte)

/** A hundred messages, and then their confirms. */
async function publish(plain: ConfirmChannel, sealed: ConfirmChannel, sliceMs: number): Promise<readonly Rates[]> {
  const batchOn = async (channel: ConfirmChannel, queue: string): Promise<Contestant> => {
    // Bounded: what is measured is not how a queue fills the disk.
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-max-length': 1_000 } })
    return async () => {
      for (const { value } of payloads.batch()) channel.sendToQueue(queue, value, { persistent: true })
      await channel.waitForConfirms()
    }
  }
  const rounds = await runRounds({ 'publish plain': await batchOn(plain, 'published'), 'publish sealed': await batchOn(sealed, 'sealed.published') }, sliceMs)
  return rounds.map((rates) => Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, rate * BATCH])))
}

/** Messages per second from `consume` to the last acknowledgement, one for each message. */
async function consumeRate(filling: ConfirmChannel, channel: ConfirmChannel, queue: string, backlog: number): Promise<number> {
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
async function createRoundTrip(channel: ConfirmChannel, queue: string): Promise<Contestant> {
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
