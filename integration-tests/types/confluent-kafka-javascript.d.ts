/**
 * The surface of `@confluentinc/kafka-javascript` 1.10 that the wrappers and confluent.ts touch. The package itself
 * builds a native module when it is installed, so it is no dependency; `npm run check:confluent` looks at its own types.
 */
declare module '@confluentinc/kafka-javascript' {
  export namespace KafkaJS {
    type Headers = Record<string, Buffer | string | (Buffer | string)[] | undefined>
    interface Message { key?: Buffer | string | null; value: Buffer | string | null; partition?: number; headers?: Headers; timestamp?: string }
    interface TopicMessages { topic: string; messages: Message[] }
    interface RecordMetadata { topicName: string; partition: number; errorCode: number; offset?: string; baseOffset?: string }
    interface Client { connect(): Promise<void>; disconnect(): Promise<void>; logger(): object; dependentAdmin(): object }
    interface TopicOffsets { topic: string; partitions: { partition: number; offset: string }[] }
    type Transaction = Producer
    type Producer = Client & {
      send(record: TopicMessages): Promise<RecordMetadata[]>
      sendBatch(batch: { topicMessages?: TopicMessages[] }): Promise<RecordMetadata[]>
      flush(args?: { timeout?: number }): Promise<void>
      transaction(): Promise<Transaction>
      commit(): Promise<void>
      abort(): Promise<void>
      sendOffsets(args: { consumer: Consumer; topics: TopicOffsets[] }): Promise<void>
      isActive(): boolean
    }
    interface KafkaMessage { key: Buffer | null; value: Buffer | null; timestamp: string; attributes: number; offset: string; size?: number; headers?: Headers; leaderEpoch?: number }
    interface Batch { topic: string; partition: number; highWatermark: string; messages: KafkaMessage[]; isEmpty(): boolean; firstOffset(): string | null; lastOffset(): string; offsetLag(): string; offsetLagLow(): string }
    interface EachMessagePayload { topic: string; partition: number; message: KafkaMessage; heartbeat(): Promise<void>; pause(): () => void }
    interface EachBatchPayload { batch: Batch; resolveOffset(offset: string): void; heartbeat(): Promise<void>; pause(): () => void; commitOffsetsIfNecessary(): Promise<void>; isRunning(): boolean; isStale(): boolean }
    interface RunConfig { eachBatchAutoResolve?: boolean; partitionsConsumedConcurrently?: number; eachMessage?: (payload: EachMessagePayload) => Promise<void>; eachBatch?: (payload: EachBatchPayload) => Promise<void> }
    interface TopicPartitionOffset { topic: string; partition: number; leaderEpoch?: number; offset: string; metadata?: string | null }
    type Consumer = Client & {
      subscribe(subscription: { topics: (string | RegExp)[]; replace?: boolean } | { topic: string | RegExp; replace?: boolean }): Promise<void>
      stop(): Promise<void>
      run(config?: RunConfig): Promise<void>
      storeOffsets(offsets: TopicPartitionOffset[]): void
      commitOffsets(offsets?: TopicPartitionOffset[]): Promise<void>
      seek(offset: TopicPartitionOffset): void
      pause(topics: { topic: string; partitions?: number[] }[]): void
      paused(): { topic: string; partitions: number[] }[]
      resume(topics: { topic: string; partitions?: number[] }[]): void
      assignment(): { topic: string; partition: number }[]
    }
    class Kafka {
      constructor(config?: { kafkaJS?: { brokers: string[]; clientId?: string } })
      producer(config?: { kafkaJS?: { transactionalId?: string; idempotent?: boolean } }): Producer
      consumer(config: { kafkaJS?: { groupId: string; fromBeginning?: boolean; autoCommit?: boolean } }): Consumer
    }
  }
}
