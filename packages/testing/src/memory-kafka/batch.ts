import type { BatchProgress } from './events.ts'
import type { StoredRecord } from './record.ts'
import type { ConsumedBatch, ConsumedMessage } from './shape.ts'

/** What one fetch has of a partition, as kafkajs hands it over. `records` are not empty. */
export function toBatch(topic: string, partition: number, high: number, records: readonly StoredRecord[]): ConsumedBatch {
  const messages = records.map(toMessage)
  const first = messages[0]?.offset ?? '0'
  const last = messages.at(-1)?.offset ?? '0'
  return {
    topic,
    partition,
    highWatermark: `${high}`,
    messages,
    isEmpty: () => messages.length === 0,
    firstOffset: () => first,
    lastOffset: () => last,
    offsetLag: () => `${high - 1 - Number(last)}`,
    offsetLagLow: () => `${high - 1 - Number(first)}`,
  }
}

export function progressOf(batch: ConsumedBatch): BatchProgress {
  const { topic, partition, highWatermark, messages } = batch
  return { topic, partition, highWatermark, offsetLag: batch.offsetLag(), offsetLagLow: batch.offsetLagLow(), batchSize: messages.length, firstOffset: batch.firstOffset() ?? '0', lastOffset: batch.lastOffset() }
}

function toMessage({ key, value, headers, timestamp, offset }: StoredRecord): ConsumedMessage {
  return { key, value, headers: { ...headers }, timestamp, attributes: 0, offset }
}
