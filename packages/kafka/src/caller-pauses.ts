import type { Place, TopicPartitions } from './client-shape.ts'

/**
 * What the caller has paused, by kafkajs' own rules: pausing one partition ends the pause of its whole topic, and a
 * partition can be resumed out of a topic that is paused whole.
 */
export interface CallerPauses {
  pause(topicPartitions: readonly TopicPartitions[]): void
  resume(topicPartitions: readonly TopicPartitions[]): void
  has(place: Place): boolean
  /** The partitions resumed out of a topic that is paused whole; undefined where it is not. */
  resumedOf(topic: string): ReadonlySet<number> | undefined
  clear(): void
}

interface TopicPauses {
  whole: boolean
  readonly paused: Set<number>
  readonly resumed: Set<number>
}

export function createCallerPauses(): CallerPauses {
  const topics = new Map<string, TopicPauses>()

  const pausesOf = (topic: string): TopicPauses => {
    const known = topics.get(topic) ?? { whole: false, paused: new Set(), resumed: new Set() }
    topics.set(topic, known)
    return known
  }

  /** A whole topic leaves nothing of what was said of its partitions. */
  const setWhole = (topic: string, whole: boolean): void => {
    topics.set(topic, { whole, paused: new Set(), resumed: new Set() })
  }

  return {
    pause(topicPartitions): void {
      for (const { topic, partitions } of topicPartitions) {
        if (!partitions) {
          setWhole(topic, true)
          continue
        }
        const pauses = pausesOf(topic)
        for (const partition of partitions) {
          pauses.paused.add(partition)
          pauses.resumed.delete(partition)
        }
        pauses.whole = false
      }
    },
    resume(topicPartitions): void {
      for (const { topic, partitions } of topicPartitions) {
        if (!partitions) {
          setWhole(topic, false)
          continue
        }
        const pauses = pausesOf(topic)
        for (const partition of partitions) {
          pauses.paused.delete(partition)
          if (pauses.whole) pauses.resumed.add(partition)
        }
      }
    },
    has({ topic, partition }): boolean {
      const pauses = topics.get(topic)
      return pauses !== undefined && ((pauses.whole && !pauses.resumed.has(partition)) || pauses.paused.has(partition))
    },
    resumedOf(topic): ReadonlySet<number> | undefined {
      const pauses = topics.get(topic)
      return pauses?.whole ? pauses.resumed : undefined
    },
    clear: () => topics.clear(),
  }
}
