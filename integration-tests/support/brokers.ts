import { randomBytes } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { describe, inject, test } from 'vitest'
import type { KafkaAddress, Offer, RabbitAddress } from './broker-providers.ts'
import { kafkaMissing } from './kafka-distribution.ts'
import { rabbitMissing } from './rabbitmq-cluster.ts'

declare module 'vitest' {
  interface ProvidedContext {
    kafka: Offer<KafkaAddress>
    rabbit: Offer<RabbitAddress>
  }
}

/** The Kafka that the whole run shares. Its nodes are not to be killed. */
export const kafkaBroker = (): Offer<KafkaAddress> => inject('kafka')

/** The RabbitMQ that the whole run shares. It is not to be killed. */
export const rabbitBroker = (): Offer<RabbitAddress> => inject('rabbit')

/** A suite on the shared Kafka, or a skipped one whose title says why. */
export function describeWithKafka(title: string, suite: (kafka: KafkaAddress) => void): void {
  const offer = kafkaBroker()
  if (offer.available) describe(title, () => suite(offer))
  else skip(title, offer.reason)
}

/** A suite on the shared RabbitMQ, or a skipped one whose title says why. */
export function describeWithRabbit(title: string, suite: (rabbit: RabbitAddress) => void): void {
  const offer = rabbitBroker()
  if (offer.available) describe(title, () => suite(offer))
  else skip(title, offer.reason)
}

/** A suite that starts Kafka clusters of its own, to kill their nodes or read their files. */
export function describeWithLocalKafka(title: string, suite: () => void): void {
  describeUnless(kafkaMissing(), title, suite)
}

/** A suite that starts RabbitMQ nodes of its own, to kill them or read their files. */
export function describeWithLocalRabbit(title: string, suite: () => void): void {
  describeUnless(rabbitMissing(), title, suite)
}

function describeUnless(missing: string | undefined, title: string, suite: () => void): void {
  if (missing === undefined) describe(title, suite)
  else skip(title, missing)
}

function skip(title: string, reason: string): void {
  describe.skip(`${title} (SKIPPED: ${reason})`, () => test('no broker', () => {}))
}

/** A name for a topic, group, queue or exchange that no other test or run has. */
export function uniqueName(stem: string): string {
  return `${stem}-${randomBytes(6).toString('hex')}`
}

export interface NewTopic {
  topic: string
  numPartitions: number
  configEntries?: { name: string; value: string }[]
}

/** Creates topics with the cluster's own replication factor, and waits until every partition has a leader. */
export async function createTopics(bootstrap: readonly string[], topics: NewTopic[]): Promise<void> {
  const admin = new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    await admin.createTopics({ topics, waitForLeaders: true })
  } finally {
    await admin.disconnect()
  }
}
