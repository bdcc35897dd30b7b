import { opened, type Sealer } from '@sealbus/core'
import { consumerHealth, sealKafka, sealProducer } from '@sealbus/kafka'
import { Kafka, type KafkaMessage, logLevel, type Message } from 'kafkajs'
import { createMemoryKafka } from '@sealbus/testing'
import { uniqueName } from '../support/brokers.ts'
import type { Harness, Outgoing, Received, SubscribeOptions, Subscription, Transport } from './harness.ts'

export function kafkaTransport(bootstrap: string[]): Transport {
  return {
    name: 'kafkajs on Kafka',
    features: { records: true, transactions: true },
    open: () => openHarness(new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100 } })),
  }
}

/** The same harness on the broker in memory. */
export function memoryKafkaTransport(): Transport {
  return { name: 'Kafka in memory', features: { records: true, transactions: false }, open: () => openHarness(createMemoryKafka()) }
}

async function openHarness(kafka: Kafka): Promise<Harness> {
  const raw = kafka.producer()
  const admin = kafka.admin()
  await Promise.all([raw.connect(), admin.connect()])
  const topic = async (stem: string): Promise<string> => {
    const name = uniqueName(stem)
    await admin.createTopics({ topics: [{ topic: name, numPartitions: 1 }], waitForLeaders: true })
    return name
  }
  const parkTopics = new Map<string, string>()

  const readAll = async (from: string): Promise<Received[]> => {
    const [{ high } = { high: '0' }] = await admin.fetchTopicOffsets(from)
    const messages: Received[] = []
    if (Number(high) === 0) return messages
    const reader = kafka.consumer({ groupId: uniqueName('reader'), maxWaitTimeInMs: 100 })
    await reader.connect()
    await reader.subscribe({ topic: from, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      reader.run({ eachMessage: async ({ message }) => {
        messages.push(toReceived(message))
        if (messages.length >= Number(high)) resolve()
      } }).catch(reject)
    })
    await reader.disconnect()
    return messages
  }

  return {
    destination: () => topic('orders'),
    async publish(sealer, destination, ...messages): Promise<void> {
      await sealProducer(raw, { sealer }).send({ topic: destination, messages: messages.map(toMessage) })
    },
    async publishRaw(destination, value, headers): Promise<void> {
      await raw.send({ topic: destination, messages: [{ value, ...(headers && { headers }) }] })
    },
    async publishInTransaction(sealer: Sealer, destination, message, end): Promise<void> {
      const producer = sealKafka(kafka, { sealer }).producer({ transactionalId: uniqueName('tx'), idempotent: true, maxInFlightRequests: 1 })
      await producer.connect()
      const transaction = await producer.transaction()
      await transaction.send({ topic: destination, messages: [toMessage(message)] })
      await transaction[end]()
      await producer.disconnect()
    },
    async subscribe(destination, options): Promise<Subscription> {
      const key = `${destination}.${options.group}`
      if (options.park && !parkTopics.has(key)) parkTopics.set(key, await topic('parked'))
      return subscribe(kafka, raw, destination, parkTopics.get(key), options)
    },
    async remaining(destination, group): Promise<number> {
      const [[end], [committed]] = [await admin.fetchTopicOffsets(destination), await admin.fetchOffsets({ groupId: `${destination}.${group}`, topics: [destination] })]
      return Number(end?.high) - Math.max(0, Number(committed?.partitions[0]?.offset ?? 0))
    },
    async parkedCopies(destination, group): Promise<Received[]> {
      const parked = parkTopics.get(`${destination}.${group}`)
      return parked === undefined ? [] : readAll(parked)
    },
    async close(): Promise<void> {
      await Promise.all([raw.disconnect(), admin.disconnect()])
    },
  }
}

async function subscribe(kafka: Kafka, raw: ReturnType<Kafka['producer']>, topic: string, parkTopic: string | undefined, { opener, group, dispositions, onMessage }: SubscribeOptions): Promise<Subscription> {
  const received: Received[] = []
  const stopped: string[] = []
  const consumer = sealKafka(kafka, {
    opener,
    ...(parkTopic !== undefined && { park: { topic: parkTopic, producer: raw } }),
    onStopped: ({ error }) => void stopped.push(error.code),
    ...(dispositions && { dispositions }),
  }).consumer({ groupId: `${topic}.${group}`, maxWaitTimeInMs: 100, sessionTimeout: 10_000 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      const each = toReceived(message)
      received.push(each)
      await onMessage?.(each)
    },
  })
  return { received, stopped, healthy: () => consumerHealth(consumer).healthy, close: () => consumer.disconnect() }
}

function toMessage({ value, key, headers, contentType }: Outgoing): Message {
  return { value, ...(key !== undefined && { key }), headers: { ...headers, ...(contentType !== undefined && { 'content-type': contentType }) } }
}

function toReceived(message: KafkaMessage): Received {
  const { 'content-type': contentType, ...headers } = Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]))
  return { value: message.value, key: message.key?.toString(), headers, contentType, opened: opened(message) }
}
