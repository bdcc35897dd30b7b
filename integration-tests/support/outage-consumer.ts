/**
 * A consuming service as a process of its own, to be killed. It is told everything in one JSON argument, and writes one
 * line for each message that it has handled; pipes are synchronous, so a line that was written survives a SIGKILL.
 */
import { writeSync } from 'node:fs'
import { createOpener, defineChannels, type Identity, type IdentityStore, loadIdentities } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { connect } from 'amqplib'
import { Kafka, type KafkaMessage, logLevel } from 'kafkajs'
import type { JWK } from 'jose'
import { identityBehind } from './key-server.ts'
import './kafkajs-noise.ts'

export interface Assignment {
  readonly broker: { readonly kind: 'kafka'; readonly bootstrap: string[]; readonly topic: string; readonly group: string; readonly mode: KafkaMode; readonly parkTopic: string } | { readonly kind: 'rabbitmq'; readonly url: string; readonly queues: string[]; readonly parkQueue: string; readonly prefetch: number }
  /** Public half of the key that is behind the key server. */
  readonly remote: Omit<Identity, 'unwrap'>
  readonly keyServer: string
  /** Private half of a key that is here. */
  readonly local: JWK
}
export type KafkaMode = 'eachMessage' | 'eachBatch' | 'manual commit'

/** One handled message, as the process reports it. */
export interface Handled {
  readonly kind: 'handled'
  readonly source: string
  readonly position: string
  readonly text: string
  readonly at: number
}

/** What the process reports, one line each. */
export type Report =
  | Handled
  /** It consumes; on Kafka, these partitions since the last rebalance. */
  | { readonly kind: 'joined'; readonly partitions: readonly number[]; readonly at: number }
  /** None of these may happen. */
  | { readonly kind: 'failed'; readonly reason: string; readonly at: number }

type Untimed<Each> = Each extends Report ? Omit<Each, 'at'> : never
const report = (what: Untimed<Report>): void => void writeSync(1, `${JSON.stringify({ ...what, at: Date.now() })}\n`)
const reportFailure = (reason: unknown): void => report({ kind: 'failed', reason: reason instanceof Error ? String(reason.stack) : String(reason) })

async function run({ broker, remote, keyServer, local }: Assignment): Promise<() => Promise<void>> {
  const near = await loadIdentities({ keys: [local] })
  const far = identityBehind(keyServer, remote)
  const identities: IdentityStore = { find: (kid) => (kid === far.kid ? far : near.find(kid)), list: () => [far, ...near.list()] }
  const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders/] } })
  const opener = createOpener({ name: 'billing', identities, channels })
  return broker.kind === 'kafka' ? runKafka(broker, opener) : runRabbit(broker, opener)
}

async function runKafka({ bootstrap, topic, group, mode, parkTopic }: Extract<Assignment['broker'], { kind: 'kafka' }>, opener: ReturnType<typeof createOpener>): Promise<() => Promise<void>> {
  const kafka = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING })
  const producer = kafka.producer()
  await producer.connect()
  const consumer = sealKafka(kafka, { opener, park: { topic: parkTopic, producer }, onParked: ({ code }) => reportFailure(`parked: ${code}`) }).consumer({ groupId: group, sessionTimeout: 6_000, rebalanceTimeout: 10_000, heartbeatInterval: 500, maxWaitTimeInMs: 100 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => report({ kind: 'joined', partitions: payload.memberAssignment[topic] ?? [] }))
  // Others, such as of a coordinator that is still loading, kafkajs gets over by itself.
  consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || reportFailure(payload.error))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const handle = (partition: number, { offset, value }: KafkaMessage): void => report({ kind: 'handled', source: `${partition}`, position: offset, text: String(value) })
  if (mode === 'eachBatch') {
    await consumer.run({ eachBatch: async (payload) => {
      for (const message of payload.batch.messages) handle(payload.batch.partition, message)
      await payload.heartbeat()
    } })
  } else {
    const manual = mode === 'manual commit'
    await consumer.run({ autoCommit: !manual, eachMessage: async ({ partition, message }) => {
      handle(partition, message)
      if (manual) await consumer.commitOffsets([{ topic, partition, offset: `${BigInt(message.offset) + 1n}` }])
    } })
  }
  return async () => {
    await Promise.all([consumer.disconnect(), producer.disconnect()])
  }
}

async function runRabbit({ url, queues, parkQueue, prefetch }: Extract<Assignment['broker'], { kind: 'rabbitmq' }>, opener: ReturnType<typeof createOpener>): Promise<() => Promise<void>> {
  const connection = await connect(url)
  const parking = await connection.createConfirmChannel()
  connection.on('error', reportFailure)
  const sealed = sealAmqp(connection, { opener, park: { channel: parking, exchange: '', routingKey: parkQueue }, onParked: ({ code }) => reportFailure(`parked: ${code}`) })
  for (const queue of queues) {
    const channel = await sealed.createChannel()
    channel.on('error', reportFailure)
    await channel.prefetch(prefetch)
    await channel.consume(queue, (message) => {
      if (!message) return reportFailure(`the consumer of ${queue} was cancelled`)
      report({ kind: 'handled', source: queue, position: `${message.fields.deliveryTag}`, text: message.content.toString() })
      channel.ack(message)
    })
  }
  report({ kind: 'joined', partitions: [] })
  return () => sealed.close()
}

// Whoever started it may be killed: it does not outlive them. Nothing is ever written there.
process.stdin.once('close', () => process.exit(1)).resume().unref()

const stop = await run(JSON.parse(process.argv[2] ?? '{}') as Assignment)
process.once('SIGTERM', () => {
  // Nothing is left then that keeps the process: it ends by itself, with 0, or the wrapper left something behind.
  stop().catch((error: unknown) => {
    reportFailure(error)
    process.exitCode = 1
  })
})
