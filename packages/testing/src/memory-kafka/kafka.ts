import type { MissingInKafka } from '../features.ts'
import { throwing } from '../not-simulated.ts'
import { createAdmin, type MemoryAdmin } from './admin.ts'
import { type ChangeRecord, createBroker } from './broker.ts'
import { createConsumer } from './consumer.ts'
import { createProducer } from './producer.ts'
import type { StoredRecord } from './record.ts'
import type { MemoryConsumer, MemoryConsumerConfig, MemoryProducer, MemoryProducerConfig } from './shape.ts'

/** A Kafka in this process, with the shape of kafkajs' `Kafka`. What it does not simulate is in `MEMORY_KAFKA_FEATURES`. */
export interface MemoryKafka {
  producer(config?: MemoryProducerConfig): MemoryProducer
  consumer(config: MemoryConsumerConfig): MemoryConsumer
  admin(config?: object): MemoryAdmin
  /** Throws `NotSimulatedError`. */
  logger(): never
  /** Every record of a topic as the broker holds it, by partition and offset; none where there is no such topic. */
  records(topic: string): readonly StoredRecord[]
  /**
   * Plays a broker that changes what it was given: `change` is asked about every record that the topic holds, at once,
   * and about every one that arrives, until the returned function is called. It answers with the parts to put in the
   * record's place, or undefined. What a consumer was given already stays as it was.
   */
  tamper(topic: string, change: ChangeRecord): () => void
}

export interface MemoryKafkaOptions {
  /** Partitions of a topic that is created without a number, or by being written to. Default 3. */
  readonly partitions?: number
}

/** Starts empty. All clients that it makes share it; it ends with the process, and a running consumer keeps the process. */
export function createMemoryKafka({ partitions = 3 }: MemoryKafkaOptions = {}): MemoryKafka {
  if (!Number.isInteger(partitions) || partitions < 1) throw new RangeError('`partitions` is an integer from 1')
  const broker = createBroker(partitions)
  const feature: MissingInKafka = 'logger'
  return {
    producer: (config) => createProducer(broker, config),
    consumer: (config) => createConsumer(broker, config),
    admin: () => createAdmin(broker),
    logger: throwing(feature, 'kafka.logger'),
    records: (topic) => (broker.partitions(topic) ?? []).flatMap((partition) => partition.read(0)),
    tamper: (topic, change) => broker.tamper(topic, change),
  }
}
