import type { SealbusErrorCode } from '@sealbus/core'
import type { InnerConsumer, Place, TopicPartitions } from './client-shape.ts'

/** A partition that does not go on: `holding` waits and tries again, `stopped` waits for an operator. */
interface Halt extends Place {
  readonly offset: string
  readonly code: SealbusErrorCode
  readonly state: 'holding' | 'stopped'
  readonly sinceMs: number
  readonly attempts: number
  timer?: NodeJS.Timeout
  /** The wait is over: only a pause of the caller's keeps the partition from another try. */
  due?: boolean
}

/**
 * The halted partitions of one consumer. The client is told to pause them, so that the others go on and the place is
 * kept: nothing past the message is resolved, and the client fetches from it again.
 */
export interface Holds {
  /** How often the message at this offset was tried, and since when it is held. */
  attempt(place: Place, offset: string): { attempts: number; heldSinceMs: number }
  /** Pauses the partition, and resumes it after `retryInMs`, or as soon as `until` settles. */
  hold(place: Place, offset: string, code: SealbusErrorCode, retryInMs: number, until?: Promise<unknown>): void
  stop(place: Place, offset: string, code: SealbusErrorCode): void
  /** The message at this offset is settled, so nothing waits at it, or before it. */
  settled(place: Place, offset: string): void
  /** Whether the caller, or a hold, has paused the partition. */
  isPaused(place: Place): boolean
  /** The caller's own pauses: they outlast a hold, and a hold outlasts their end. */
  pause(topicPartitions: readonly TopicPartitions[]): void
  resume(topicPartitions: readonly TopicPartitions[]): void
  /** Ends the halt of a partition: the caller moved its place, or lost it. */
  release(place: Place): void
  /** Ends the halts of partitions that are not assigned any more. */
  keepOnly(assigned: (place: Place) => boolean): void
  /** Ends all waits, without resuming anything. */
  end(): void
  list(): readonly Halt[]
}

export function createHolds(consumer: InnerConsumer): Holds {
  const halts = new Map<string, Halt>()
  /** Topics and partitions that the caller paused. */
  const paused = new Set<string>()

  const resumeNow = (place: Place): void => {
    if (paused.has(place.topic) || paused.has(keyOf(place))) return
    try {
      consumer.resume([only(place)])
    } catch {
      // The client has stopped, or starts anew after a crash of its own: it remembers no pause then, so there is none to end.
    }
  }

  const halt = (next: Halt): void => {
    clearTimeout(halts.get(keyOf(next))?.timer)
    halts.set(keyOf(next), next)
    consumer.pause([only(next)])
  }

  const release = (place: Place): void => {
    const known = halts.get(keyOf(place))
    if (!known) return
    clearTimeout(known.timer)
    halts.delete(keyOf(place))
    resumeNow(place)
  }

  const attempt: Holds['attempt'] = (place, offset) => {
    const known = halts.get(keyOf(place))
    return known?.offset === offset ? { attempts: known.attempts, heldSinceMs: known.sinceMs } : { attempts: 0, heldSinceMs: Date.now() }
  }

  return {
    attempt,
    hold({ topic, partition }, offset, code, retryInMs, until): void {
      const { attempts, heldSinceMs } = attempt({ topic, partition }, offset)
      const next: Halt = { topic, partition, offset, code, state: 'holding', sinceMs: heldSinceMs, attempts: attempts + 1 }
      halt(next)
      const wake = (): void => {
        clearTimeout(next.timer)
        next.due = true
        if (halts.get(keyOf(next)) === next) resumeNow(next)
      }
      next.timer = setTimeout(wake, retryInMs)
      // A hold that begins while the client stops must not keep the process.
      next.timer.unref()
      until?.then(wake, wake)
    },
    stop({ topic, partition }, offset, code): void {
      halt({ topic, partition, offset, code, state: 'stopped', sinceMs: Date.now(), attempts: 1 })
    },
    settled(place, offset): void {
      const known = halts.get(keyOf(place))
      if (!known || BigInt(known.offset) > BigInt(offset)) return
      clearTimeout(known.timer)
      halts.delete(keyOf(place))
    },
    isPaused: (place) => halts.has(keyOf(place)) || paused.has(place.topic) || paused.has(keyOf(place)),
    pause(topicPartitions): void {
      for (const key of keysOf(topicPartitions)) paused.add(key)
      consumer.pause(topicPartitions)
    },
    resume(topicPartitions): void {
      for (const key of keysOf(topicPartitions)) paused.delete(key)
      consumer.resume(topicPartitions)
      const topics = new Set(topicPartitions.map(({ topic }) => topic))
      const still = [...halts.values()].filter((each) => topics.has(each.topic) && !each.due)
      if (still.length > 0) consumer.pause(still.map(only))
    },
    release,
    keepOnly(assigned): void {
      for (const each of halts.values()) if (!assigned(each)) release(each)
    },
    end(): void {
      for (const each of halts.values()) clearTimeout(each.timer)
    },
    list: () => [...halts.values()],
  }
}

const keyOf = ({ topic, partition }: Place): string => `${topic}/${partition}`
const only = ({ topic, partition }: Place): TopicPartitions => ({ topic, partitions: [partition] })

function keysOf(topicPartitions: readonly TopicPartitions[]): readonly string[] {
  return topicPartitions.flatMap(({ topic, partitions }) => partitions?.map((partition) => keyOf({ topic, partition })) ?? [topic])
}
