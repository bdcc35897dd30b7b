import { isSealbusError, SealbusError } from '@sealbus/core'
import { type Attempt, callOut, createDispositions, type Decision, type DispositionOptions } from '@sealbus/core/adapter'
import type { DeliveredRecord, Place } from './client-shape.ts'
import type { Holds } from './holds.ts'
import { isTooLarge, type Parking } from './parking.ts'
import { LATE, PATIENCE_MS, within } from './patience.ts'
import type { Turn } from './turn.ts'

/** A message at which a consumer stopped its partition. */
export interface StoppedMessage extends Place {
  readonly offset: string
  /** Why it did not open, or could not be parked: `ERR_SEALBUS_TOO_LARGE`. */
  readonly error: SealbusError
}

export type Settlement = 'passed' | 'halted' | 'ended'

/** The one place that settles a message that did not open. */
export interface Settler {
  /** `passed`: parked or skipped, so the place may move past it. `halted`: the partition does not go on. `ended`: nothing is settled. */
  settle(place: Place, record: DeliveredRecord, error: unknown, turn: Turn): Promise<Settlement>
  /** The key source has not answered yet: the partition waits for it, and the others go on. */
  wait(place: Place, record: DeliveredRecord, until: Promise<unknown>): void
}

export interface SettlerOptions {
  readonly holds: Holds
  readonly dispositions: DispositionOptions
  readonly parking: Parking | undefined
  readonly onStopped: ((message: StoppedMessage) => void) | undefined
}

/** Pauses between attempts to park, in milliseconds. */
const PARK_BACKOFF = { first: 200, longest: 5_000 }
/** Longer than any time-out of a key source or a parking place: its answer ends the wait. */
const LONGEST_WAIT_MS = 10_000

export function createSettler({ holds, dispositions: options, parking, onStopped }: SettlerOptions): Settler {
  const dispositions = createDispositions(options, parking !== undefined)

  const decide = ({ topic }: Place, error: SealbusError, attempt: Attempt): Decision => {
    const decision = dispositions.decide(error, attempt)
    // A consumer that also reads its parking place would park there what it parked, for ever.
    return decision.disposition === 'park' && topic === parking?.topic ? { disposition: 'stop' } : decision
  }

  const stop = ({ topic, partition }: Place, offset: string, error: SealbusError): 'halted' => {
    holds.stop({ topic, partition }, offset, error.code)
    // Some errors stop although there is a parking place. Nobody listens then, perhaps; it is said aloud all the same.
    if (onStopped) callOut(() => onStopped({ topic, partition, offset, error }))
    else process.emitWarning(`message ${offset} stopped partition ${partition} of topic ${JSON.stringify(topic)}: ${error.message}`, { type: 'SealbusWarning', code: error.code })
    return 'halted'
  }

  /** Not lost and not skipped: a message waits for its parking place as it would for a key. */
  const park = async (place: Place, record: DeliveredRecord, error: SealbusError, attempt: Attempt, turn: Turn): Promise<Settlement> => {
    if (!parking) return stop(place, record.offset, error)
    const { code } = error
    const copy = parking.park(place, record, code)
    const parked = await within(PATIENCE_MS, copy).catch(toFailure)
    if (turn.ended()) return 'ended'
    if (parked === LATE) holds.hold(place, record.offset, { code, waitingFor: 'parking place', retryInMs: LONGEST_WAIT_MS, until: copy })
    else if (parked === 'failed') holds.hold(place, record.offset, { code, waitingFor: 'parking place', retryInMs: backOff(attempt) })
    else if (parked === 'too large') return stop(place, record.offset, new SealbusError('ERR_SEALBUS_TOO_LARGE', `a message that did not open (${code}) is too large for the topic that it was to be parked in`))
    else return 'passed'
    return 'halted'
  }

  return {
    async settle(place, record, thrown, turn): Promise<Settlement> {
      const { offset } = record
      const error = toSealbusError(thrown)
      const attempt = holds.attempt(place, offset)
      const decision = decide(place, error, attempt)
      switch (decision.disposition) {
        case 'hold':
          holds.hold(place, offset, { code: error.code, waitingFor: 'key', retryInMs: decision.retryInMs })
          return 'halted'
        case 'stop':
          return stop(place, offset, error)
        case 'park': {
          const settlement = await park(place, record, error, attempt, turn)
          if (settlement !== 'passed') return settlement
          break
        }
        case 'skip':
      }
      holds.settled(place, offset)
      return 'passed'
    },
    wait(place, { offset }, until): void {
      const error = new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'the key source has not answered yet')
      // A source that never answers counts as one that fails: there may be an end to waiting for it.
      if (dispositions.decide(error, holds.attempt(place, offset)).disposition === 'stop') stop(place, offset, error)
      else holds.hold(place, offset, { code: error.code, waitingFor: 'key', retryInMs: LONGEST_WAIT_MS, until })
    },
  }
}

const backOff = ({ attempts }: Attempt): number => Math.min(PARK_BACKOFF.longest, PARK_BACKOFF.first * 2 ** Math.min(attempts, 20))
const toFailure = (error: unknown): 'too large' | 'failed' => (isTooLarge(error) ? 'too large' : 'failed')

/** Nothing else may reach kafkajs: a TypeError would end the consumer for good. */
function toSealbusError(error: unknown): SealbusError {
  return isSealbusError(error) ? error : new SealbusError('ERR_SEALBUS_MALFORMED', 'the message could not be opened')
}
