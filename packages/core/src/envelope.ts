import { isUtf8 } from 'node:buffer'
import { type ContentEncryptionRow, contentEncryption } from './algorithms.ts'
import { decodeBase64url, decodedSize, encodedSize, readBase64url, writeBase64url } from './base64url.ts'
import { type Context, decodeContext, decodeRepeated, type RepeatedContext, repeatedContext } from './context.ts'
import { SealbusError } from './errors.ts'
import { isJsonObject, type Json, type JsonObject, parseJson } from './json.ts'
import { hasMembers } from './json-members.ts'
import { LIMITS } from './limits.ts'
import { malformed, refused } from './malformed.ts'
import type { WrappedKey } from './wrap.ts'

/** The wire form (docs/FORMAT.md). Nothing else in the code knows it. */

const TYPE = 'sealbus+jwe'
const CONTENT_TYPES = { general: 'application/jose+json', compact: 'application/jose' } as const
export type Serialization = keyof typeof CONTENT_TYPES

/** The text of a General envelope, around its values. */
const BEFORE_PROTECTED = '{"protected":"'
const BEFORE_ENTRIES = '","recipients":'
const BEFORE_IV = ',"iv":"'
const BEFORE_CIPHERTEXT = '","ciphertext":"'
const BEFORE_TAG = '","tag":"'
const END = '"}'

