import type { MissingInKafka } from '../features.ts'
import { rejecting, throwing } from '../not-simulated.ts'
import type { Broker } from './broker.ts'
import { MemoryKafkaError, nonRetriable, unknownTopic } from './errors.ts'
import { createEvents, PRODUCER_EVENTS, type ProducerEventPayloads } from './events.ts'
import type { Partition } from './partition.ts'
import { createDefaultPartitioner } from './partitioner.ts'
import { type RecordContents, toContents } from './record.ts'
import type { MemoryProducer, MemoryProducerConfig, PartitionMetadata, ProducerBatch, ProducerMessage, SendMetadata, TopicMessages } from './shape.ts'

const TRANSACTIONS: MissingInKafka = 'transactions'
const LOGGER: MissingInKafka = 'logger'

interface Placed {
  readonly topic: string
  readonly partition: number
  readonly log: Partition
  readonly contents: RecordContents
}

export function createProducer(broker: Broker, config: MemoryProducerConfig = {}): MemoryProducer {
  const { createPartitioner = createDefaultPartitioner, allowAutoTopicCreation = true, idempotent = false } = config
  const partitionOf = createPartitioner()
  const events = createEvents<ProducerEventPayloads>(PRODUCER_EVENTS)
  let connected = false

  const place = (topic: string, message: ProducerMessage): Placed => {
    if (allowAutoTopicCreation) broker.createTopic(topic)
    const partitions = broker.partitions(topic)
    if (!partitions) throw unknownTopic()
    const partition = partitionOf({ topic, partitionMetadata: partitions.map(toMetadata), message })
    const log = partitions[partition]
    if (!log) throw unknownTopic()
    return { topic, partition, log, contents: toContents(message) }
  }

  const sendBatch = async ({ topicMessages = [] }: ProducerBatch): Promise<SendMetadata[]> => {
    check(topicMessages)
    if (!connected) throw new MemoryKafkaError('KafkaJSError', 'The producer is disconnected', { retriable: true })
    // All are placed before the first is written: a batch that cannot be written leaves nothing.
    const placed = topicMessages.flatMap(({ topic, messages }) => messages.map((message) => place(topic, message)))
    const written = new Map<Partition, SendMetadata>()
    for (const { topic, partition, log, contents } of placed) {
      if (!written.has(log)) written.set(log, { topicName: topic, partition, errorCode: 0, baseOffset: `${log.high}`, logAppendTime: '-1', logStartOffset: '0' })
      broker.append(topic, log, contents)
    }
    return [...written.values()]
  }

  return {
    async connect(): Promise<void> {
      connected = true
      events.emit(PRODUCER_EVENTS.CONNECT, null)
    },
    async disconnect(): Promise<void> {
      connected = false
      events.emit(PRODUCER_EVENTS.DISCONNECT, null)
    },
    send: async ({ topic, messages }) => sendBatch({ topicMessages: [{ topic, messages }] }),
    sendBatch,
    isIdempotent: () => idempotent,
    events: PRODUCER_EVENTS,
    on: events.on,
    transaction: rejecting(TRANSACTIONS, 'producer.transaction'),
    logger: throwing(LOGGER, 'producer.logger'),
  }
}

function check(topicMessages: readonly TopicMessages[]): void {
  for (const { topic, messages } of topicMessages) {
    if (!topic) throw nonRetriable('Invalid topic')
    if (!Array.isArray(messages)) throw nonRetriable(`Invalid messages array [${String(messages)}] for topic "${topic}"`)
    if (messages.some(({ value }) => value === undefined)) throw nonRetriable(`Invalid message without value for topic "${topic}"`)
  }
}

function toMetadata(_: Partition, partitionId: number): PartitionMetadata {
  return { partitionErrorCode: 0, partitionId, leader: 0, replicas: [0], isr: [0], offlineReplicas: [] }
}
