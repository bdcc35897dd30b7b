/**
 * A consuming service as a process of its own, whose identities are in a file that others change. It is told everything in
 * one JSON argument, and writes a line for each message that it has handled.
 */
import { createOpener, defineChannels, type LoadedIdentities, loadIdentities, opened, type Opener } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import './kafkajs-noise.ts'
import { assignment, report } from './reporting.ts'

export type RotationBroker =
  | { readonly kind: 'kafka'; readonly bootstrap: readonly string[]; readonly topic: string; readonly group: string; readonly parkTopic: string }
  | { readonly kind: 'rabbitmq'; readonly url: string; readonly queue: string; readonly parkQueue: string }

export interface ConsumerAssignment {
  readonly broker: RotationBroker
  readonly identities: string
}

export type ConsumerReport =
  | { readonly kind: 'handled'; readonly n: number; readonly kid: string | undefined; readonly redelivered: boolean }
  /** It consumes; on Kafka, so many partitions. */
  | { readonly kind: 'joined'; readonly partitions: number }
  /** The keys that it has, and their states. */
  | { readonly kind: 'keys'; readonly states: Readonly<Record<string, string>> }
  /** None of these may happen. */
  | { readonly kind: 'failed'; readonly reason: string }

const tell = (what: ConsumerReport): void => report(what)
const fail = (reason: unknown): void => tell({ kind: 'failed', reason: reason instanceof Error ? String(reason.stack) : String(reason) })

async function run({ broker, identities: file }: ConsumerAssignment): Promise<() => Promise<void>> {
  const identities: LoadedIdentities = await loadIdentities(file, { onChange: () => tellKeys(), onFailure: fail })
  const tellKeys = (): void => tell({ kind: 'keys', states: Object.fromEntries(identities.list().map(({ kid, state }) => [kid, state])) })
  tellKeys()
  const opener = createOpener({ name: 'billing', identities, channels: defineChannels({ orders: { to: ['billing'], match: [/^orders/] } }) })
  return broker.kind === 'kafka' ? runKafka(broker, opener) : runRabbit(broker, opener)
}

async function runKafka({ bootstrap, topic, group, parkTopic }: Extract<RotationBroker, { kind: 'kafka' }>, opener: Opener): Promise<() => Promise<void>> {
  const kafka = new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING })
  const producer = kafka.producer()
  await producer.connect()
  const consumer = sealKafka(kafka, { opener, park: { topic: parkTopic, producer }, onParked: ({ code }) => fail(`parked: ${code}`) }).consumer({ groupId: group, maxWaitTimeInMs: 100 })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => tell({ kind: 'joined', partitions: payload.memberAssignment[topic]?.length ?? 0 }))
  consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || fail(payload.error))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => tell({ kind: 'handled', n: Number(message.value?.toString()), kid: opened(message)?.kid, redelivered: false }) })
  return async () => {
    await Promise.all([consumer.disconnect(), producer.disconnect()])
  }
}

async function runRabbit({ url, queue, parkQueue }: Extract<RotationBroker, { kind: 'rabbitmq' }>, opener: Opener): Promise<() => Promise<void>> {
  const connection = await connect(url)
  connection.on('error', fail)
  const parking = await connection.createConfirmChannel()
  const sealed = sealAmqp(connection, { opener, park: { channel: parking, exchange: '', routingKey: parkQueue }, onParked: ({ code }) => fail(`parked: ${code}`) })
  const channel = await sealed.createChannel()
  channel.on('error', fail)
  await channel.prefetch(200)
  await channel.consume(queue, (message) => {
    if (!message) return fail(`the consumer of ${queue} was cancelled`)
    tell({ kind: 'handled', n: Number(message.content.toString()), kid: opened(message)?.kid, redelivered: message.fields.redelivered })
    channel.ack(message)
  })
  tell({ kind: 'joined', partitions: 0 })
  return () => sealed.close()
}

// Whoever started it may be killed: it does not outlive them.
process.stdin.once('close', () => process.exit(1)).resume().unref()

const stop = await run(assignment() as ConsumerAssignment)
process.once('SIGTERM', () => {
  // Nothing is left then that keeps the process: it ends by itself, with 0.
  stop().catch((error: unknown) => {
    fail(error)
    process.exitCode = 1
  })
})
