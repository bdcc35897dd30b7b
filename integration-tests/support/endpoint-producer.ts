/**
 * A producing service as a process of its own, to be killed and started anew. It seals numbered messages without a pause,
 * with keys from one endpoint and a snapshot, and reports for each what came of it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createJwksDirectory, createSealer, defineChannels, isSealbusError, type Sealer } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { assignment, listen, report } from './reporting.ts'
import './kafkajs-noise.ts'

export interface ProducerAssignment {
  readonly broker: { readonly kind: 'kafka'; readonly bootstrap: readonly string[]; readonly topic: string } | { readonly kind: 'rabbitmq'; readonly url: string; readonly queue: string }
  /** Goes into every message, so that two processes tell theirs apart. */
  readonly name: string
  readonly endpoint: string
  readonly snapshot: string
  readonly freshMs: number
  readonly maxStaleMs: number
}

export type ProducerReport =
  | { readonly kind: 'ready'; readonly at: number }
  /** Confirmed by the broker. */
  | { readonly kind: 'sent'; readonly text: string; readonly at: number }
  | { readonly kind: 'refused'; readonly text: string; readonly code: string; readonly transient: boolean; readonly at: number }
  | { readonly kind: 'failed'; readonly reason: string; readonly at: number }

const tell = (what: object): void => report({ ...what, at: Date.now() })

type Publish = (text: string) => Promise<unknown>

async function publisher({ broker }: ProducerAssignment, sealer: Sealer): Promise<Publish> {
  if (broker.kind === 'kafka') {
    const producer = sealKafka(new Kafka({ brokers: [...broker.bootstrap], logLevel: logLevel.NOTHING }), { sealer }).producer()
    await producer.connect()
    return (value) => producer.send({ topic: broker.topic, messages: [{ value }] })
  }
  const channel = await sealAmqp(await connect(broker.url), { sealer }).createConfirmChannel()
  return async (text) => {
    channel.sendToQueue(broker.queue, Buffer.from(text), { persistent: true })
    await channel.waitForConfirms()
  }
}

listen()
const given = assignment() as ProducerAssignment
const { name, endpoint, snapshot, freshMs, maxStaleMs } = given
const directory = createJwksDirectory({ recipients: { billing: endpoint }, snapshot, freshMs, maxStaleMs, allowInsecureLoopback: true })
const sealer = createSealer({ directory, channels: defineChannels({ orders: { to: ['billing'], match: [/^orders/] } }) })
try {
  await sealer.ready()
  const publish = await publisher(given, sealer)
  tell({ kind: 'ready' })
  for (let count = 0; ; count++) {
    const text = `${name}-${count}`
    try {
      await publish(text)
      tell({ kind: 'sent', text })
    } catch (error) {
      if (!isSealbusError(error)) throw error
      tell({ kind: 'refused', text, code: error.code, transient: error.transient })
    }
    await sleep(50)
  }
} catch (error) {
  tell({ kind: 'failed', reason: error instanceof Error ? String(error.stack) : String(error) })
  process.exitCode = 1
}
