import { type ContentEncryptionRow, curve, encryptedKeySize } from './algorithms.ts'
import { decodeBase64url } from './base64url.ts'
import type { Clock } from './clock.ts'
import { unwrapDigest } from './content-key-cache.ts'
import { type Entry, type Envelope, headerParameter } from './envelope.ts'
import { SealbusError } from './errors.ts'
import type { Identity, IdentityStore, Tombstone, UnwrapRequest } from './identity.ts'
import { identitiesUnavailable, identityRefresh } from './identity-refresh.ts'
import type { Json } from './json.ts'
import { LIMITS } from './limits.ts'
import { malformed, refused } from './malformed.ts'
import { readEphemeralKey } from './wrap.ts'

/** An entry of ours, checked against its identity, ready to unwrap. */
export interface Candidate {
  readonly identity: Identity
  readonly request: UnwrapRequest
  readonly digest: string
  /** Bytes that the content key must have. */
  readonly contentKeySize: number
}

/** Finds our entries in an envelope. Entries of others are not looked at beyond their form. */
export interface EntryFinder {
  /** @throws ERR_SEALBUS_NOT_A_RECIPIENT, ERR_SEALBUS_KEY_MISSING, ERR_SEALBUS_KEY_DESTROYED, ERR_SEALBUS_KEY_REVOKED, ERR_SEALBUS_KEY_UNAVAILABLE, ERR_SEALBUS_REFUSED, ERR_SEALBUS_MALFORMED */
  find(envelope: Envelope): readonly Candidate[]
  /**
   * The same, after the identities were read again for a key that is not here (at most once per 30 s).
   * @throws ERR_SEALBUS_KEY_UNAVAILABLE also when the signal aborts meanwhile
   */
  findAfterRefresh(envelope: Envelope, signal?: AbortSignal): Promise<readonly Candidate[]>
}

/** @param permitted key management algorithms: the table's, or fewer */
export function createEntryFinder(name: string, identities: IdentityStore, permitted: ReadonlySet<unknown>, clock: Clock): EntryFinder {
  const refresh = identityRefresh(identities, clock)

  /** What was found for entries that come again, with every message of a content key: see `KnownForm`. */
  const known = new WeakMap<readonly Entry[], { identities: readonly (Identity | Tombstone | undefined)[]; candidates: readonly Candidate[] }>()
  const named = ({ kid }: Entry): Identity | Tombstone | undefined => {
    try {
      return kid === undefined ? undefined : identities.find(kid)
    } catch {
      // The store may be the application's own, and what it throws may hold anything.
      throw identitiesUnavailable()
    }
  }

  const list = (): readonly Identity[] => {
    try {
      return identities.list()
    } catch {
      throw identitiesUnavailable()
    }
  }

  const find = (envelope: Envelope): readonly Candidate[] => {
    const { entries } = envelope
    const before = known.get(entries)
    // State first: every kid must still be answered by the very same object, and none of ours be revoked.
    if (before && entries.every((entry, index) => named(entry) === before.identities[index]) && before.candidates.every(({ identity }) => identity.state !== 'revoked')) return before.candidates
    const candidates = check(envelope)
    if (entries.every(({ kid }) => kid !== undefined)) known.set(entries, { candidates, identities: entries.map(named) })
    return candidates
  }

  const check = (envelope: Envelope): readonly Candidate[] => {
    const candidates: Candidate[] = []
    let reason: SealbusError | undefined
    for (const { entry, identity } of ours(envelope)) {
      if (candidates.length === LIMITS.triedEntries) break
      if ('destroyed' in identity) {
        reason ??= new SealbusError('ERR_SEALBUS_KEY_DESTROYED', `the key ${quote(identity.kid)} that this message was sealed for was destroyed at ${identity.destroyed.at.toISOString()}`)
      } else if (identity.state === 'revoked') {
        reason ??= new SealbusError('ERR_SEALBUS_KEY_REVOKED', `the key ${quote(identity.kid)} that this message was sealed for is revoked`)
      } else {
        const request = unwrapRequest(envelope.enc, entry, identity, permitted)
        if (request instanceof SealbusError) reason ??= request
        else candidates.push({ identity, request, digest: `${identity.thumbprint} ${unwrapDigest(request)}`, contentKeySize: envelope.enc.keySize })
      }
    }
    if (candidates.length > 0) return candidates
    throw reason ?? noEntry(envelope)
  }

  function* ours({ entries }: Envelope): Generator<{ entry: Entry; identity: Identity | Tombstone }> {
    for (const entry of entries) {
      if (entry.kid !== undefined) {
        const identity = named(entry)
        if (identity) yield { entry, identity }
      } else if (entries.length === 1) {
        const fitting = list().filter((identity) => identity.state !== 'revoked' && fits(entry, identity))
        // Without a kid there is no trial and error: one identity fits, or none is meant.
        const [identity] = fitting
        if (identity && fitting.length === 1) yield { entry, identity }
      }
    }
  }

  /** `to` is not authenticated yet, so it only chooses between two kinds of failure. */
  const noEntry = ({ native }: Envelope): SealbusError =>
    native?.context.to.includes(name)
      ? new SealbusError('ERR_SEALBUS_KEY_MISSING', `the message names ${quote(name)} as a recipient, but the key it was sealed for is not among the identities`)
      : new SealbusError('ERR_SEALBUS_NOT_A_RECIPIENT', `the message is not sealed for ${quote(name)}`)

  return {
    find,
    async findAfterRefresh(envelope, signal): Promise<readonly Candidate[]> {
      try {
        return find(envelope)
      } catch (error) {
        if (!(error instanceof SealbusError) || !UNKNOWN_KEY.has(error.code)) throw error
      }
      await refresh.run(signal)
      try {
        return find(envelope)
      } catch (error) {
        // A source that cannot be read is an outage: the key may well be in there.
        if (refresh.failing && error instanceof SealbusError && error.code === 'ERR_SEALBUS_KEY_MISSING') {
          throw identitiesUnavailable()
        }
        throw error
      }
    },
  }
}

