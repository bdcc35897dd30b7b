/**
 * A producing service as a process of its own: it seals numbers for `billing`, by the keys that its directory fetches, at an
 * even pace, until it was told to finish and has sent enough. It writes a line for each batch.
 */
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { createJwksDirectory, createSealer, defineChannels, type Sealer } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import './kafkajs-noise.ts'
import { assignment, report } from './reporting.ts'
import type { RotationBroker } from './rotation-consumer.ts'

export interface ProducerAssignment {
  readonly broker: RotationBroker
  readonly endpoint: string
  readonly freshMs: number
  /** Sent at least. */
  readonly messages: number
  readonly batch: number
  readonly pauseMs: number
}

/** A batch of numbers from `from` on, and the key that the directory had before it was sealed, and after it was sent. */
export interface Batch {
  readonly kind: 'batch'
  readonly from: number
  readonly count: number
  readonly startedAt: number
  readonly kids: readonly [before: string | undefined, after: string | undefined]
}

const { broker, endpoint, freshMs, messages, batch, pauseMs } = assignment() as ProducerAssignment

let finishing = false
createInterface(process.stdin).once('line', () => (finishing = true))
// Whoever started it may be killed: it does not outlive them.
const abandoned = (): never => process.exit(1)
process.stdin.once('close', abandoned)

const directory = createJwksDirectory({ recipients: { billing: endpoint }, allowInsecureLoopback: true, freshMs })
const sealer = createSealer({ directory, channels: defineChannels({ orders: { to: ['billing'], match: [/^orders/] } }) })
await sealer.ready()

const sender = broker.kind === 'kafka' ? await kafkaSender(broker, sealer) : await rabbitSender(broker, sealer)
const kid = (): string | undefined => directory.peek('billing')?.kid
let sent = 0
while (!finishing || sent < messages) {
  const startedAt = Date.now()
  const before = kid()
  await sender.send(Array.from({ length: batch }, (_, index) => sent + index))
  report({ kind: 'batch', from: sent, count: batch, startedAt, kids: [before, kid()] } satisfies Batch)
  sent += batch
  await sleep(pauseMs)
}
await sender.close()
sealer.close()
directory.close()
process.stdin.off('close', abandoned).destroy()

interface Sender {
  send(numbers: readonly number[]): Promise<void>
  close(): Promise<void>
}

async function kafkaSender({ bootstrap, topic }: Extract<RotationBroker, { kind: 'kafka' }>, sealer: Sealer): Promise<Sender> {
  const producer = sealKafka(new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING }), { sealer }).producer()
  await producer.connect()
  return {
    send: async (numbers) => void (await producer.send({ topic, messages: numbers.map((n) => ({ key: `${n}`, value: `${n}` })) })),
    close: () => producer.disconnect(),
  }
}

async function rabbitSender({ url, queue }: Extract<RotationBroker, { kind: 'rabbitmq' }>, sealer: Sealer): Promise<Sender> {
  const connection = await connect(url)
  const channel = await sealAmqp(connection, { sealer }).createConfirmChannel()
  return {
    async send(numbers): Promise<void> {
      for (const n of numbers) channel.sendToQueue(queue, Buffer.from(`${n}`), { persistent: true })
      await channel.waitForConfirms()
    },
    close: () => connection.close(),
  }
}
