import type { SealbusError } from '@sealbus/core'
import { type Attempt, callOut, createDispositions, type Decision, type DispositionOptions } from '@sealbus/core/adapter'
import type { AmqpMessage } from './client-shape.ts'
import type { DeliveryLedger } from './delivery-ledger.ts'
import type { ParkedMessage, Parking } from './parking.ts'

/** What a message at hold waits for, and how long until it is tried again. */
export interface Wait {
  readonly waitingFor: 'key' | 'parking place'
  readonly retryInMs: number
}

/** `settled`: the broker has it off the queue. `stop`: it must go back. */
export type Settlement = 'settled' | 'stop' | Wait

/** The one place that settles a message that did not open. One for each consumer: the budget for holds is the consumer's. */
export interface Settler {
  decide(error: SealbusError, attempt: Attempt): Decision
  settle(message: AmqpMessage, error: SealbusError, attempt: Attempt): Promise<Settlement>
}

export interface SettlerOptions {
  readonly queue: string
  readonly ledger: DeliveryLedger
  readonly dispositions: DispositionOptions
  readonly parking: Parking | undefined
  readonly onParked: ((parked: ParkedMessage) => void) | undefined
}

/** Pauses between attempts to park, in milliseconds. */
const PARK_BACKOFF = { first: 200, longest: 5_000 }

export function createSettler({ queue, ledger, dispositions: options, parking, onParked }: SettlerOptions): Settler {
  const dispositions = createDispositions(options, parking !== undefined)
  return {
    decide: (error, attempt) => dispositions.decide(error, attempt),
    async settle(message, error, attempt): Promise<Settlement> {
      const decision = dispositions.decide(error, attempt)
      if (decision.disposition === 'hold') return { waitingFor: 'key', retryInMs: decision.retryInMs }
      if (decision.disposition === 'stop') return 'stop'
      if (decision.disposition === 'park') {
        const parked = await parking?.park(message, queue, error.code).catch(() => undefined)
        // Not lost and not skipped: it waits for its parking place as it would for a key.
        if (!parked) return { waitingFor: 'parking place', retryInMs: Math.min(PARK_BACKOFF.longest, PARK_BACKOFF.first * 2 ** Math.min(attempt.attempts, 20)) }
        if (parking?.leaves === 'rejected') ledger.rejectWithheld(message)
        else ledger.ackWithheld(message)
        callOut(() => onParked?.(parked))
        return 'settled'
      }
      ledger.ackWithheld(message)
      return 'settled'
    },
  }
}