const UNKNOWN_KEY: ReadonlySet<string> = new Set(['ERR_SEALBUS_KEY_MISSING', 'ERR_SEALBUS_NOT_A_RECIPIENT'])

/** Whether an entry without kid could be for this identity. */
function fits(entry: Entry, identity: Identity): boolean {
  return headerParameter(entry, 'alg') === identity.alg && (identity.alg === 'RSA-OAEP-256' || !(ephemeralKey(entry, identity) instanceof SealbusError))
}

/** Checks an entry against the identity it names: algorithm, curve, lengths. All of it before any private-key work. */
function unwrapRequest(enc: ContentEncryptionRow, entry: Entry, identity: Identity, permitted: ReadonlySet<unknown>): UnwrapRequest | SealbusError {
  const alg = headerParameter(entry, 'alg')
  if (!permitted.has(alg)) return refused('its `alg` is not permitted')
  if (alg !== identity.alg) return refused(`its \`alg\` is not the one that the key ${quote(identity.kid)} is for`)
  if (entry.encryptedKey.length !== encryptedKeySize(identity.alg, enc, modulusBits(identity))) return malformed('`encrypted_key` has another length than its `alg` and `enc` give')
  const common = { kid: identity.kid, alg: identity.alg, enc: enc.enc, encryptedKey: entry.encryptedKey }
  if (alg === 'RSA-OAEP-256') return common
  const epk = ephemeralKey(entry, identity)
  if (epk instanceof SealbusError) return epk
  const apu = partyInfo(headerParameter(entry, 'apu'))
  const apv = partyInfo(headerParameter(entry, 'apv'))
  if (apu === null || apv === null) return malformed('`apu` or `apv`')
  return { ...common, epk, ...(apu && { apu }), ...(apv && { apv }) }
}

function ephemeralKey(entry: Entry, { publicJwk }: Identity): NonNullable<UnwrapRequest['epk']> | SealbusError {
  const row = curve(publicJwk.kty, publicJwk.crv)
  const epk = row && readEphemeralKey(headerParameter(entry, 'epk'), row)
  return epk ?? malformed("`epk` is not a public key on the identity's curve")
}

function modulusBits({ publicJwk }: Identity): number {
  const modulus = publicJwk.n === undefined ? undefined : decodeBase64url(publicJwk.n)
  return (modulus?.length ?? 0) * 8
}

function partyInfo(value: Json | undefined): Buffer | undefined | null {
  if (value === undefined) return undefined
  const bytes = typeof value === 'string' ? decodeBase64url(value) : undefined
  return bytes && bytes.length <= LIMITS.partyInfoBytes ? bytes : null
}

const quote = (name: string): string => JSON.stringify(name.slice(0, 80))
