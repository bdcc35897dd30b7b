import { isUtf8 } from 'node:buffer'
import { isJsonObject, type Json, type JsonObject, parseJson } from '../json.ts'
import type { RecipientKey } from '../recipient.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import { checkPublicKey, PRIVATE_MEMBERS } from './public-key.ts'
import { thumbprint } from './thumbprint.ts'
import { isText } from '../text.ts'

/** A key of a set, with the times that selection goes by (epoch milliseconds). */
export interface SetKey extends RecipientKey {
  readonly notBefore?: number
  readonly issuedAt?: number
}

/** A key that was left out; the rest of the set stands. */
export interface RejectedKey {
  readonly index: number
  readonly kid?: string
  readonly reason: string
}

export interface KeySet {
  readonly keys: readonly SetKey[]
  readonly rejected: readonly RejectedKey[]
}

/** Bytes to a checked JWK Set (RFC 7517 §5); a string says in words why it is none. */
export function parseKeySet(bytes: Buffer): KeySet | string {
  const json = parseObject(bytes)
  return typeof json === 'string' ? json : readSet(json)
}

/** Bytes to a JSON object; a string says why they are none. */
export function parseObject(bytes: Buffer): JsonObject | string {
  if (!isUtf8(bytes)) return 'it is not UTF-8'
  const json = parseJson(bytes.toString('utf8'))
  return isJsonObject(json) ? json : 'it is not a JSON object'
}

export function readSet({ keys }: JsonObject, admission?: Admission): KeySet | string {
  return Array.isArray(keys) ? readKeys(keys as readonly Json[], admission) : 'it has no `keys` array'
}

/** Why a key that is sound is refused all the same, in words; undefined admits it. */
export type Admission = (key: SetKey) => string | undefined

/** One bad key never spoils the set (RFC 7517 §5). */
export function readKeys(entries: readonly unknown[], admission: Admission = () => undefined): KeySet | string {
  if (entries.length > DIRECTORY_LIMITS.keys) return `it has ${entries.length} keys, more than ${DIRECTORY_LIMITS.keys}`
  const keys: { index: number; key: SetKey }[] = []
  const rejected: RejectedKey[] = []
  const leaked = new Set(entries.flatMap((entry) => leakedThumbprint(entry) ?? []))
  const mixed = entries.some((entry) => typeof entry === 'object' && entry !== null && 'use' in entry && entry.use === 'sig')
  for (const [index, entry] of entries.entries()) {
    const key = readKey(entry, mixed)
    const reason = 'reason' in key ? key.reason : leaked.has(key.thumbprint) ? 'its private half is in the same set: that key is compromised' : admission(key)
    if (reason !== undefined) rejected.push({ index, ...(key.kid !== undefined && { kid: key.kid }), reason })
    else if (!('reason' in key)) keys.push({ index, key })
  }
  return distinct(keys, rejected)
}

/** `mixed`: the set holds signature keys too. */
function readKey(entry: unknown, mixed: boolean): SetKey | { reason: string; kid?: string } {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return { reason: 'it is not an object' }
  const jwk = entry as Readonly<Record<string, unknown>>
  const { kid, use, key_ops: operations } = jwk
  if (kid !== undefined && !isText(kid, DIRECTORY_LIMITS.kidLength)) return { reason: `its kid is not a text of 1 to ${DIRECTORY_LIMITS.kidLength} characters` }
  const named = kid === undefined ? {} : { kid }
  if (use !== undefined && use !== 'enc') return { reason: 'its use is not enc', ...named }
  if (operations !== undefined && !permitsWrapping(operations)) return { reason: 'its key_ops do not permit wrapping a key', ...named }
  // OpenID Connect (Discovery, `jwks_uri`): where both kinds are in one set, each says which it is.
  if (mixed && use === undefined && operations === undefined && jwk['alg'] === undefined) return { reason: 'it does not say what it is for, in a set that has signature keys', ...named }
  const times = { notBefore: milliseconds(jwk['nbf']), issuedAt: milliseconds(jwk['iat']), notAfter: milliseconds(jwk['exp']) }
  if (Object.values(times).includes(null)) return { reason: 'its nbf, iat or exp is not a time in seconds', ...named }
  const checked = checkPublicKey(jwk)
  if ('reason' in checked) return { ...checked, ...named }
  const print = thumbprint(checked.jwk)
  return {
    kid: kid ?? print,
    thumbprint: print,
    alg: checked.alg,
    publicKey: checked.publicKey,
    ...(typeof times.notBefore === 'number' && { notBefore: times.notBefore }),
    ...(typeof times.issuedAt === 'number' && { issuedAt: times.issuedAt }),
    ...(typeof times.notAfter === 'number' && { notAfter: times.notAfter }),
  }
}

/** Of a key whose private half is shown: its public half may stand in the set a second time, by itself. */
function leakedThumbprint(entry: unknown): string | undefined {
  if (typeof entry !== 'object' || entry === null || !PRIVATE_MEMBERS.some((member) => Object.hasOwn(entry, member))) return undefined
  const checked = checkPublicKey(Object.fromEntries(Object.entries(entry).filter(([member]) => !(PRIVATE_MEMBERS as readonly string[]).includes(member))))
  return 'reason' in checked ? undefined : thumbprint(checked.jwk)
}

/** Peers disagree on the spelling for public keys (RFC 7517 §4.3), so any that fits is good. */
const WRAPPING = new Set<unknown>(['wrapKey', 'unwrapKey', 'deriveKey', 'deriveBits', 'encrypt'])

function permitsWrapping(operations: unknown): boolean {
  return Array.isArray(operations) && operations.some((operation) => WRAPPING.has(operation))
}

/** Seconds to milliseconds; undefined when absent, null when it is no time. */
function milliseconds(seconds: unknown): number | null | undefined {
  if (seconds === undefined) return undefined
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : null
}

/** The same key twice is one; different keys under one kid are none: nobody could know which one is meant. */
function distinct(keys: readonly { index: number; key: SetKey }[], rejected: RejectedKey[]): KeySet {
  const byKid = new Map<string, Set<string>>()
  for (const { key } of keys) byKid.set(key.kid, (byKid.get(key.kid) ?? new Set()).add(key.thumbprint))
  const kept = new Map<string, SetKey>()
  for (const { index, key } of keys) {
    if ((byKid.get(key.kid)?.size ?? 0) > 1) rejected.push({ index, kid: key.kid, reason: 'another key of the set has the same kid' })
    else if (!kept.has(key.thumbprint)) kept.set(key.thumbprint, key)
  }
  return { keys: [...kept.values()], rejected }
}
