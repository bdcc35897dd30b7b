import type { SealbusErrorCode } from '@sealbus/core'
import { createCallerPauses } from './caller-pauses.ts'
import type { InnerConsumer, Place, TopicPartitions } from './client-shape.ts'

/** What a message at hold waits for, and for how long until it is tried again. */
export interface Wait {
  readonly code: SealbusErrorCode
  readonly waitingFor: 'key' | 'parking place'
  readonly retryInMs: number
  /** Settles when another try is due before that. */
  readonly until?: Promise<unknown>
}

/** A partition that does not go on: `holding` waits and tries again, `stopped` waits for an operator. */
interface Halt extends Place {
  readonly offset: string
  readonly code: SealbusErrorCode
  readonly state: 'holding' | 'stopped'
  readonly waitingFor: Wait['waitingFor'] | 'operator'
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
  /** How often the message at this offset was tried in vain for what it waits for, and since when it is held. */
  attempt(place: Place, offset: string): { attempts: number; heldSinceMs: number }
  /** Pauses the partition, and resumes it after `retryInMs`, or as soon as `until` settles. */
  hold(place: Place, offset: string, wait: Wait): void
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
  /** The client stops, and with it all pauses. What it delivers anew is tried at once, and its attempts count on. */
  end(): void
  /** Ends all halts of a client that goes on after all. */
  releaseAll(): void
  list(): readonly Halt[]
}

export function createHolds(consumer: InnerConsumer): Holds {
  const halts = new Map<string, Halt>()
  const caller = createCallerPauses()

  const isHeld = (place: Place): boolean => {
    const known = halts.get(keyOf(place))
    return known !== undefined && !known.due
  }

  /** Has the client pause held partitions, and leaves the pause of a whole topic, which that would end, in force. */
  const pauseHeld = (topic: string, partitions: number[]): void =>
    whileRunning(() => {
      const resumed = caller.resumedOf(topic)
      if (!resumed) {
        consumer.pause([{ topic, partitions }])
        return
      }
      consumer.pause([{ topic }])
      const others = [...resumed].filter((partition) => !isHeld({ topic, partition }))
      if (others.length > 0) consumer.resume([{ topic, partitions: others }])
    })

  const pauseHeldAmong = (topicPartitions: readonly TopicPartitions[]): void => {
    for (const topic of new Set(topicPartitions.map((each) => each.topic))) {
      const held = [...halts.values()].filter((each) => each.topic === topic && !each.due)
      if (held.length > 0) pauseHeld(topic, held.map(({ partition }) => partition))
    }
  }

  const resumeNow = (place: Place): void => {
    if (!caller.has(place)) whileRunning(() => consumer.resume([only(place)]))
  }

  const halt = (next: Halt): void => {
    clearTimeout(halts.get(keyOf(next))?.timer)
    halts.set(keyOf(next), next)
    pauseHeld(next.topic, [next.partition])
  }

  const release = (place: Place): void => {
    const known = halts.get(keyOf(place))
    if (!known) return
    clearTimeout(known.timer)
    halts.delete(keyOf(place))
    resumeNow(place)
  }

  const attempt: Holds['attempt'] = (place, offset) => {
    const known = halts.size === 0 ? undefined : halts.get(keyOf(place))
    return known?.offset === offset ? { attempts: known.attempts, heldSinceMs: known.sinceMs } : { attempts: 0, heldSinceMs: Date.now() }
  }

  return {
    attempt,
    hold({ topic, partition }, offset, { code, waitingFor, retryInMs, until }): void {
      const { attempts, heldSinceMs } = attempt({ topic, partition }, offset)
      const again = halts.get(keyOf({ topic, partition }))?.waitingFor === waitingFor
      const next: Halt = { topic, partition, offset, code, state: 'holding', waitingFor, sinceMs: heldSinceMs, attempts: again ? attempts + 1 : 1 }
      halt(next)
      const wake = (): void => {
        clearTimeout(next.timer)
        if (halts.get(keyOf(next)) !== next || next.due) return
        next.due = true
        resumeNow(next)
      }
      next.timer = setTimeout(wake, retryInMs)
      // A hold that begins while the client stops must not keep the process.
      next.timer.unref()
      until?.then(wake, wake)
    },
    stop({ topic, partition }, offset, code): void {
      halt({ topic, partition, offset, code, state: 'stopped', waitingFor: 'operator', sinceMs: Date.now(), attempts: 1 })
    },
    settled(place, offset): void {
      if (halts.size === 0) return
      const known = halts.get(keyOf(place))
      if (!known || BigInt(known.offset) > BigInt(offset)) return
      clearTimeout(known.timer)
      halts.delete(keyOf(place))
    },
    isPaused: (place) => isHeld(place) || caller.has(place),
    pause(topicPartitions): void {
      // The client first: what it refuses is no pause.
      consumer.pause(topicPartitions)
      caller.pause(topicPartitions)
      pauseHeldAmong(topicPartitions)
    },
    resume(topicPartitions): void {
      consumer.resume(topicPartitions)
      caller.resume(topicPartitions)
      pauseHeldAmong(topicPartitions)
    },
    release,
    keepOnly(assigned): void {
      for (const each of halts.values()) if (!assigned(each)) release(each)
    },
    end(): void {
      caller.clear()
      for (const each of halts.values()) {
        clearTimeout(each.timer)
        each.due = true
      }
    },
    releaseAll(): void {
      for (const each of halts.values()) release(each)
    },
    list: () => [...halts.values()],
  }
}

const keyOf = ({ topic, partition }: Place): string => `${topic}/${partition}`
const only = ({ topic, partition }: Place): TopicPartitions => ({ topic, partitions: [partition] })

/** A client that has stopped, or starts anew after a crash of its own, remembers no pause: there is none to begin or end. */
function whileRunning(tell: () => void): void {
  try {
    tell()
  } catch {
    // Its complaint must not reach kafkajs from a handler: it may be of a kind that ends the consumer for good.
  }
}
