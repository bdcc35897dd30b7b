import { abortable } from './abortable.ts'
import { type ContentKey, contentKey } from './content-key-cache.ts'
import type { Candidate } from './entry.ts'
import { SealbusError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { isPublicKey } from './wrap.ts'

/**
 * Asks identities to unwrap: at once where they can, else with one call in flight per wrapped key, and a time-out.
 * Null: the wrapped key is not this identity's, or is broken.
 */
export interface Unwrapping {
  /** @throws ERR_SEALBUS_KEYS_NOT_READY when the identity answers later */
  now(candidate: Candidate): ContentKey | null
  /** Rejects with ERR_SEALBUS_KEY_UNAVAILABLE when the identity's source fails or takes too long: never as a failed decryption. */
  later(candidate: Candidate, signal: AbortSignal | undefined): Promise<ContentKey | null>
}

export function createUnwrapping(): Unwrapping {
  const inFlight = new Map<string, Promise<ContentKey | null>>()

  const ask = (candidate: Candidate, signal: AbortSignal): Buffer | null | Promise<Buffer | null> => {
    const { epk } = candidate.request
    if (epk && !isPublicKey(epk)) return null
    try {
      return candidate.identity.unwrap({ ...candidate.request, signal })
    } catch {
      throw unavailable(candidate)
    }
  }

  /** Shares one answer among all who wait for the same wrapped key. */
  const share = (candidate: Candidate, pending: Promise<Buffer | null>, timeout: AbortSignal): Promise<ContentKey | null> => {
    const answer = (async (): Promise<ContentKey | null> => {
      try {
        return toContentKey(candidate, await abortable(pending, timeout, ended))
      } catch {
        // Whatever a KMS client throws may quote keys or tokens: only the fact is passed on.
        throw unavailable(candidate)
      }
    })().finally(() => inFlight.delete(candidate.digest))
    inFlight.set(candidate.digest, answer)
    return answer
  }

  /** A key at once from a local identity; a promise from any other, or from the call that is under way. */
  const start = (candidate: Candidate): ContentKey | null | Promise<ContentKey | null> => {
    const running = inFlight.get(candidate.digest)
    if (running) return running
    const timeout = AbortSignal.timeout(LIMITS.unwrapTimeoutMs)
    const answer = ask(candidate, timeout)
    return answer instanceof Promise ? share(candidate, answer, timeout) : toContentKey(candidate, answer)
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

/** A content key of the wrong length is a failed unwrap: the entry's length was right, so it was wrapped wrong. */
function toContentKey({ contentKeySize, request }: Candidate, raw: Buffer | null): ContentKey | null {
  if (raw === null) return null
  const key = raw.length === contentKeySize ? contentKey(raw, request.enc) : null
  raw.fill(0)
  return key
}

const ended = (): SealbusError => new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'waiting for a key was ended')

const unavailable = ({ identity }: Candidate): SealbusError =>
  new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', `the source of the key ${JSON.stringify(identity.kid)} cannot answer now`)
