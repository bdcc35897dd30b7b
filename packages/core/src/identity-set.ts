import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
import type { JWK } from 'jose'
import { contentEncryption, DEFAULT_ENC } from './algorithms.ts'
import { SealbusError } from './errors.ts'
import type { Identity, IdentityState, Tombstone } from './identity.ts'
import { checkPublicKey, PRIVATE_MEMBERS } from './jwks/public-key.ts'
import { thumbprint } from './jwks/thumbprint.ts'
import { unwrapLocal, wrapKey } from './wrap.ts'

/** The keys of a private JWK Set, checked. */
export interface IdentitySet {
  readonly identities: readonly Identity[]
  /** By kid and by thumbprint. */
  readonly byName: ReadonlyMap<string, Identity | Tombstone>
}

/** One bad key refuses the set, so that no key is missing silently. @throws ERR_SEALBUS_INVALID_KEY, which quotes nothing of it */
export function identitySet(entries: readonly unknown[]): IdentitySet {
  const identities: Identity[] = []
  const byName = new Map<string, Identity | Tombstone>()
  const add = (name: string, each: Identity | Tombstone): void => {
    if (byName.has(name) && byName.get(name) !== each) throw invalid(`two keys have the kid or thumbprint ${JSON.stringify(name)}`)
    byName.set(name, each)
  }
  for (const [position, entry] of entries.entries()) {
    const each = toIdentity(entry, position)
    add(each.kid, each)
    if ('unwrap' in each) identities.push(each)
    if (each.thumbprint !== undefined) add(each.thumbprint, each)
  }
  return { identities, byName }
}

/** What a private key may be for (RFC 7517 §4.3); peers write the public half's operations too. */
const UNWRAPPING = new Set<unknown>(['unwrapKey', 'wrapKey', 'deriveKey', 'deriveBits', 'decrypt', 'encrypt'])

/** Why an entry is for something else: its public half would be published for encryption. */
function foreignUse({ use, key_ops: operations }: { use?: unknown; key_ops?: unknown }): string | undefined {
  if (use !== undefined && use !== 'enc') return 'its use is not enc'
  if (operations === undefined || (Array.isArray(operations) && operations.some((operation) => UNWRAPPING.has(operation)))) return undefined
  return 'its key_ops do not permit unwrapping a key'
}

const STATES = new Set<unknown>(['pending', 'active', 'retiring', 'archived', 'revoked'] satisfies IdentityState[])

function toIdentity(entry: unknown, position: number): Identity | Tombstone {
  if (typeof entry !== 'object' || entry === null) throw invalid(`key ${position} is not an object`)
  const jwk = entry as JWK & { state?: unknown; thumbprint?: unknown; destroyed_at?: unknown; reason?: unknown }
  const { kid: given, state = 'active' } = jwk
  if (given !== undefined && (typeof given !== 'string' || given === '')) throw invalid(`key ${position} has a kid that is no string`)
  const name = given === undefined ? `key ${position}` : `key ${JSON.stringify(given.slice(0, 80))}`
  if (state === 'destroyed') return toTombstone(jwk, name)
  if (!STATES.has(state)) throw invalid(`${name} has an unknown state`)
  const foreign = foreignUse(jwk)
  if (foreign !== undefined) throw invalid(`${name}: ${foreign}`)
  const privateKey = importPrivate(jwk, name)
  const checked = checkPublicKey(Object.fromEntries(Object.entries(jwk).filter(([member]) => !(PRIVATE_MEMBERS as readonly string[]).includes(member))))
  if ('reason' in checked) throw invalid(`${name}: ${checked.reason}`)
  const print = thumbprint(checked.jwk)
  const kid = given ?? print
  const identity: Identity = {
    kid,
    thumbprint: print,
    alg: checked.alg,
    publicJwk: Object.freeze({ ...checked.jwk, kid, alg: checked.alg, use: 'enc' }),
    state: state as IdentityState,
    unwrap: (request) => unwrapLocal(privateKey, request),
  }
  proveWhole(identity, checked.publicKey, name)
  return Object.freeze(identity)
}

function toTombstone({ kid, thumbprint: print, destroyed_at: at, reason }: { kid?: string; thumbprint?: unknown; destroyed_at?: unknown; reason?: unknown }, name: string): Tombstone {
  const date = typeof at === 'string' ? new Date(at) : undefined
  if (kid === undefined || !date || Number.isNaN(date.getTime())) throw invalid(`${name} is destroyed, and needs a kid and a \`destroyed_at\` time`)
  if (print !== undefined && !isThumbprint(print)) throw invalid(`${name} has a \`thumbprint\` that is none`)
  return Object.freeze({ kid, ...(print !== undefined && { thumbprint: print }), destroyed: { at: date, ...(typeof reason === 'string' && { reason }) } })
}

const isThumbprint = (value: unknown): value is string => typeof value === 'string' && /^[A-Za-z0-9_-]{43}$/.test(value)

function importPrivate(jwk: JWK, name: string): KeyObject {
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch {
    // OpenSSL's error may quote its input.
    throw invalid(`${name} is no valid private key`)
  }
}

/** Wraps for the public half and unwraps with the private one: Node accepts an EC key whose x and y do not match its d. */
function proveWhole(identity: Identity, publicKey: KeyObject, name: string): void {
  const { kid, thumbprint: print, alg } = identity
  const row = contentEncryption(DEFAULT_ENC)
  const contentKey = randomBytes(row?.keySize ?? 32)
  const { epk, encryptedKey } = wrapKey({ kid, thumbprint: print, alg, publicKey }, contentKey)
  const unwrapped = identity.unwrap({ kid, alg, enc: DEFAULT_ENC, encryptedKey, ...(epk && { epk }) })
  if (!Buffer.isBuffer(unwrapped) || !unwrapped.equals(contentKey)) throw invalid(`${name}: its private and public members do not belong together`)
}

/** Keeps the object of an identity that did not change: cached content keys go by it. */
export function reusing(current: IdentitySet, next: IdentitySet): IdentitySet {
  const kept = (each: Identity | Tombstone): Identity | Tombstone => {
    const known = current.byName.get(each.kid)
    const same = known && 'unwrap' in known && 'unwrap' in each && known.thumbprint === each.thumbprint && known.kid === each.kid && known.state === each.state
    return same ? known : each
  }
  return {
    identities: next.identities.map((each) => kept(each)).filter((each) => 'unwrap' in each),
    byName: new Map([...next.byName].map(([name, each]) => [name, kept(each)])),
  }
}

export const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_KEY', `identities: ${reason}`)
