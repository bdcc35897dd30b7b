import { createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { JWK } from 'jose'
import { contentEncryption, DEFAULT_ENC } from './algorithms.ts'
import { SealbusError } from './errors.ts'
import type { Identity, IdentityState, IdentityStore, Tombstone } from './identity.ts'
import { parseJson } from './json.ts'
import { checkPublicKey, PRIVATE_MEMBERS } from './jwks/public-key.ts'
import { thumbprint } from './jwks/thumbprint.ts'
import { unwrapLocal, wrapKey } from './wrap.ts'

/** Where a private JWK Set is: a file's path, the set itself, or the name of an environment variable that holds it. */
export type IdentitySource = string | { readonly keys: readonly JWK[] } | { readonly env: string }

/**
 * Loads a service's private keys from a JWK Set. Besides the JWK's own members an entry may have a `state` (`pending`,
 * `active`, `retiring`, `archived`, `revoked`; default `active`); a destroyed key is
 * `{ kid, state: 'destroyed', destroyed_at, reason? }`. Each key wraps and unwraps once at load.
 *
 * @throws ERR_SEALBUS_INVALID_KEY, ERR_SEALBUS_KEY_UNAVAILABLE when the file or variable cannot be read
 */
export async function loadIdentities(source: IdentitySource): Promise<IdentityStore> {
  let index = indexOf(await read(source))
  return {
    find: (kid) => index.byName.get(kid),
    list: () => index.identities,
    async refresh(): Promise<void> {
      const next = indexOf(await read(source))
      index = reusing(index, next)
    },
  }
}

interface Index {
  readonly identities: readonly Identity[]
  readonly byName: ReadonlyMap<string, Identity | Tombstone>
}

async function read(source: IdentitySource): Promise<readonly unknown[]> {
  const document = typeof source === 'object' && 'keys' in source ? source : parseJson(await readText(source))
  const keys: unknown = typeof document === 'object' && document !== null ? Reflect.get(document, 'keys') : undefined
  if (!Array.isArray(keys)) throw invalid('it is no JWK Set: there is no `keys` array')
  return keys
}

async function readText(source: string | { readonly env: string }): Promise<string> {
  if (typeof source === 'object') {
    const text = process.env[source.env]
    if (text === undefined) throw new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', `the environment variable ${shown(source.env, VARIABLE_NAME)} is not set`)
    return text
  }
  try {
    return await readFile(source, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', `the identities cannot be read from ${shown(source, FILE_NAME)} (${code})`)
  }
}

/** A caller may pass the keys themselves where a path or a variable's name belongs: only what cannot be keys is quoted. */
const FILE_NAME = /^[^{}"\r\n]+\.(json|jwks|jwk)$/i
const VARIABLE_NAME = /^[A-Z][A-Z0-9_]*$/

function shown(name: string, shape: RegExp): string {
  return shape.test(name) ? name : '(not shown, because it may hold keys)'
}

function indexOf(entries: readonly unknown[]): Index {
  const identities: Identity[] = []
  const byName = new Map<string, Identity | Tombstone>()
  const add = (name: string, each: Identity | Tombstone): void => {
    if (byName.has(name) && byName.get(name) !== each) throw invalid(`two keys have the kid or thumbprint ${JSON.stringify(name)}`)
    byName.set(name, each)
  }
  for (const [position, entry] of entries.entries()) {
    const each = toIdentity(entry, position)
    add(each.kid, each)
    if ('destroyed' in each) continue
    add(each.thumbprint, each)
    identities.push(each)
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
  const jwk = entry as JWK & { state?: unknown; destroyed_at?: unknown; reason?: unknown }
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

function toTombstone({ kid, destroyed_at: at, reason }: { kid?: string; destroyed_at?: unknown; reason?: unknown }, name: string): Tombstone {
  const date = typeof at === 'string' ? new Date(at) : undefined
  if (kid === undefined || !date || Number.isNaN(date.getTime())) throw invalid(`${name} is destroyed, and needs a kid and a \`destroyed_at\` time`)
  return Object.freeze({ kid, destroyed: { at: date, ...(typeof reason === 'string' && { reason }) } })
}

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
function reusing(current: Index, next: Index): Index {
  const kept = (each: Identity | Tombstone): Identity | Tombstone => {
    const known = current.byName.get(each.kid)
    const same = known && 'thumbprint' in known && 'thumbprint' in each && known.thumbprint === each.thumbprint && known.kid === each.kid && known.state === each.state
    return same ? known : each
  }
  return {
    identities: next.identities.map((each) => kept(each)).filter((each) => 'unwrap' in each),
    byName: new Map([...next.byName].map(([name, each]) => [name, kept(each)])),
  }
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_KEY', `identities: ${reason}`)
