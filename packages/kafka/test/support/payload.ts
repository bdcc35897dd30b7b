import type { BatchPayload, DeliveredRecord } from '../../src/client-shape.ts'

/** A batch as kafkajs hands it to `eachBatch`, and what becomes of it. */
export interface FakePayload extends BatchPayload {
  readonly resolved: string[]
  heartbeats: number
  stale: boolean
  running: boolean
}

export function makePayload(messages: readonly DeliveredRecord[], { topic = 'orders', partition = 0 } = {}): FakePayload {
  const payload: FakePayload = {
    batch: Object.assign(Object.create({ lastOffset: () => messages.at(-1)?.offset, isEmpty: () => messages.length === 0 }) as object, { topic, partition, messages }),
    resolved: [],
    heartbeats: 0,
    stale: false,
    running: true,
    resolveOffset: (offset) => void payload.resolved.push(offset),
    heartbeat: async () => void payload.heartbeats++,
    pause: () => () => {},
    commitOffsetsIfNecessary: async () => {},
    isRunning: () => payload.running,
    isStale: () => payload.stale,
  }
  return payload
}
