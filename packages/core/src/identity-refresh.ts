import { abortable } from './abortable.ts'
import { ageMs, type Clock, instant, type Instant } from './clock.ts'
import { SealbusError } from './errors.ts'
import type { IdentityStore } from './identity.ts'
import { LIMITS } from './limits.ts'

/** Reads a store again for a key that is not in it: at most once per 30 s, whoever asks. What is there stays in force. */
export interface IdentityRefresh {
  /** Whether it failed the last time. */
  readonly failing: boolean
  /** Does nothing where it is not due. @throws ERR_SEALBUS_KEY_UNAVAILABLE when the signal aborts, and never for a failure */
  run(signal?: AbortSignal): Promise<void>
}

/** By store, because several openers over one must not ask its source for each of them. */
const known = new WeakMap<IdentityStore, IdentityRefresh>()

export function identityRefresh(identities: IdentityStore, clock: Clock): IdentityRefresh {
  const shared = known.get(identities)
  if (shared) return shared
  let done: Instant | undefined
  let running: Promise<void> | undefined
  let failing = false

  /** Async, so that a source that throws at once, or gives no promise, is like any other. */
  const readAgain = async (): Promise<void> => identities.refresh?.()

  const refresh: IdentityRefresh = {
    get failing() {
      return failing
    },
    async run(signal): Promise<void> {
      if (!identities.refresh || (!running && done && ageMs(clock, done) < LIMITS.identityRefreshMs)) return
      running ??= abortable(readAgain(), AbortSignal.timeout(LIMITS.identityRefreshTimeoutMs), identitiesUnavailable).then(
        () => void (failing = false),
        // The source's error may hold anything: only the fact is kept.
        () => void (failing = true),
      ).finally(() => {
        done = instant(clock)
        running = undefined
      })
      await (signal ? abortable(running, signal, identitiesUnavailable) : running)
    },
  }
  known.set(identities, refresh)
  return refresh
}

export const identitiesUnavailable = (): SealbusError => new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'the identities cannot be read now')
