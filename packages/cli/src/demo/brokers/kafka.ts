import type { Admin, Consumer, KafkaMessage, Producer } from 'kafkajs'
import { type KafkaClient, openKafka } from '../../kafka-client.ts'
import { flipCiphertextBit } from './bit-flip.ts'
import type { DemoBroker } from './broker.ts'
import { createKafkaBroker, type KafkaStore, toStored } from './kafka-broker.ts'
import { createRunName } from './run-name.ts'

/**
 * A real Kafka, by kafkajs.
 *
 * @throws BrokerUnreachableError
 */
export async function connectKafka(brokers: readonly string[]): Promise<DemoBroker> {
  const client = await openKafka({ brokers, clientId: 'sealbus-demo' })
  const run = createRunName()
  return createKafkaBroker({ title: `Kafka at ${brokers.join(', ')}. All topics here begin with ${run}, and are removed at the end`, run, client, store: createTap(client, `${run}-tap`) })
}

const TAP_TIMEOUT_MS = 20_000

/** A second pair of eyes: a plain consumer that reads what the broker has, as its operator could. */
function createTap(client: KafkaClient, groupId: string): KafkaStore {
  const seen = new Map<string, KafkaMessage[]>()
  let parts: { admin: Admin; consumer: Consumer; producer: Producer } | undefined

  const started = (): NonNullable<typeof parts> => {
    if (!parts) throw new Error('the tap is not running')
    return parts
  }

  /** All records up to the topic's present end. */
  const read = async (topic: string): Promise<readonly KafkaMessage[]> => {
    const [end] = await started().admin.fetchTopicOffsets(topic)
    const deadline = performance.now() + TAP_TIMEOUT_MS
    const messages = seen.get(topic) ?? []
    while (messages.length < Number(end?.high ?? 0)) {
      if (performance.now() > deadline) throw new Error(`Kafka delivered ${messages.length} of ${end?.high} records of ${topic} in ${TAP_TIMEOUT_MS / 1_000} s`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return [...messages]
  }

  return {
    async start(topics) {
      for (const topic of topics) seen.set(topic, [])
      parts = { admin: client.admin(), consumer: client.consumer({ groupId, allowAutoTopicCreation: false, maxWaitTimeInMs: 100 }), producer: client.producer({ allowAutoTopicCreation: false }) }
      const { admin, consumer, producer } = parts
      await Promise.all([admin.connect(), consumer.connect(), producer.connect()])
      await consumer.subscribe({ topics: [...topics], fromBeginning: true })
      await consumer.run({ autoCommit: false, eachMessage: async ({ topic, message }) => void seen.get(topic)?.push(message) })
    },
    records: async (topic) => (await read(topic)).map(toStored),
    async tamper(topic) {
      const [oldest] = await read(topic)
      if (!oldest?.value) throw new Error('there is nothing to tamper with')
      const before = oldest.value
      const after = flipCiphertextBit(before)
      await started().producer.send({ topic, messages: [{ key: oldest.key, value: after, ...(oldest.headers && { headers: oldest.headers }) }] })
      return { reference: toStored(oldest).reference, before, after, replaced: false, how: 'A Kafka log cannot be changed in place, so the intruder reads the record, flips one bit, and writes the changed copy behind the others.' }
    },
    async remove(topics, groups) {
      await Promise.allSettled(parts ? [parts.consumer.disconnect(), parts.producer.disconnect(), parts.admin.disconnect()] : [])
      const admin = client.admin()
      try {
        await admin.connect()
        // An early end leaves some of them unmade.
        const [made, { groups: known }] = await Promise.all([admin.listTopics(), admin.listGroups()])
        const ours = known.map((each) => each.groupId).filter((each) => each === groupId || groups.includes(each))
        const present = topics.filter((topic) => made.includes(topic))
        if (present.length > 0) await admin.deleteTopics({ topics: present })
        if (ours.length > 0) await admin.deleteGroups(ours)
      } finally {
        await admin.disconnect()
      }
    },
  }
}
