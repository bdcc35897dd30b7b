import { createGroups, type Groups } from './group.ts'
import { createPartition, type Partition } from './partition.ts'
import type { RecordContents, StoredRecord } from './record.ts'

/** Answers with what is to stand in a record's place, member by member; undefined leaves it as it is. */
export type ChangeRecord = (record: StoredRecord) => Partial<RecordContents> | undefined

/** Everything that outlives a client: topics with their records, and groups with their offsets. */
export interface Broker {
  readonly groups: Groups
  topics(): readonly string[]
  /** The partitions of a topic; undefined where there is no such topic. */
  partitions(topic: string): readonly Partition[] | undefined
  /** False where the topic exists already. */
  createTopic(topic: string, partitions?: number): boolean
  deleteTopic(topic: string): boolean
  append(topic: string, partition: Partition, contents: RecordContents): void
  /** Applies to what is stored, at once, and to what is appended, until the returned function is called. */
  tamper(topic: string, change: ChangeRecord): () => void
  /** Calls back when there may be something new to fetch, until the returned function is called. */
  onAppended(listener: () => void): () => void
}

export function createBroker(defaultPartitions: number): Broker {
  const topics = new Map<string, readonly Partition[]>()
  const changes = new Map<string, Set<ChangeRecord>>()
  const listeners = new Set<() => void>()
  const groups = createGroups()
  const rewritten = (change: ChangeRecord, record: StoredRecord): RecordContents => {
    const { key, value, headers, timestamp } = record
    return { key, value, headers, timestamp, ...change(record) }
  }
  return {
    groups,
    topics: () => [...topics.keys()],
    partitions: (topic) => topics.get(topic),
    createTopic(topic, count = defaultPartitions): boolean {
      if (topics.has(topic)) return false
      topics.set(topic, Array.from({ length: count }, (_, partition) => createPartition(topic, partition)))
      return true
    },
    deleteTopic(topic): boolean {
      groups.forgetTopic(topic)
      return topics.delete(topic)
    },
    append(topic, partition, contents): void {
      let appended = contents
      for (const change of changes.get(topic) ?? []) {
        appended = rewritten(change, { topic, partition: topics.get(topic)?.indexOf(partition) ?? 0, offset: `${partition.high}`, ...appended })
      }
      partition.append(appended)
      for (const listener of listeners) listener()
    },
    tamper(topic, change): () => void {
      for (const partition of topics.get(topic) ?? []) partition.rewrite((record) => rewritten(change, record))
      const all = changes.get(topic) ?? new Set()
      changes.set(topic, all.add(change))
      return () => void all.delete(change)
    },
    onAppended(listener): () => void {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
