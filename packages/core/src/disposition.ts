import { SealbusError, type SealbusErrorCode } from './errors.ts'

/**
 * What happens to a message that does not open.
 * `park`: kept byte for byte in a parking place, with a reason. `skip`: left behind, by choice.
 * `hold`: wait for keys without losing the place. `stop`: stop loudly, and commit nothing past it.
 */
export type Disposition = 'park' | 'skip' | 'hold' | 'stop'

/** Choices where the design allows one. Everything has a safe default. */
export interface DispositionOptions {
  /** Key source or KMS unavailable: held for as long as it takes, or until `stopAfterMs`. Default: no end. */
  readonly unavailable?: { readonly stopAfterMs: number }
  /** Named in `to`, but no such key here, once the hold has ended. Default: park where there is a parking place, else stop. */
  readonly keyMissing?: 'park' | 'stop'
  /** How long a missing key is waited for, in milliseconds. Default 300,000 (5 min), per message and as a budget in any 30 min. */
  readonly keyMissingHoldMs?: number
  /** Sealed for a key of ours that was destroyed. Default: park where there is a parking place, else stop. */
  readonly keyDestroyed?: 'park' | 'skip'
  /** Not sealed for us by name. Default: park where there is a parking place, else stop. */
  readonly notARecipient?: 'park' | 'skip' | 'stop'
  /** Malformed, refused, failed, unknown version, wrong channel. Default: park where there is a parking place, else stop. */
  readonly failed?: 'park' | 'stop'
  /** First and longest pause between attempts of a hold, in milliseconds. Default 100 and 5,000. */
  readonly holdBackoffMs?: { readonly first: number; readonly longest: number }
}

export type Decision =
  | { readonly disposition: 'park' | 'skip' | 'stop' }
  | { readonly disposition: 'hold'; readonly retryInMs: number }

/** One message's place in the decision: how often it was tried, and since when it is held (epoch milliseconds). */
export interface Attempt {
  readonly attempts: number
  readonly heldSinceMs: number
}

/** Decides for one consumer: the budget for holds is the consumer's, because `to` is not authenticated yet. */
export interface Dispositions {
  decide(error: SealbusError, attempt: Attempt): Decision
}

const HOLD_BUDGET_WINDOW_MS = 30 * 60_000
const DEFAULT_HOLD_MS = 5 * 60_000

export function createDispositions(
  options: DispositionOptions,
  parking: boolean,
  now: () => number = Date.now,
): Dispositions {
  checkOptions(options, parking)
  const fallback = parking ? 'park' : 'stop'
  const holdMs = options.keyMissingHoldMs ?? DEFAULT_HOLD_MS
  const { first, longest } = options.holdBackoffMs ?? { first: 100, longest: 5_000 }
  /** Time spent in holds for missing keys, as [until, length]. */
  let spent: { at: number; ms: number }[] = []

  const hold = (attempt: Attempt): Decision => {
    const exponential = Math.min(longest, first * 2 ** Math.min(attempt.attempts, 20))
    // Jitter, so that a fleet does not come back to its key source in step.
    return { disposition: 'hold', retryInMs: Math.round(exponential * (0.75 + Math.random() / 2)) }
  }

  const holdForMissingKey = (attempt: Attempt): Decision | undefined => {
    const time = now()
    spent = spent.filter((each) => time - each.at < HOLD_BUDGET_WINDOW_MS)
    const budgetLeft = holdMs - spent.reduce((sum, each) => sum + each.ms, 0)
    if (time - attempt.heldSinceMs >= holdMs || budgetLeft <= 0) return undefined
    const decision = hold(attempt)
    if (decision.disposition === 'hold') spent.push({ at: time, ms: decision.retryInMs })
    return decision
  }

  return {
    decide(error, attempt): Decision {
      const code: SealbusErrorCode = error.code
      switch (code) {
        case 'ERR_SEALBUS_KEY_UNAVAILABLE':
        case 'ERR_SEALBUS_DIRECTORY_UNAVAILABLE': {
          const end = options.unavailable?.stopAfterMs
          return end !== undefined && now() - attempt.heldSinceMs >= end ? { disposition: 'stop' } : hold(attempt)
        }
        case 'ERR_SEALBUS_KEY_MISSING':
          return holdForMissingKey(attempt) ?? { disposition: options.keyMissing ?? fallback }
        case 'ERR_SEALBUS_KEY_DESTROYED':
          return { disposition: options.keyDestroyed ?? fallback }
        case 'ERR_SEALBUS_NOT_A_RECIPIENT':
          return { disposition: options.notARecipient ?? fallback }
        // A destination that nobody declared, a closed opener or a forbidden key is a mistake of the set-up, and no fault of the message.
        case 'ERR_SEALBUS_UNDECLARED_CHANNEL':
        case 'ERR_SEALBUS_AMBIGUOUS_CHANNEL':
        case 'ERR_SEALBUS_INVALID_OPTION':
        case 'ERR_SEALBUS_CLOSED':
        case 'ERR_SEALBUS_KEY_FORBIDDEN':
          return { disposition: 'stop' }
        default:
          return { disposition: options.failed ?? fallback }
      }
    },
  }
}

function checkOptions(options: DispositionOptions, parking: boolean): void {
  const invalid = (reason: string): never => {
    throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', `dispositions: ${reason}`)
  }
  const among = (name: 'keyMissing' | 'keyDestroyed' | 'notARecipient' | 'failed', allowed: readonly Disposition[]): void => {
    const value = options[name]
    if (value === undefined) return
    if (!allowed.includes(value)) invalid(`\`${name}\` is one of ${allowed.join(', ')}`)
    if (value === 'park' && !parking) invalid(`\`${name}\` is 'park', but no parking place is given`)
  }
  among('keyMissing', ['park', 'stop'])
  among('keyDestroyed', ['park', 'skip'])
  among('notARecipient', ['park', 'skip', 'stop'])
  among('failed', ['park', 'stop'])
}

/**
 * Headers of a parked copy. They are public (the broker reads them), so they hold no text of an error:
 * all cryptographic causes are the one code ERR_SEALBUS_DECRYPT_FAILED.
 */
export const PARK_HEADERS = {
  /** Deterministic: the same message parked twice has the same id. */
  id: 'sealbus-park-id',
  code: 'sealbus-park-code',
  /** The group or queue that parked; redrive goes there, never to the origin. */
  by: 'sealbus-park-by',
  origin: 'sealbus-park-origin',
  time: 'sealbus-park-time',
} as const
