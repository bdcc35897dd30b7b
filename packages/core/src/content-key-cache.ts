import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { ageMs, type Clock, instant, type Instant } from './clock.ts'
import { keyCommitment } from './content.ts'
import type { Identity, UnwrapRequest } from './identity.ts'
import { LIMITS } from './limits.ts'
import { lengthPrefixed } from './wrap.ts'

/** An unwrapped content key, with its commitment computed once. */
export interface ContentKey {
  readonly key: KeyObject
  readonly commitment: Buffer
}

export function contentKey(raw: Buffer, enc: string): ContentKey {
  const key = createSecretKey(raw)
  return { key, commitment: keyCommitment(key, enc) }
}

/** The opener's content keys. It answers only for the very identity object that unwrapped, so it dies with a change of state. */
export interface ContentKeyCache {
  get(digest: string, identity: Identity): ContentKey | undefined
  /** To be called only after a tag verified: garbage must not fill the cache. */
  add(digest: string, identity: Identity, key: ContentKey): void
  hasFailed(digest: string): boolean
  /** Remembers a wrapped key that does not unwrap, so that the same garbage does not cost a KMS call each. */
  addFailed(digest: string): void
  clear(): void
}

/** How many content keys an opener keeps, and for how long. */
export interface ContentKeyCacheBounds {
  /** Content keys; the one least used goes first. Default 1,000; 1 to 1,000,000. */
  readonly entries: number
  /** Milliseconds since it was unwrapped, however much it is used. Default and most 600,000; from 1,000. */
  readonly ageMs: number
}

export function createContentKeyCache(bounds: ContentKeyCacheBounds, clock: Clock): ContentKeyCache {
  const keys = new LRUCache<string, { key: ContentKey; identity: Identity; since: Instant }>({ max: bounds.entries })
  const failed = new LRUCache<string, Instant>({ max: LIMITS.failedUnwraps })
  return {
    get(digest, identity): ContentKey | undefined {
      const entry = keys.get(digest)
      if (!entry) return undefined
      if (entry.identity === identity && ageMs(clock, entry.since) < bounds.ageMs) return entry.key
      keys.delete(digest)
      return undefined
    },
    add(digest, identity, key): void {
      // Absolute age: an entry that is in use must not live for ever.
      if (keys.peek(digest)?.identity !== identity) keys.set(digest, { key, identity, since: instant(clock) })
    },
    hasFailed(digest): boolean {
      const since = failed.get(digest)
      return since !== undefined && ageMs(clock, since) < LIMITS.failedUnwrapMs
    },
    addFailed(digest): void {
      failed.set(digest, instant(clock))
    },
    clear(): void {
      keys.clear()
      failed.clear()
    },
  }
}

/** Names a wrapped key by everything that enters its unwrapping, decoded and length-prefixed. */
export function unwrapDigest(request: UnwrapRequest): string {
  const { alg, enc, epk, apu, apv, encryptedKey } = request
  const digest = createHash('sha256')
  for (const part of [alg, enc, epk?.kty ?? '', epk?.crv ?? '']) digest.update(lengthPrefixed(Buffer.from(part)))
  for (const part of [epk?.x, epk?.y]) digest.update(lengthPrefixed(Buffer.from(part ?? '', 'base64url')))
  for (const part of [apu, apv, encryptedKey]) digest.update(lengthPrefixed(part ?? Buffer.alloc(0)))
  return digest.digest('base64url')
}
