/** A producing service, as a team writes it with kafkajs: idempotent, one send after the other, sent again if rejected. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createJwksDirectory, createSealer } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { canary } from '../support/canaries.ts'
import '../support/kafkajs-noise.ts'
import { assignment, listen, report } from '../support/reporting.ts'
import { type Allowance, channels, type Marks } from './orders.ts'

export interface KafkaProduction {
  readonly bootstrap: string[]
  readonly recipients: Record<string, string>
  readonly marks: Marks
  /** Orders are numbered from 1 to this. */
  readonly total: number
  readonly perSend: number
  readonly partitions: number
}

export type ProductionReport =
  /** All orders up to this number are acknowledged. */
  | { readonly kind: 'acknowledged'; readonly number: number }
  /** A send was rejected; its orders are sealed and sent again. */
  | { readonly kind: 'rejected'; readonly orders: number; readonly reason: string }

const { bootstrap, recipients, marks, total, perSend, partitions } = assignment() as KafkaProduction

let allowed = 0
let onAllowed = (): void => {}
listen((command) => {
  allowed = (command as Allowance).number
  onAllowed()
})

const directory = createJwksDirectory({ recipients, allowInsecureLoopback: true })
const sealer = createSealer({ directory, channels })
await sealer.ready()
const kafka = sealKafka(new Kafka({ clientId: 'shop', brokers: bootstrap, logLevel: logLevel.NOTHING }), { sealer })

async function connected(): Promise<Producer> {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1, allowAutoTopicCreation: false })
  await producer.connect()
  return producer
}

let producer = await connected()

/** Again until it is acknowledged, with a new producer: the old one's sequence may be broken. */
async function deliver(orders: number, send: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await send()
      return
    } catch (error) {
      report({ kind: 'rejected', orders, reason: String(error) } satisfies ProductionReport)
      await sleep(200)
      await producer.disconnect().catch(() => {})
      producer = await connected()
    }
  }
}

for (let first = 1, round = 0; first <= total; first += perSend, round++) {
  const last = Math.min(total, first + perSend - 1)
  while (last > allowed) await new Promise<void>((resolve) => void (onAllowed = resolve))
  // One customer's orders in each send, and so one partition: kafkajs 2 can lose a part of a send to several partitions
  // when one of them gets another leader meanwhile, and resolves all the same. docs/KAFKA.md says more.
  const messages = Array.from({ length: last - first + 1 }, (_, index) => ({ key: `customer-${round % 50}`, value: canary(marks.order, first + index) }))
  await deliver(messages.length, () => producer.send({ topic: 'orders', messages }))
  // The scanners' control: to every partition, and so through every leader.
  if (round % 20 === 0) await deliver(0, () => producer.send({ topic: 'metrics', messages: Array.from({ length: partitions }, (_, partition) => ({ partition, value: canary(marks.control, round) })) }))
  report({ kind: 'acknowledged', number: last } satisfies ProductionReport)
}
await producer.disconnect()
sealer.close()
directory.close()
process.exit(0)
