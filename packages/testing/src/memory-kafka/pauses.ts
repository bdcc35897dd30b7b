import { nonRetriable } from './errors.ts'

export interface TopicPartitions {
  readonly topic: string
  readonly partitions?: readonly number[]
}

/** What a consumer has paused, by kafkajs' rules: pausing one partition ends the pause of its whole topic. */
export interface Pauses {
  pause(topics: readonly TopicPartitions[]): void
  resume(topics: readonly TopicPartitions[]): void
  has(topic: string, partition: number): boolean
}

interface TopicPauses {
  whole: boolean
  readonly paused: Set<number>
  readonly resumed: Set<number>
}

export function createPauses(): Pauses {
  const byTopic = new Map<string, TopicPauses>()
  const startAnew = (topic: string, whole: boolean): TopicPauses => {
    const pauses: TopicPauses = { whole, paused: new Set(), resumed: new Set() }
    byTopic.set(topic, pauses)
    return pauses
  }
  return {
    pause(topics): void {
      for (const { topic, partitions } of topics) {
        if (!partitions) {
          startAnew(topic, true)
          continue
        }
        const pauses = byTopic.get(topic) ?? startAnew(topic, false)
        pauses.whole = false
        for (const partition of partitions) {
          pauses.paused.add(partition)
          pauses.resumed.delete(partition)
        }
      }
    },
    resume(topics): void {
      for (const { topic, partitions } of topics) {
        if (!partitions) {
          startAnew(topic, false)
          continue
        }
        const pauses = byTopic.get(topic)
        for (const partition of partitions) {
          pauses?.paused.delete(partition)
          if (pauses?.whole) pauses.resumed.add(partition)
        }
      }
    },
    has(topic, partition): boolean {
      const pauses = byTopic.get(topic)
      return pauses !== undefined && (pauses.paused.has(partition) || (pauses.whole && !pauses.resumed.has(partition)))
    },
  }
}

/** The client's own complaints about what callers pass. */
export function checkTopicPartitions(topics: readonly TopicPartitions[]): void {
  for (const { topic, partitions } of topics) {
    if (!topic) throw nonRetriable(`Invalid topic ${topic}`)
    if (partitions !== undefined && (!Array.isArray(partitions) || partitions.some(Number.isNaN))) throw nonRetriable('Array of valid partitions required to pause or resume specific partitions')
  }
}
