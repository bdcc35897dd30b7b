import type { PartitionerFactory } from './shape.ts'

/** As kafkajs' default: the record's own partition, else by its key, else round-robin (from 0, so that tests repeat). */
export const createDefaultPartitioner: PartitionerFactory = () => {
  const turns = new Map<string, number>()
  return ({ topic, partitionMetadata: { length }, message: { key, partition } }) => {
    if (partition !== undefined && partition !== null) return partition
    if (key !== undefined && key !== null) return (murmur2(Buffer.isBuffer(key) ? key : Buffer.from(key)) & 0x7fffffff) % length
    const turn = turns.get(topic) ?? 0
    turns.set(topic, turn + 1)
    return turn % length
  }
}

const M = 0x5bd1e995
const SEED = 0x9747b28c

/** The 32-bit hash by which Kafka's clients choose a partition, as a signed integer. */
export function murmur2(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let hash = SEED ^ bytes.length
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    const mixed = Math.imul(view.getUint32(at, true), M)
    hash = Math.imul(hash, M) ^ Math.imul(mixed ^ (mixed >>> 24), M)
  }
  if (at < bytes.length) {
    for (let shift = 0; at < bytes.length; at++, shift += 8) hash ^= view.getUint8(at) << shift
    hash = Math.imul(hash, M)
  }
  hash = Math.imul(hash ^ (hash >>> 13), M)
  return hash ^ (hash >>> 15)
}
