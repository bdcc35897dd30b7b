import { isSealbusError, SealbusError } from '@sealbus/core'
import { callOut, createDispositions, type DispositionOptions } from '@sealbus/core/adapter'
import type { DeliveredRecord, Place } from './client-shape.ts'
import type { Holds } from './holds.ts'
import type { ParkedMessage, Parking } from './parking.ts'

/** A message at which a consumer stopped its partition. */
export interface StoppedMessage extends Place {
  readonly offset: string
  readonly error: SealbusError
}

/** The one place that settles a message that did not open. */
export interface Settler {
  /** `passed`: parked or skipped, so the place may move past it. `halted`: the partition does not go on. */
  settle(place: Place, record: DeliveredRecord, error: unknown): Promise<'passed' | 'halted'>
  /** The key source has not answered yet: the partition waits for it, and the others go on. */
  wait(place: Place, record: DeliveredRecord, until: Promise<unknown>): void
}

export interface SettlerOptions {
  readonly holds: Holds
  readonly dispositions: DispositionOptions
  readonly parking: Parking | undefined
  readonly onParked: ((message: ParkedMessage) => void) | undefined
  readonly onStopped: ((message: StoppedMessage) => void) | undefined
}

/** Pauses between attempts to park, in milliseconds. */
const PARK_BACKOFF = { first: 200, longest: 5_000 }
/** Longer than any time-out of a key source: its answer ends the wait. */
const LONGEST_WAIT_MS = 10_000

export function createSettler({ holds, dispositions: options, parking, onParked, onStopped }: SettlerOptions): Settler {
  const dispositions = createDispositions(options, parking !== undefined)
  return {
    async settle(place, record, thrown): Promise<'passed' | 'halted'> {
      const { topic, partition } = place
      const { offset } = record
      const error = toSealbusError(thrown)
      const attempt = holds.attempt(place, offset)
      const decision = dispositions.decide(error, attempt)
      switch (decision.disposition) {
        case 'hold':
          holds.hold(place, offset, error.code, decision.retryInMs)
          return 'halted'
        case 'stop':
          holds.stop(place, offset, error.code)
          callOut(() => onStopped?.({ topic, partition, offset, error }))
          return 'halted'
        case 'park': {
          const parked = await parking?.park(place, record, error.code).catch(() => undefined)
          if (!parked) {
            // Not lost and not skipped: it waits for its parking place as it would for a key.
            holds.hold(place, offset, error.code, Math.min(PARK_BACKOFF.longest, PARK_BACKOFF.first * 2 ** Math.min(attempt.attempts, 20)))
            return 'halted'
          }
          callOut(() => onParked?.(parked))
          break
        }
        case 'skip':
      }
      holds.settled(place, offset)
      return 'passed'
    },
    wait(place, { offset }, until): void {
      holds.hold(place, offset, 'ERR_SEALBUS_KEYS_NOT_READY', LONGEST_WAIT_MS, until)
    },
  }
}

/** Nothing else may reach kafkajs: a TypeError would end the consumer for good. */
function toSealbusError(error: unknown): SealbusError {
  return isSealbusError(error) ? error : new SealbusError('ERR_SEALBUS_MALFORMED', 'the message could not be opened')
}
