import type { JWK } from 'jose'
import { checkNames, one } from '../bounds.ts'
import { SealbusError } from '../errors.ts'
import { isText } from '../text.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import { type SignatureKey, signatureKey } from './signature.ts'
import { type UrlPolicy, urlProblem } from './url-policy.ts'

/** What may be asked of any source. */
export interface SourceTrust {
  /**
   * Public keys (Ed25519 or P-256), one of which must have signed the set: it is then a compact JWS whose payload is the JWK Set,
   * and one without a good signature is refused. `exp` and `sub` beside `keys` are obeyed where they are present, and `iat` must not go back.
   */
  readonly signedBy?: readonly JWK[]
  /** How long the last good set is served while the source fails, in milliseconds. Default 3,600,000; 0 to 86,400,000. */
  readonly maxStaleMs?: number
  /** Refuses keys whose `kid` is not their RFC 7638 thumbprint. Default false. */
  readonly requireThumbprintKids?: boolean
}

export interface RecipientTrust extends SourceTrust {
  /** RFC 7638 thumbprints: any other key is refused. Recommended, because whoever controls the source can add a reader. */
  readonly pins?: readonly string[]
}

/** Where one recipient's public keys are: an https URL of a JWK Set, a file, or the keys themselves. A string is a URL. */
export type RecipientSource =
  | string
  | (RecipientTrust & { readonly url: string })
  /** Looked at every second, and read again when it has changed. */
  | (RecipientTrust & { readonly file: string })
  | (Pick<RecipientTrust, 'pins' | 'requireThumbprintKids'> & { readonly keys: readonly JWK[] })

/** One document with the sets of all recipients: `{ "recipients": { "billing": { "keys": […] }, … } }`. A string is a URL. */
export type RegistrySource =
  | string
  | (SourceTrust & { readonly pins?: Readonly<Record<string, readonly string[]>> } & ({ readonly url: string } | { readonly file: string }))

/** Where the bytes come from. */
export type Place =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'given'; readonly body: Buffer }

/** A source, checked. */
export interface Source {
  readonly place: Place
  /** For messages: a URL without its path and query, which may tell something. */
  readonly subject: string
  /** The source as it was given, to see whether it is the same. */
  readonly terms: string
  readonly registry: boolean
  readonly signedBy: readonly SignatureKey[] | undefined
  readonly requireThumbprintKids: boolean
  readonly maxStaleMs: number
  /** By recipient's name. */
  readonly pins: ReadonlyMap<string, ReadonlySet<string>>
}

export interface SourceRules extends UrlPolicy {
  readonly maxStaleMs: number
}

const MEMBERS = { url: true, file: true, keys: true, pins: true, signedBy: true, maxStaleMs: true, requireThumbprintKids: true }
const MAX_STALE = { least: 0, most: DIRECTORY_LIMITS.maxStaleCeilingMs }

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkSource(name: string, given: RecipientSource, rules: SourceRules): Source {
  const owner = `recipient ${JSON.stringify(name)}`
  const source = common(owner, given, rules)
  const pins: unknown = Reflect.get(source.given, 'pins')
  return { ...source.checked, registry: false, subject: subjectOf(`the key %s of ${JSON.stringify(name)}`, source.checked.place), pins: new Map(pins === undefined ? [] : [[name, pinned(owner, pins)]]) }
}

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkRegistry(given: RegistrySource, rules: SourceRules): Source {
  const { given: source, checked } = common('the registry', given, rules)
  if (checked.place.kind === 'given') throw invalid('the registry', 'it has a `url` or a `file`')
  const pins = (Reflect.get(source, 'pins') ?? {}) as Readonly<Record<string, unknown>>
  if (typeof pins !== 'object') throw invalid('the registry', 'its `pins` are lists by name')
  return { ...checked, registry: true, subject: subjectOf('the key registry %s', checked.place), pins: new Map(Object.entries(pins).map(([name, each]) => [name, pinned(`recipient ${JSON.stringify(name)}`, each)])) }
}

function common(owner: string, given: RecipientSource | RegistrySource, rules: SourceRules): { given: object; checked: Omit<Source, 'pins' | 'registry' | 'subject'> } {
  const source: unknown = typeof given === 'string' ? { url: given } : given
  if (typeof source !== 'object' || source === null) throw invalid(owner, 'its source is a URL, or an object with `url`, `file` or `keys`')
  checkNames(owner, MEMBERS, source)
  const { signedBy, maxStaleMs = rules.maxStaleMs, requireThumbprintKids = false } = source as SourceTrust
  if (typeof requireThumbprintKids !== 'boolean') throw invalid(owner, '`requireThumbprintKids` is a boolean')
  const place = placeOf(owner, source, rules)
  if (place.kind === 'given' && signedBy !== undefined) throw invalid(owner, 'keys that are given are not signed')
  return {
    given: source,
    checked: { place, terms: JSON.stringify(source), requireThumbprintKids, maxStaleMs: one(`${owner}: maxStaleMs`, { default: rules.maxStaleMs, ...MAX_STALE }, maxStaleMs), signedBy: signedBy === undefined ? undefined : signers(owner, signedBy) },
  }
}

function placeOf(owner: string, source: object, rules: SourceRules): Place {
  const { url, file, keys } = source as { url?: unknown; file?: unknown; keys?: unknown }
  if ([url, file, keys].filter((each) => each !== undefined).length !== 1) throw invalid(owner, 'its source has one of `url`, `file` and `keys`')
  if (typeof url === 'string') {
    const problem = urlProblem(url, rules)
    if (problem !== undefined) throw invalid(owner, problem)
    return { kind: 'url', url }
  }
  if (isText(file)) return { kind: 'file', path: file }
  if (Array.isArray(keys)) return { kind: 'given', body: Buffer.from(JSON.stringify({ keys })) }
  throw invalid(owner, '`url` and `file` are texts, and `keys` is a list')
}

function signers(owner: string, given: readonly JWK[]): readonly SignatureKey[] {
  const keys = Array.isArray(given) ? given.flatMap((key) => signatureKey(key) ?? []) : []
  if (keys.length === 0 || keys.length < given.length) throw invalid(owner, '`signedBy` are public JWKs for signatures, Ed25519 or P-256')
  return keys
}

function pinned(owner: string, pins: unknown): ReadonlySet<string> {
  if (!Array.isArray(pins) || pins.length === 0 || !pins.every((pin) => typeof pin === 'string' && /^[A-Za-z0-9_-]{43}$/.test(pin))) throw invalid(owner, '`pins` are RFC 7638 SHA-256 thumbprints, base64url')
  return new Set(pins as string[])
}

function subjectOf(words: string, place: Place): string {
  switch (place.kind) {
    case 'url':
      return `${words.replace('%s', 'endpoint')} (${new URL(place.url).origin})`
    case 'file':
      return `${words.replace('%s', 'file')} (${place.path})`
    case 'given':
      return words.replace('%s', 'list')
  }
}

const invalid = (owner: string, reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', `${owner}: ${reason}`)
