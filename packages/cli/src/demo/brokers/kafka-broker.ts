import { opened } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import type { KafkaMessage } from 'kafkajs'
import type { KafkaClient } from '../../kafka-client.ts'
import { type DemoBroker, READERS, type StoredMessage, type Tampering } from './broker.ts'

/** A view behind the clients' backs, which differs between a real Kafka and one in the process. */
export interface KafkaStore {
  start(topics: readonly string[]): Promise<void>
  records(topic: string): Promise<readonly StoredMessage[]>
  tamper(topic: string): Promise<Tampering>
  /** Removes these topics and groups, where they outlive the process. */
  remove(topics: readonly string[], groups: readonly string[]): Promise<void>
}

export interface KafkaBrokerOptions {
  readonly title: string
  /** What the names of topics and groups begin with. */
  readonly run: string
  readonly client: KafkaClient
  readonly store: KafkaStore
}

/** The story's broker on a Kafka client. */
export function createKafkaBroker({ title, run, client, store }: KafkaBrokerOptions): DemoBroker {
  const orders = `${run}-orders`
  const parking = (service: string): string => `${run}-${service}-parked`
  const group = (service: string): string => `${run}-${service}`
  const topics = [orders, ...READERS.map(parking)]
  const connected: { disconnect(): Promise<void> }[] = []
  /** Clients under way. One that is disconnected while it joins its group stays a member until its session ends. */
  const starting = new Set<Promise<unknown>>()

  /** Known before it connects, so that an interruption disconnects it too. */
  const connect = async <Client extends { connect(): Promise<void>; disconnect(): Promise<void> }>(made: Client): Promise<Client> => {
    connected.push(made)
    await made.connect()
    return made
  }

  const start = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    const started = work()
    starting.add(started)
    return started.finally(() => starting.delete(started))
  }

  return {
    title,
    destinations: [orders],
    open: () =>
      start(async () => {
        const admin = await connect(client.admin())
        await admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions: 1 })), waitForLeaders: true })
        await store.start(topics)
      }),
    async sender(sealer) {
      const producer = await connect(sealKafka(client, { sealer }).producer({ allowAutoTopicCreation: false }))
      return async (outgoing) => {
        await producer.send({ topic: orders, messages: outgoing.map(({ reference, payload }) => ({ key: reference, value: payload, headers: { 'content-type': 'application/json' } })) })
      }
    },
    subscribe: ({ service, opener, notARecipient, onOrder }) =>
      start(async () => {
        const producer = await connect(client.producer({ allowAutoTopicCreation: false }))
        const sealed = sealKafka(client, { opener, park: { topic: parking(service), producer }, dispositions: { notARecipient } })
        const consumer = await connect(sealed.consumer({ groupId: group(service), allowAutoTopicCreation: false, maxWaitTimeInMs: 100 }))
        await consumer.subscribe({ topic: orders, fromBeginning: true })
        await consumer.run({
          eachMessage: async ({ message }) => {
            if (message.value) onOrder(message.value, opened(message))
          },
        })
      }),
    stored: () => store.records(orders),
    parked: (service) => store.records(parking(service)),
    tamper: () => store.tamper(orders),
    async close() {
      await Promise.allSettled(starting)
      // Everyone first: a client that is still there would make the topics anew.
      await Promise.allSettled(connected.splice(0).map((each) => each.disconnect()))
      await store.remove(topics, READERS.map(group))
    },
  }
}

/** A record as the client hands it out, unopened. */
export function toStored({ key, value, headers }: Pick<KafkaMessage, 'key' | 'value' | 'headers'>): StoredMessage {
  return {
    reference: key?.toString() ?? '',
    bytes: value ?? Buffer.alloc(0),
    headers: Object.fromEntries(Object.entries(headers ?? {}).map(([name, given]) => [name, String(given)])),
  }
}
