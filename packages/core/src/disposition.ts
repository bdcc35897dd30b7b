import { checkNames, one, within } from './bounds.ts'
import { SealbusError, type SealbusErrorCode } from './errors.ts'
import { LIMITS } from './limits.ts'

/**
 * What happens to a message that does not open.
 * `park`: kept byte for byte in a parking place, with a reason. `skip`: left behind, by choice.
 * `hold`: wait for keys without losing the place. `stop`: stop loudly, and commit nothing past it.
 */
export type Disposition = 'park' | 'skip' | 'hold' | 'stop'

/** Choices where the design allows one. Everything has a safe default. */
export interface DispositionOptions {
  /** Key source or KMS unavailable: held for as long as it takes, or until `stopAfterMs` (1 to 604,800,000, a week). Default: no end. */
  readonly unavailable?: { readonly stopAfterMs: number }
  /** Named in `to`, but no such key here, once the hold has ended. Default: park where there is a parking place, else stop. */
  readonly keyMissing?: 'park' | 'stop'
  /** How long a missing key is waited for, in milliseconds, per message and as a budget in any 30 min. Default 300,000 (5 min); 0 to 1,800,000. */
  readonly keyMissingHoldMs?: number
  /** Sealed for a key of ours that was destroyed. Default: park where there is a parking place, else stop. */
  readonly keyDestroyed?: 'park' | 'skip'
  /** Not sealed for us by name. Default: park where there is a parking place, else stop. */
  readonly notARecipient?: 'park' | 'skip' | 'stop'
  /** Malformed, refused, failed, unknown version, wrong channel. Default: park where there is a parking place, else stop. */
  readonly failed?: 'park' | 'stop'
  /** First and longest pause between attempts of a hold, in milliseconds; the first is not longer than the longest. Default 100 and 5,000; 1 to 60,000. */
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

const { budgetWindowMs: HOLD_BUDGET_WINDOW_MS, missingKeyMs: MISSING_KEY, backoffMs: BACKOFF, unavailableMs: UNAVAILABLE } = LIMITS.hold

/** @throws ERR_SEALBUS_INVALID_OPTION for a name or a value that is none: what it falls back to might be weaker than what was meant */
export function createDispositions(
  options: DispositionOptions,
  parking: boolean,
  now: () => number = Date.now,
): Dispositions {
  checkChoices(options, parking)
  const fallback = parking ? 'park' : 'stop'
  const holdMs = one('keyMissingHoldMs', MISSING_KEY, options.keyMissingHoldMs)
  const stopAfterMs = options.unavailable && within('unavailable', { stopAfterMs: UNAVAILABLE }, options.unavailable).stopAfterMs
  const { first, longest } = within('holdBackoffMs', BACKOFF, options.holdBackoffMs)
  if (first > longest) throw invalid('`holdBackoffMs.first` is not longer than `longest`')
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
        case 'ERR_SEALBUS_KEYS_NOT_READY':
        case 'ERR_SEALBUS_DIRECTORY_UNAVAILABLE':
          return stopAfterMs !== undefined && now() - attempt.heldSinceMs >= stopAfterMs ? { disposition: 'stop' } : hold(attempt)
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

const CHOICES = {
  keyMissing: ['park', 'stop'],
  keyDestroyed: ['park', 'skip'],
  notARecipient: ['park', 'skip', 'stop'],
  failed: ['park', 'stop'],
} as const
const NAMES = { ...CHOICES, unavailable: true, keyMissingHoldMs: true, holdBackoffMs: true } satisfies Record<keyof DispositionOptions, unknown>

function checkChoices(options: DispositionOptions, parking: boolean): void {
  checkNames('`dispositions`', NAMES, options)
  for (const name of Object.keys(CHOICES) as (keyof typeof CHOICES)[]) {
    const value = options[name]
    if (value === undefined) continue
    const allowed: readonly Disposition[] = CHOICES[name]
    if (!allowed.includes(value)) throw invalid(`\`${name}\` is one of ${allowed.join(', ')}`)
    if (value === 'park' && !parking) throw invalid(`\`${name}\` is 'park', but no parking place is given`)
  }
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', `dispositions: ${reason}`)

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
