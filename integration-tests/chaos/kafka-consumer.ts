/** A consuming service, as a team writes it with kafkajs: at least once, with commits every so many messages. */
import { createOpener, loadIdentities, opened } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { Kafka, logLevel } from 'kafkajs'
import { canary } from '../support/canaries.ts'
import '../support/kafkajs-noise.ts'
import { assignment, listen, report as write } from '../support/reporting.ts'
import { channels, KEYS, type Marks, numberOf, type ServiceName } from './orders.ts'

export interface KafkaConsumption {
  readonly bootstrap: string[]
  readonly name: ServiceName
  readonly marks: Marks
  readonly commitEvery: number
}

export type ConsumptionReport =
  | { readonly kind: 'handled'; readonly partition: number; readonly offset: number; readonly number: number; readonly id: string }
  | { readonly kind: 'control' }
  /** Confirmed by the broker: what is below this offset is done. */
  | { readonly kind: 'committed'; readonly partition: number; readonly offset: number }
  /** Places are read from the broker anew. */
  | { readonly kind: 'joined' }
  /** kafkajs gave up, and either starts anew by itself, or the process ends, to be started by whoever watches it. */
  | { readonly kind: 'crashed'; readonly restart: boolean; readonly reason: string }
  /** None of these may happen. */
  | { readonly kind: 'failed'; readonly reason: string }

const report: (what: ConsumptionReport) => void = write
const { bootstrap, name, marks, commitEvery } = assignment() as KafkaConsumption
listen()
const opener = createOpener({ name, identities: await loadIdentities({ env: KEYS }), channels })
const client = new Kafka({ clientId: name, brokers: bootstrap, logLevel: logLevel.NOTHING })
const parking = client.producer({ allowAutoTopicCreation: false })
await parking.connect()
const onParked = ({ code }: { code: string }): void => report({ kind: 'failed', reason: `parked: ${code}` })
const kafka = sealKafka(client, { opener, park: { topic: `orders.${name}.parked`, producer: parking }, onParked })
const consumer = kafka.consumer({ groupId: name, sessionTimeout: 10_000, rebalanceTimeout: 5_000, heartbeatInterval: 1_000, maxWaitTimeInMs: 200 })
consumer.on(consumer.events.GROUP_JOIN, () => report({ kind: 'joined' }))
consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload }) => {
  // The partition is text, whatever its type says.
  for (const place of payload.topics.find(({ topic }) => topic === 'orders')?.partitions ?? []) report({ kind: 'committed', partition: Number(`${place.partition}`), offset: Number(place.offset) })
})
consumer.on(consumer.events.CRASH, ({ payload: { restart, error } }) => {
  report({ kind: 'crashed', restart, reason: String(error) })
  if (!restart) process.exit(1)
})
await consumer.connect()
await consumer.subscribe({ topics: ['orders', 'metrics'], fromBeginning: true })
await consumer.run({
  autoCommitThreshold: commitEvery,
  eachMessage: async ({ topic, partition, message }) => {
    const text = String(message.value)
    if (topic === 'metrics') return report(numberOf(text, (number) => canary(marks.control, number)) === undefined ? { kind: 'failed', reason: 'a changed control' } : { kind: 'control' })
    const number = numberOf(text, (each) => canary(marks.order, each))
    const id = opened(message)?.id
    if (number === undefined || id === undefined) return report({ kind: 'failed', reason: `a changed order at ${partition}/${message.offset}` })
    report({ kind: 'handled', partition, offset: Number(message.offset), number, id })
  },
})