/** An envelope whose form is checked, and nothing decrypted. */
export interface Envelope {
  readonly enc: ContentEncryptionRow
  /** The protected header as received: the AAD. A copy, so that what was read is what is authenticated. */
  readonly aad: Buffer
  readonly cty: string | undefined
  /** What only a native envelope has; undefined for a foreign one. */
  readonly native: { readonly context: Context; readonly commitment: Buffer } | undefined
  readonly entries: readonly Entry[]
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

/** One recipient's entry. Its header is the union of the protected header and its own: see `headerParameter`. */
export interface Entry {
  readonly kid: string | undefined
  readonly shared: JsonObject
  readonly own: JsonObject | undefined
  readonly encryptedKey: Buffer
}

/** A parameter of an entry's header. No name stands in both halves, so the order does not matter. */
export function headerParameter({ shared, own }: Pick<Entry, 'shared' | 'own'>, name: string): Json | undefined {
  return own && name in own ? own[name] : shared[name]
}

// --- writing -------------------------------------------------------------------------------------------------------

/** What all envelopes of one content key share, encoded once. */
export interface EnvelopeForm {
  readonly contentType: string
  /** The first bytes, up to where `protected` becomes the message's own: whole groups of base64url. */
  readonly start: Buffer
  /** How many of them are before `protected`. */
  readonly aadStart: number
  /** The header's last one or two characters, which are no whole group; without a closing brace. */
  readonly headerRest: string
  readonly headerBytes: number
  /** Between the protected header and the IV. */
  readonly afterProtected: Buffer
  readonly beforeCiphertext: string
  readonly beforeTag: string
  readonly end: string
}

export function envelopeForm(enc: string, commitment: Buffer, wrapped: readonly WrappedKey[], serialization: Serialization): EnvelopeForm {
  const [first] = wrapped
  if (!first || (serialization === 'compact' && wrapped.length > 1)) throw new TypeError('compact is for one recipient')
  const sole = wrapped.length === 1
  const sharedAlg = wrapped.every((each) => each.alg === first.alg) ? first.alg : undefined
  // `kc` is last, and ASCII: what is left of the header's bytes can be put before the message's own part as text.
  const header = Buffer.from(
    JSON.stringify({
      typ: TYPE,
      alg: sharedAlg,
      enc,
      kid: sole ? first.kid : undefined,
      epk: sole ? first.epk : undefined,
      kc: commitment.toString('base64url'),
    }).slice(0, -1),
  )
  const whole = header.length - (header.length % 3)
  const encryptedKey = first.encryptedKey.toString('base64url')
  const entries = sole
    ? [{ encrypted_key: encryptedKey }]
    : wrapped.map(({ kid, alg, epk, encryptedKey: key }) => ({
        header: { alg: sharedAlg === undefined ? alg : undefined, kid, epk },
        encrypted_key: key.toString('base64url'),
      }))
  const compact = serialization === 'compact'
  const beforeProtected = compact ? '' : BEFORE_PROTECTED
  return {
    contentType: CONTENT_TYPES[serialization],
    start: Buffer.from(`${beforeProtected}${header.toString('base64url', 0, whole)}`),
    aadStart: beforeProtected.length,
    headerRest: header.toString('latin1', whole),
    headerBytes: header.length,
    afterProtected: Buffer.from(compact ? `.${encryptedKey}.` : `${BEFORE_ENTRIES}${JSON.stringify(entries)}${BEFORE_IV}`),
    beforeCiphertext: compact ? '.' : BEFORE_CIPHERTEXT,
    beforeTag: compact ? '.' : BEFORE_TAG,
    end: compact ? '' : END,
  }
}

/** An envelope that is written up to its IV, with room for what it still needs. */
export interface EnvelopeDraft {
  readonly form: EnvelopeForm
  readonly bytes: Buffer
  /** The protected header, base64url, where it stands in the envelope. */
  readonly aad: Buffer
  /** Where the IV begins. */
  readonly at: number
}

/** Begins the envelope of one message, whose ciphertext will have so many bytes. Undefined where its protected header would pass the limit. */
export function draftEnvelope(form: EnvelopeForm, row: ContentEncryptionRow, contentType: string | undefined, context: string, ciphertextBytes: number): EnvelopeDraft | undefined {
  const cty = contentType === undefined ? '' : `,"cty":${JSON.stringify(shortContentType(contentType))}`
  const own = Buffer.from(`${form.headerRest}${cty},"msg":${context}}`)
  if (form.headerBytes - form.headerRest.length + own.length > LIMITS.protectedBytes) return undefined
  const aadEnd = form.start.length + encodedSize(own.length)
  const at = aadEnd + form.afterProtected.length
  const { beforeCiphertext, beforeTag, end } = form
  const bytes = Buffer.allocUnsafe(at + encodedSize(row.ivSize) + beforeCiphertext.length + encodedSize(ciphertextBytes) + beforeTag.length + encodedSize(row.tagSize) + end.length)
  bytes.set(form.start)
  bytes.write(own.toString('base64url'), form.start.length, 'latin1')
  bytes.set(form.afterProtected, aadEnd)
  return { form, bytes, aad: bytes.subarray(form.aadStart, aadEnd), at }
}

/** Completes a draft: these are the bytes that go on the wire. */
export function finishEnvelope({ form, bytes, at }: EnvelopeDraft, iv: Buffer, ciphertext: Buffer, tag: Buffer): Buffer {
  const start = at + bytes.write(`${iv.toString('base64url')}${form.beforeCiphertext}`, at, 'latin1')
  const end = writeBase64url(ciphertext, bytes, start)
  bytes.write(`${form.beforeTag}${tag.toString('base64url')}${form.end}`, end, 'latin1')
  return bytes
}

/** The transport's content type for bytes that are an envelope. */
export function envelopeContentType(bytes: Buffer): string {
  return bytes[textStart(bytes)] === 0x7b ? CONTENT_TYPES.general : CONTENT_TYPES.compact
}

/** RFC 7515 §4.1.10: `application/` is left out where no other slash is there. */
function shortContentType(contentType: string): string {
  const short = contentType.startsWith('application/') ? contentType.slice('application/'.length) : contentType
  return short.includes('/') ? contentType : short
}

export function fullContentType(cty: string): string {
  return cty.includes('/') ? cty : `application/${cty}`
}

// --- reading -------------------------------------------------------------------------------------------------------

/** Header parameters that are refused in any header: they extend trust or work (RFC 7516 §4.1, RFC 8725 §3.10). */
const REFUSED = ['crit', 'zip', 'jku', 'jwk', 'x5u', 'x5c'] as const
/** Parameters that only the protected header may hold: they concern the content. */
const CONTENT_ONLY = ['enc', 'cty', 'typ', 'kc', 'msg'] as const

interface Parts {
  readonly protected: Json | undefined
  readonly entries: readonly { readonly header: Json | undefined; readonly encryptedKey: Json | undefined }[]
  readonly iv: Json | undefined
  readonly ciphertext: Json | undefined
  readonly tag: Json | undefined
}

/**
 * Bytes to a checked envelope: General, Flattened or Compact. No private key is touched.
 * @throws ERR_SEALBUS_TOO_LARGE, ERR_SEALBUS_MALFORMED, ERR_SEALBUS_REFUSED, ERR_SEALBUS_UNSUPPORTED_VERSION
 */
export function decodeEnvelope(bytes: Buffer): Envelope {
  const parts = split(bytes)
  if (typeof parts.protected !== 'string') throw malformed('`protected` is missing')
  const shared = decodeProtected(parts.protected)
  const enc = contentEncryption(shared['enc'])
  if (!enc) throw refused('its `enc` is not permitted')
  const cty = readContentType(shared)
  const native = isNativeType(shared['typ']) ? decodeNative(shared) : undefined
  const entries = parts.entries.map((entry) => decodeEntry(shared, entry))
  return {
    enc,
    aad: Buffer.from(parts.protected, 'latin1'),
    cty,
    native,
    entries,
    iv: binary(parts.iv, 'iv', enc.ivSize),
    ciphertext: binary(parts.ciphertext, 'ciphertext'),
    tag: binary(parts.tag, 'tag', enc.tagSize),
  }
}

function split(bytes: Buffer): Parts {
  if (bytes.length > LIMITS.envelopeBytes) {
    throw new SealbusError('ERR_SEALBUS_TOO_LARGE', `the envelope has ${bytes.length} bytes, more than ${LIMITS.envelopeBytes}`)
  }
  if (!isUtf8(bytes)) throw malformed('it is not UTF-8')
  const text = bytes.toString('utf8')
  if (!text.trimStart().startsWith('{')) return splitCompact(text)
  const json = parseJson(text, LIMITS.envelopeValues)
  if (!isJsonObject(json)) throw malformed('it is not strict JSON')
  const general = Object.hasOwn(json, 'recipients')
  const allowed = general ? GENERAL : FLATTENED
  for (const member of Object.keys(json)) {
    if (member === 'unprotected' || member === 'aad') throw refused(`\`${member}\``)
    if (!allowed.has(member)) throw refused('an unknown top-level member')
  }
  const content = { protected: json['protected'], iv: json['iv'], ciphertext: json['ciphertext'], tag: json['tag'] }
  if (!general) return { ...content, entries: [{ header: json['header'], encryptedKey: json['encrypted_key'] }] }
  const entries = splitRecipients(json['recipients'])
  // go-jose repeats the first entry's key at the top; anything else there is ambiguous.
  if (Object.hasOwn(json, 'encrypted_key') && json['encrypted_key'] !== entries[0]?.encryptedKey) throw refused('`encrypted_key` beside `recipients`')
  return { ...content, entries }
}

const GENERAL = new Set(['protected', 'recipients', 'iv', 'ciphertext', 'tag', 'encrypted_key'])
const FLATTENED = new Set(['protected', 'header', 'encrypted_key', 'iv', 'ciphertext', 'tag'])

function splitRecipients(recipients: Json | undefined): Parts['entries'] {
  if (!Array.isArray(recipients)) throw malformed('`recipients` is not an array')
  if (recipients.length === 0 || recipients.length > LIMITS.recipients) throw malformed(`it has ${recipients.length} recipients, not 1 to ${LIMITS.recipients}`)
  return recipients.map((entry: Json) => {
    if (!isJsonObject(entry)) throw malformed('a recipient is not an object')
    for (const member of Object.keys(entry)) if (member !== 'header' && member !== 'encrypted_key') throw refused('an unknown member of a recipient')
    return { header: entry['header'], encryptedKey: entry['encrypted_key'] }
  })
}

function splitCompact(text: string): Parts {
  const segments = text.split('.', 6)
  if (segments.length !== 5) throw malformed('it is neither JSON nor five segments')
  const [header, encryptedKey, iv, ciphertext, tag] = segments
  return { protected: header, entries: [{ header: undefined, encryptedKey }], iv, ciphertext, tag }
}

function decodeProtected(text: string): JsonObject {
  if (decodedSize(text.length) > LIMITS.protectedBytes) throw malformed(`the protected header exceeds ${LIMITS.protectedBytes} bytes`)
  const bytes = decodeBase64url(text)
  if (!bytes || !isUtf8(bytes)) throw malformed('`protected` is not canonical base64url of UTF-8')
  const header = parseJson(bytes.toString('utf8'))
  if (!isJsonObject(header)) throw malformed('the protected header is not strict JSON')
  refuseByName(header)
  return header
}

function decodeEntry(shared: JsonObject, { header, encryptedKey }: Parts['entries'][number]): Entry {
  if (header !== undefined && !isJsonObject(header)) throw malformed('a `header` is not an object')
  for (const name of Object.keys(header ?? {})) {
    if (Object.hasOwn(shared, name)) throw malformed('a header parameter stands in both headers')
    if ((CONTENT_ONLY as readonly string[]).includes(name)) throw refused(`\`${name}\` outside the protected header`)
  }
  if (header) refuseByName(header)
  const kid = headerParameter({ shared, own: header }, 'kid')
  if (kid !== undefined && typeof kid !== 'string') throw malformed('`kid`')
  if (typeof encryptedKey !== 'string' || decodedSize(encryptedKey.length) > LIMITS.encryptedKeyBytes) throw malformed('`encrypted_key`')
  return { kid, shared, own: header, encryptedKey: binary(encryptedKey, 'encrypted_key') }
}

/** Content types of JOSE objects, in both serializations, with parameters or without. */
const JOSE = /^\s*(application\/)?jose(\+json)?\s*(;|$)/i

function readContentType({ cty }: { readonly cty?: Json | undefined }): string | undefined {
  if (cty === undefined) return undefined
  if (typeof cty !== 'string') throw malformed('`cty`')
  if (JOSE.test(cty)) throw refused('a signed content needs configured senders')
  return cty
}

function decodeNative(shared: JsonObject): { context: Context; commitment: Buffer } {
  const { kc } = shared
  const commitment = typeof kc === 'string' ? decodeBase64url(kc) : undefined
  if (commitment?.length !== 32) throw malformed('`kc`')
  return { context: decodeContext(shared['msg']), commitment }
}

function isNativeType(typ: Json | undefined): boolean {
  return typeof typ === 'string' && /^(application\/)?sealbus\+jwe$/i.test(typ)
}

function refuseByName(header: JsonObject): void {
  for (const name of REFUSED) if (Object.hasOwn(header, name)) throw refused(`\`${name}\``)
}

function binary(value: Json | undefined, name: string, size?: number): Buffer {
  const bytes = typeof value === 'string' ? decodeBase64url(value) : undefined
  if (!bytes || (size !== undefined && bytes.length !== size)) throw malformed(`\`${name}\``)
  return bytes
}

// --- reading again -------------------------------------------------------------------------------------------------

/**
 * What all General envelopes of one content key have in common, as text, with what reading that text gave. An envelope
 * that consists of these very texts, a `cty`, a `msg`, an IV, a ciphertext and a tag needs no second reading of the rest:
 * the entries of a hundred recipients are compared, not parsed.
 */
export interface KnownForm {
  /** The `kc`, by which it is looked up. That proves nothing: the texts are compared. */
  readonly name: string
  /** Start of the protected header's JSON, up to `cty` or `msg`. */
  readonly header: string
  /** From the end of `protected` to the IV. */
  readonly afterProtected: Buffer
  readonly enc: ContentEncryptionRow
  readonly commitment: Buffer
  readonly repeated: RepeatedContext
  /** The very same array in every envelope of this form. */
  readonly entries: readonly Entry[]
}

/** The form of an envelope that `decodeEnvelope` has read; undefined where its text is not in the usual order. */
export function knownForm(bytes: Buffer, { aad, iv, ciphertext, tag, native }: Envelope): KnownForm | undefined {
  if (!native) return undefined
  const text = bytes.toString('latin1')
  const encodedHeader = aad.toString('latin1')
  const start = `${BEFORE_PROTECTED}${encodedHeader}${BEFORE_ENTRIES}`
  const end = `${BEFORE_IV}${iv.toString('base64url')}${BEFORE_CIPHERTEXT}${ciphertext.toString('base64url')}${BEFORE_TAG}${tag.toString('base64url')}${END}`
  if (!text.startsWith(start) || !text.endsWith(end)) return undefined
  const wholeHeader = Buffer.from(encodedHeader, 'base64url').toString('utf8')
  const name = nameOf(wholeHeader)
  const header = wholeHeader.slice(0, wholeHeader.search(/,"(cty|msg)":/))
  // Both texts are read by themselves, so that nothing in them can reach beyond their ends.
  const shared = parseJson(`${header}}`)
  const entriesBytes = bytes.subarray(start.length, bytes.length - end.length)
  const recipients = parseJson(entriesBytes.toString('utf8'))
  if (!isJsonObject(shared) || 'cty' in shared || 'msg' in shared || shared['kc'] !== name) return undefined
  const enc = contentEncryption(shared['enc'])
  if (!enc || !isNativeType(shared['typ'])) return undefined
  return {
    name,
    // A copy: a slice would keep the whole text in memory.
    header: Buffer.from(header).toString('utf8'),
    afterProtected: Buffer.concat([Buffer.from(BEFORE_ENTRIES), entriesBytes, Buffer.from(BEFORE_IV)]),
    enc,
    commitment: native.commitment,
    repeated: repeatedContext(native.context),
    entries: splitRecipients(recipients).map((entry) => decodeEntry(shared, entry)),
  }
}

/** What `decodeEnvelope` would give, for an envelope of a form that is known; undefined for every other, good or bad. */
export function decodeKnown(bytes: Buffer, find: (name: string) => KnownForm | undefined): Envelope | undefined {
  if (bytes.length > LIMITS.envelopeBytes || !standsAt(bytes, 0, TEXT.beforeProtected)) return undefined
  const headerStart = BEFORE_PROTECTED.length
  const headerEnd = bytes.indexOf(QUOTE, headerStart)
  if (headerEnd < 0 || decodedSize(headerEnd - headerStart) > LIMITS.protectedBytes) return undefined
  const headerBytes = readBase64url(bytes, headerStart, headerEnd)
  if (!headerBytes || !isUtf8(headerBytes)) return undefined
  const header = headerBytes.toString('utf8')
  const form = find(nameOf(header))
  if (!form || !header.startsWith(form.header) || !standsAt(bytes, headerEnd, form.afterProtected)) return undefined
  const own = decodeOwn(header, form)
  if (!own) return undefined

  const { enc } = form
  const ivStart = headerEnd + form.afterProtected.length
  const ivEnd = ivStart + encodedSize(enc.ivSize)
  const tagEnd = bytes.length - END.length
  const tagStart = tagEnd - encodedSize(enc.tagSize)
  const ciphertextEnd = tagStart - BEFORE_TAG.length
  // The fixed texts may share a quote where there is no ciphertext at all.
  if (ciphertextEnd < ivEnd + BEFORE_CIPHERTEXT.length) return undefined
  if (!standsAt(bytes, ivEnd, TEXT.beforeCiphertext) || !standsAt(bytes, ciphertextEnd, TEXT.beforeTag) || !standsAt(bytes, tagEnd, TEXT.end)) return undefined
  const iv = readBase64url(bytes, ivStart, ivEnd)
  const ciphertext = readBase64url(bytes, ivEnd + BEFORE_CIPHERTEXT.length, ciphertextEnd)
  const tag = readBase64url(bytes, tagStart, tagEnd)
  if (!iv || !ciphertext || !tag) return undefined
  return {
    enc,
    aad: Buffer.from(bytes.subarray(headerStart, headerEnd)),
    cty: readContentType(own),
    native: { context: own.context, commitment: form.commitment },
    entries: form.entries,
    iv,
    ciphertext,
    tag,
  }
}

/** The end of a header whose start is known: a `cty` or none, and a `msg`. */
function decodeOwn(header: string, { header: { length: start }, repeated }: KnownForm): { cty: Json | undefined; context: Context } | undefined {
  OWN.lastIndex = start
  const usual = OWN.exec(header)
  const context = usual && decodeRepeated(header, OWN.lastIndex, repeated)
  if (context) return { cty: usual[1], context }
  const own = header[start] === ',' ? parseJson(`{${header.slice(start + 1)}`) : undefined
  if (!isJsonObject(own)) return undefined
  for (const member in own) if (member !== 'cty' && member !== 'msg') return undefined
  return { cty: own['cty'], context: decodeContext(own['msg']) }
}

/** A content type that needs no unescaping, or none. */
const OWN = /(?:,"cty":"([ !#-[\]-~]*)")?,"msg":/y

const QUOTE = 0x22
const TEXT = {
  beforeProtected: Buffer.from(BEFORE_PROTECTED),
  beforeCiphertext: Buffer.from(BEFORE_CIPHERTEXT),
  beforeTag: Buffer.from(BEFORE_TAG),
  end: Buffer.from(END),
} as const

function standsAt(bytes: Buffer, at: number, part: Buffer): boolean {
  if (at + part.length > bytes.length) return false
  // A call into the runtime costs more than it takes to look at a few bytes.
  if (part.length > 32) return bytes.compare(part, 0, part.length, at, at + part.length) === 0
  for (let index = 0; index < part.length; index++) if (bytes[at + index] !== part[index]) return false
  return true
}

/** Where there is no `kc`, any text: it is looked up in vain. */
function nameOf(header: string): string {
  const start = header.indexOf(COMMITMENT) + COMMITMENT.length
  return header.slice(start, start + 43)
}

const COMMITMENT = '"kc":"'

// --- recognizing ---------------------------------------------------------------------------------------------------

const COMPACT_START: ReadonlySet<number | undefined> = new Set(Buffer.from('eICD'))
const NAMES = ['protected', 'ciphertext'] as const
const DOT = 0x2e
/** By byte, whether it is a character of base64url. */
const BASE64URL = Uint8Array.from({ length: 256 }, (_, byte) => Number(/[\w-]/.test(String.fromCharCode(byte))))

/**
 * Whether bytes are an envelope, or pretend to be: never delivered as plain, never sealed again. A JOSE content type,
 * our usual first bytes, an object with `protected` and `ciphertext`, whole or damaged, or five base64url segments with an
 * `enc`. What would take too much work to look into counts as one: opening it says why it is refused.
 */
export function looksSealed(bytes: Buffer, contentType?: string): boolean {
  if (contentType !== undefined && JOSE.test(contentType)) return true
  if (bytes.length > LIMITS.envelopeBytes) return true
  const start = textStart(bytes)
  if (standsAt(bytes, start, TEXT.beforeProtected)) return true
  if (bytes[start] === 0x7b) return looksLikeJson(bytes, start)
  // A JSON object starts with `e` in base64url; white space before it, with `I`, `C` or `D`.
  return COMPACT_START.has(bytes[start]) && looksCompact(bytes, start)
}

/** Behind a byte order mark and white space. */
function textStart(bytes: Buffer): number {
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
  while (isSpace(bytes[at])) at++
  return at
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function looksLikeJson(bytes: Buffer, start: number): boolean {
  // The usual plain message is settled by searches, without looking at what is in it.
  const named = NAMES.every((name) => bytes.includes(`"${name}"`))
  return (named || bytes.includes('\\u00')) && hasMembers(bytes, start, NAMES)
}

function looksCompact(bytes: Buffer, start: number): boolean {
  let end = bytes.length
  while (isSpace(bytes[end - 1])) end--
  const headerEnd = firstOfFive(bytes, start, end)
  if (headerEnd < 0) return false
  if (decodedSize(headerEnd - start) > LIMITS.protectedBytes) return true
  try {
    const json: unknown = JSON.parse(Buffer.from(bytes.toString('latin1', start, headerEnd), 'base64url').toString('utf8'))
    return typeof json === 'object' && json !== null && Object.hasOwn(json, 'enc')
  } catch {
    return false
  }
}

/** Where the first of five segments ends; -1: it is not five of base64url characters. Byte by byte: a text of megabytes takes longer to make. */
function firstOfFive(bytes: Buffer, start: number, end: number): number {
  let first = -1
  let dots = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    if (byte === DOT) {
      if (dots++ === 0) first = at
    } else if (BASE64URL[byte] === 0) return -1
  }
  return dots === 4 ? first : -1
}
