import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { ContentEncryptionRow } from './algorithms.ts'
import { ageMs, type Clock, instant, type Instant } from './clock.ts'
import { keyCommitment } from './content.ts'
import { type EnvelopeForm, envelopeForm, type Serialization } from './envelope.ts'
import { SealbusError } from './errors.ts'
import type { RecipientKey } from './recipient.ts'
import { traced, TRACES } from './tracing.ts'
import { wrapKey, type WrappedKey } from './wrap.ts'

/** How much one content key may be used for. Whichever bound is reached first begins the next one, without waiting. */
export interface SessionBounds {
  /** Messages. Default 1,024; 1 to 1,048,576. */
  readonly messages: number
  /** Milliseconds since it was drawn. Default 60,000; 1 to 3,600,000. */
  readonly ageMs: number
  /** Bytes of plaintext, after compression. Default 268,435,456; 1 to 68,719,476,736. A larger message has a content key to itself. */
  readonly bytes: number
  /** Sessions at a time: one for each channel and set of recipients. The one least used ends first. Default 1,000; 1 to 1,000,000. */
  readonly live: number
}

/** One content key, wrapped once for a set of recipient keys, to be used within bounds. */
export interface ContentKeySession {
  readonly key: KeyObject
  readonly form: EnvelopeForm
}

interface Live extends ContentKeySession {
  readonly since: Instant
  messages: number
  bytes: number
}

export interface ContentKeySessions {
  /**
   * The session to seal `bytes` bytes with, its counters already moved. A key set that differs, or a bound that is
   * reached, starts the next session; that one is built completely before it takes the place of the last.
   */
  claim(channel: string, keys: readonly RecipientKey[], bytes: number): ContentKeySession
  reset(): void
}

export interface ContentKeyOptions {
  readonly row: ContentEncryptionRow
  readonly bounds: SessionBounds
  /** One content key per message (RFC 7516 §5.1 step 2). */
  readonly perMessage: boolean
  readonly serialization: Serialization
  readonly clock: Clock
}

/**
 * The content-key sessions of one sealer. A session belongs to one channel and one set of key thumbprints; `enc` and
 * realm are the sealer's own, so they are the same for all.
 */
export function createContentKeys({ row, bounds, perMessage, serialization, clock }: ContentKeyOptions): ContentKeySessions {
  const sessions = new LRUCache<string, Live>({ max: bounds.live })

  const build = (channel: string, keys: readonly RecipientKey[]): Live =>
    TRACES.keys.hasSubscribers ? traced(TRACES.keys, { operation: 'wrap', name: channel }, () => draw(keys)) : draw(keys)

  const draw = (keys: readonly RecipientKey[]): Live => {
    const contentKey = randomBytes(row.keySize)
    try {
      const wrapped = distinctKids(distinctKeys(keys).map((key) => wrapFor(key, contentKey)))
      const key = createSecretKey(contentKey)
      return { key, form: envelopeForm(row.enc, keyCommitment(key, row.enc), wrapped, serialization), since: instant(clock), messages: 0, bytes: 0 }
    } finally {
      contentKey.fill(0)
    }
  }

  return {
    claim(channel, keys, bytes): ContentKeySession {
      if (perMessage) return build(channel, keys)
      const scope = scopeOf(channel, keys)
      let session = sessions.get(scope)
      if (
        !session ||
        session.messages >= bounds.messages ||
        // A message larger than the bound begins a session too, and is its only one.
        session.bytes + bytes > bounds.bytes ||
        ageMs(clock, session.since) >= bounds.ageMs
      ) {
        session = build(channel, keys)
        sessions.set(scope, session)
      }
      session.messages++
      session.bytes += bytes
      return session
    },
    reset(): void {
      sessions.clear()
    },
  }
}

/**
 * Scopes by key list and channel: the sealer hands over the same list for as long as no key changes. The same string each
 * time, because hashing a new one with ten thumbprints in it costs a tenth of sealing.
 */
const scopes = new WeakMap<readonly RecipientKey[], Map<string, string>>()

function scopeOf(channel: string, keys: readonly RecipientKey[]): string {
  const known = scopes.get(keys)?.get(channel)
  if (known !== undefined) return known
  // The kid is part of the wire form, so a key that comes back under another kid is another session.
  const thumbprints = JSON.stringify(keys.map((key) => [key.thumbprint, key.kid]).toSorted((a, b) => String(a).localeCompare(String(b))))
  const scope = `${channel}\n${thumbprints}`
  scopes.set(keys, (scopes.get(keys) ?? new Map<string, string>()).set(channel, scope))
  return scope
}

/** An application's own directory may hand over any key; what OpenSSL says of it is not shown. */
function wrapFor(key: RecipientKey, contentKey: Buffer): WrappedKey {
  try {
    return wrapKey(key, contentKey)
  } catch {
    throw new SealbusError('ERR_SEALBUS_NO_USABLE_KEY', `no content key can be wrapped for the key ${JSON.stringify(key.kid)}: it is not a sound key for ${key.alg}`)
  }
}

/** Two names with one key are one entry. Where they know it by different kids, its thumbprint is what both find it by. */
function distinctKeys(keys: readonly RecipientKey[]): readonly RecipientKey[] {
  const distinct = new Map<string, RecipientKey>()
  for (const key of keys) {
    const { thumbprint, alg, publicKey } = key
    const kid = distinct.get(thumbprint)?.kid ?? key.kid
    distinct.set(thumbprint, kid === key.kid ? key : { kid: thumbprint, thumbprint, alg, publicKey })
  }
  return [...distinct.values()]
}

/** Kids are unique only within one set: where two collide, the thumbprints stand in for them. */
function distinctKids(wrapped: readonly WrappedKey[]): readonly WrappedKey[] {
  const count = new Map<string, number>()
  for (const { kid } of wrapped) count.set(kid, (count.get(kid) ?? 0) + 1)
  return wrapped.map((each) => (count.get(each.kid) === 1 ? each : { ...each, kid: each.thumbprint }))
}
