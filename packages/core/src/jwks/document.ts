import { isJsonObject, type JsonObject } from '../json.ts'
import { type Admission, type KeySet, parseObject, readSet } from './parse.ts'
import { verifiedPayload } from './signature.ts'
import type { Source } from './source.ts'

/** The sets that a source holds, by recipient's name, as its bytes and our trust in it have them. */
export interface KeyDocument {
  readonly sets: ReadonlyMap<string, KeySet>
  /** A signed document's own `iat`, in epoch milliseconds: an older one than the last is refused. */
  readonly issuedAt: number | undefined
}

/** Bytes to checked sets; a string says in words why there are none. `name` is the recipient's, for a source of one. */
export async function readDocument(name: string, source: Source, bytes: Buffer, now: number): Promise<KeyDocument | string> {
  const payload = source.signedBy ? await verifiedPayload(bytes, source.signedBy) : bytes
  if (!payload) return 'it is not signed by one of `signedBy`'
  const json = parseObject(payload)
  if (typeof json === 'string') return json
  const claims = source.signedBy ? claimsOf(json, name, source, now) : {}
  if (typeof claims === 'string') return claims
  const sets = source.registry ? registrySets(source, json) : single(name, readSet(json, admission(name, source)))
  if (typeof sets === 'string') return sets
  return { sets: new Map(sets.map(([each, set]) => [each, until(set, claims.notAfter)])), issuedAt: claims.issuedAt }
}

const single = (name: string, set: KeySet | string): [string, KeySet][] | string => (typeof set === 'string' ? set : [[name, set]])

/** What a signed document says of itself. */
interface Claims {
  readonly issuedAt?: number
  readonly notAfter?: number
}

function claimsOf({ iat, exp, sub }: JsonObject, name: string, source: Source, now: number): Claims | string {
  for (const time of [iat, exp]) if (time !== undefined && (typeof time !== 'number' || time < 0)) return 'its iat or exp is not a time in seconds'
  // Whoever controls one recipient's endpoint must not answer with another's signed set.
  if (!source.registry && sub !== undefined && sub !== name) return 'it is signed for another recipient'
  if (typeof exp === 'number' && exp * 1_000 <= now) return 'its signature has expired'
  return { ...(typeof iat === 'number' && { issuedAt: iat * 1_000 }), ...(typeof exp === 'number' && { notAfter: exp * 1_000 }) }
}

/** Why a sound key is refused all the same: it is not pinned, or breaks a rule of the source. */
function admission(name: string, { pins, requireThumbprintKids }: Source): Admission {
  const pinned = pins.get(name)
  return ({ kid, thumbprint }) => {
    if (pinned?.has(thumbprint) === false) return 'it is not pinned'
    return requireThumbprintKids && kid !== thumbprint ? 'its kid is not its thumbprint' : undefined
  }
}

/** One bad set never spoils the registry: its recipient has no key then. */
function registrySets(source: Source, { recipients }: JsonObject): [string, KeySet][] | string {
  if (!isJsonObject(recipients)) return 'it has no `recipients` object'
  return Object.entries(recipients).map(([name, entry]) => {
    const set = isJsonObject(entry) ? readSet(entry, admission(name, source)) : 'it is not an object'
    return [name, typeof set === 'string' ? { keys: [], rejected: [{ index: 0, reason: `its set is none: ${set}` }] } : set]
  })
}

/** No key lasts longer than the signature. */
function until({ keys, rejected }: KeySet, notAfter: number | undefined): KeySet {
  return { rejected, keys: notAfter === undefined ? keys : keys.map((key) => ({ ...key, notAfter: Math.min(key.notAfter ?? Infinity, notAfter) })) }
}
