import { types } from 'node:util'
import { abortable } from './abortable.ts'
import { type ContentKey, contentKey } from './content-key-cache.ts'
import type { Candidate } from './entry.ts'
import type { Clock } from './clock.ts'
import { isSealbusError, SealbusError } from './errors.ts'
import { type KeysTrace, traced, TRACES } from './tracing.ts'
import { createUnwrapPace, type UnwrapBounds } from './unwrap-pace.ts'
import { isPublicKey } from './wrap.ts'

/**
 * Asks identities to unwrap: at once where they can, else with one call in flight per wrapped key, paced, and with a time-out.
 * Null: the wrapped key is not this identity's, or is broken.
 */
export interface Unwrapping {
  /** @throws ERR_SEALBUS_KEYS_NOT_READY when the identity answers later */
  now(candidate: Candidate): ContentKey | null
  /**
   * Rejects with ERR_SEALBUS_KEY_UNAVAILABLE when the identity's source fails or takes too long, and with
   * ERR_SEALBUS_KEY_FORBIDDEN when that is what the source throws: never as a failed decryption.
   */
  later(candidate: Candidate, signal: AbortSignal | undefined): Promise<ContentKey | null>
}

export function createUnwrapping(bounds: UnwrapBounds, clock: Clock): Unwrapping {
  const inFlight = new Map<string, Promise<ContentKey | null>>()
  const pace = createUnwrapPace(bounds, clock)

  const ask = ({ identity, request }: Candidate, timeout: Timeout): Buffer | null | Promise<Buffer | null> => {
    const unwrap = (): Buffer | null | Promise<Buffer | null> =>
      identity.unwrap({
        ...request,
        get signal(): AbortSignal {
          return timeout()
        },
      })
    return TRACES.keys.hasSubscribers ? traced(TRACES.keys, { operation: 'unwrap', name: identity.kid }, unwrap, (key): Partial<KeysTrace> => ({ outcome: key ? 'done' : 'failed' })) : unwrap()
  }

  /** Shares one answer among all who wait for the same wrapped key. The place is given back when the time is over, answer or not. */
  const share = (candidate: Candidate, pending: Promise<Buffer | null>, timeout: Timeout, leave: () => void): Promise<ContentKey | null> => {
    const answer = (async (): Promise<ContentKey | null> => {
      try {
        return toContentKey(candidate, await abortable(pending, timeout(), ended))
      } catch (error) {
        throw sourceError(candidate, error)
      }
    })().finally(() => {
      inFlight.delete(candidate.digest)
      leave()
    })
    inFlight.set(candidate.digest, answer)
    return answer
  }

  /** A key at once from a local identity; a promise from any other, or from the call that is under way. */
  const start = (candidate: Candidate): ContentKey | null | Promise<ContentKey | null> => {
    const running = inFlight.get(candidate.digest)
    if (running) return running
    const { epk } = candidate.request
    if (epk && !isPublicKey(epk)) return null
    const { thumbprint } = candidate.identity
    const timeout = timeoutAfter(bounds.timeoutMs)
    if (!pace.tryEnter(thumbprint)) {
      let inside = false
      const pending = pace.enter(thumbprint, timeout()).then(() => {
        inside = true
        return ask(candidate, timeout)
      })
      return share(candidate, pending, timeout, () => inside && pace.leave(thumbprint))
    }
    let answer
    try {
      answer = ask(candidate, timeout)
    } catch (error) {
      pace.leave(thumbprint)
      throw sourceError(candidate, error)
    }
    if (isThenable(answer)) return share(candidate, Promise.resolve(answer), timeout, () => pace.leave(thumbprint))
    // A key in this process answers at once: there is nobody to spare.
    pace.leave(thumbprint, 'unused')
    return toContentKey(candidate, answer)
  }

  return {
    now(candidate): ContentKey | null {
      const answer = start(candidate)
      if (!(answer instanceof Promise)) return answer
      // open() joins this very call; its failure is reported there.
      answer.catch(() => {})
      throw new SealbusError('ERR_SEALBUS_KEYS_NOT_READY', `the key ${JSON.stringify(candidate.identity.kid)} answers later: use open()`)
    },
    async later(candidate, signal): Promise<ContentKey | null> {
      const answer = start(candidate)
      return signal && answer instanceof Promise ? abortable(answer, signal, ended) : answer
    },
  }
}

type Timeout = () => AbortSignal

/** Made when somebody wants it: a key in this process answers at once, and needs no timer. */
function timeoutAfter(ms: number): Timeout {
  let signal: AbortSignal | undefined
  return () => (signal ??= AbortSignal.timeout(ms))
}

/** Also the promises of other libraries, and of other realms. */
function isThenable(answer: Buffer | null | Promise<Buffer | null>): answer is Promise<Buffer | null> {
  return typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function'
}

/** A content key of the wrong length is a failed unwrap: the entry's length was right, so it was wrapped wrong. */
function toContentKey(candidate: Candidate, raw: Buffer | null): ContentKey | null {
  const { contentKeySize, request } = candidate
  if (raw === null) return null
  // Not a failed decryption: an identity that answers anything else does not work.
  if (!types.isUint8Array(raw)) throw sourceError(candidate, undefined)
  const key = raw.length === contentKeySize ? contentKey(raw, request.enc) : null
  raw.fill(0)
  return key
}

const ended = (): SealbusError => new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'waiting for a key was ended')

/** Whatever a KMS client throws may quote keys or tokens: only the fact is passed on, and whether it is a refusal. */
function sourceError({ identity }: Candidate, error: unknown): SealbusError {
  return isSealbusError(error) && error.code === 'ERR_SEALBUS_KEY_FORBIDDEN'
    ? new SealbusError('ERR_SEALBUS_KEY_FORBIDDEN', `the source of the key ${JSON.stringify(identity.kid)} refuses to use it: permission is missing, or the key is disabled`)
    : new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', `the source of the key ${JSON.stringify(identity.kid)} cannot answer now`)
}
