import { hash } from 'node:crypto'
import { types } from 'node:util'
import type { Channel } from './channels.ts'
import { decodeBase64url } from './base64url.ts'
import { SealbusError } from './errors.ts'
import { isJsonObject, type Json } from './json.ts'
import { LIMITS } from './limits.ts'
import { malformed } from './malformed.ts'
import { isText } from './text.ts'

/** Public facts bound to a message by authentication: the protected header's `msg`. This file is its only encoder. */
export interface Context {
  readonly id: string
  /** Sealing time, integer seconds. */
  readonly iat: number
  readonly channel: string
  readonly to: readonly string[]
  /** SHA-256 of the record key's bytes, base64url; present exactly when there is a record key and it is bound. */
  readonly key?: string | undefined
  readonly contentEncoding?: string | undefined
  readonly inReplyTo?: string | undefined
  readonly realm?: string | undefined
  readonly compression?: Compression | undefined
  readonly headers?: BoundHeaders | undefined
}

export type Compression = 'gzip' | 'zstd'
export type BoundHeaders = Readonly<Record<string, readonly string[]>>

const VERSION = 1
const LATEST_DATE_SECONDS = 8.64e12

/** The JSON text of `msg`, without white space. */
export function encodeContext({ id, iat, channel, to, key, contentEncoding, inReplyTo, realm, compression, headers }: Context): string {
  // What every message has is put together by hand: JSON.stringify() of the whole takes as long as a quarter of sealing.
  let json = `{"v":${VERSION},"id":${JSON.stringify(id)},"iat":${iat},"ch":${JSON.stringify(channel)},"to":${namesJson(to)}`
  if (key !== undefined) json += `,"key":${JSON.stringify(key)}`
  if (contentEncoding !== undefined) json += `,"ce":${JSON.stringify(contentEncoding)}`
  if (inReplyTo !== undefined) json += `,"re":${JSON.stringify(inReplyTo)}`
  if (realm !== undefined) json += `,"realm":${JSON.stringify(realm)}`
  if (compression !== undefined) json += `,"z":${JSON.stringify(compression)}`
  if (headers !== undefined) json += `,"hdr":${JSON.stringify(headers)}`
  return `${json}}`
}

/** JSON of lists of recipients that are frozen, as a channel's own is: of ten names, it takes longer than the rest of the context. */
const namesJsons = new WeakMap<readonly string[], string>()

function namesJson(names: readonly string[]): string {
  const known = namesJsons.get(names)
  if (known !== undefined) return known
  const json = JSON.stringify(names)
  if (Object.isFrozen(names)) namesJsons.set(names, json)
  return json
}

/**
 * Checks `msg` and reads it. Unknown members are ignored under `v: 1`.
 * @throws ERR_SEALBUS_MALFORMED, ERR_SEALBUS_UNSUPPORTED_VERSION
 */
export function decodeContext(msg: Json | undefined): Context {
  if (!isJsonObject(msg)) throw malformed('`msg` is missing')
  const { v } = msg
  if (typeof v !== 'number' || !Number.isInteger(v)) throw malformed('`msg.v` is not an integer')
  if (v !== VERSION) throw new SealbusError('ERR_SEALBUS_UNSUPPORTED_VERSION', `wire format ${v} is not known here: openers are updated before sealers`)
  const { id, iat, ch, to, key, ce, re, realm, z, hdr } = msg
  if (!isText(id, LIMITS.idLength)) throw malformed('`msg.id`')
  if (typeof iat !== 'number' || !Number.isInteger(iat) || iat < 0 || iat > LATEST_DATE_SECONDS) throw malformed('`msg.iat`')
  if (!isText(ch, LIMITS.channelNameLength)) throw malformed('`msg.ch`')
  if (!isNames(to)) throw malformed('`msg.to`')
  if (key !== undefined && !isDigest(key)) throw malformed('`msg.key`')
  if (ce !== undefined && !isText(ce, LIMITS.idLength)) throw malformed('`msg.ce`')
  if (re !== undefined && !isText(re, LIMITS.idLength)) throw malformed('`msg.re`')
  if (realm !== undefined && !isText(realm, LIMITS.channelNameLength)) throw malformed('`msg.realm`')
  if (z !== undefined && z !== 'gzip' && z !== 'zstd') throw malformed('`msg.z`')
  return {
    id,
    iat,
    channel: ch,
    to,
    key,
    contentEncoding: ce,
    inReplyTo: re,
    realm,
    compression: z,
    headers: hdr === undefined ? undefined : decodeHeaders(hdr),
  }
}

/** The part of a context that comes again with every message of a content key, as text, and what reading it gave. */
export interface RepeatedContext {
  readonly text: string
  readonly channel: string
  readonly to: readonly string[]
}

export function repeatedContext({ channel, to }: Context): RepeatedContext {
  return { text: `,"ch":${JSON.stringify(channel)},"to":${JSON.stringify(to)}`, channel, to }
}

/**
 * What `decodeContext` would give for the text of a `msg` as `encodeContext` writes it, with a repeated part that is
 * known: from where it starts, and to the end of the text but for one brace. Undefined for every other text, good or bad.
 */
export function decodeRepeated(text: string, start: number, repeated: RepeatedContext): Context | undefined {
  OWN_START.lastIndex = start
  const [, id, iat] = OWN_START.exec(text) ?? []
  if (id === undefined || !text.startsWith(repeated.text, OWN_START.lastIndex)) return undefined
  OWN_END.lastIndex = OWN_START.lastIndex + repeated.text.length
  const end = OWN_END.exec(text)
  if (!end) return undefined
  const { channel, to } = repeated
  return { id, iat: Number(iat), channel, to, key: end[1], contentEncoding: undefined, inReplyTo: undefined, realm: undefined, compression: undefined, headers: undefined }
}

/** An id that needs no unescaping, and a time that is below the limit by its length. */
const OWN_START = /\{"v":1,"id":"([ !#-[\]-~]{1,128})","iat":(0|[1-9][0-9]{0,11})/y
/** A digest has no stray bits. */
const OWN_END = /(?:,"key":"([\w-]{42}[AEIMQUYcgkosw048])")?\}\}$/y

/** What the transport and the configuration say, to compare the authenticated context with. */
export interface Surroundings {
  readonly channel: Channel
  readonly realm: string | undefined
  readonly key?: Buffer | string | null | undefined
  readonly headers?: Readonly<Record<string, unknown>> | undefined
}

/** @throws ERR_SEALBUS_CONTEXT_MISMATCH; call it only after the content was decrypted, when the context is authentic */
export function checkContext(context: Context, { channel, realm, key, headers }: Surroundings): void {
  if (context.channel !== channel.name) {
    throw mismatch(`sealed for channel ${JSON.stringify(context.channel)}, found on ${JSON.stringify(channel.name)}: where both are meant, add the destination to the first one's \`match\``)
  }
  if (realm !== undefined && context.realm !== realm) throw mismatch('it belongs to another realm')
  if (channel.bindKey) {
    const expected = key === undefined || key === null ? undefined : hashRecordKey(key)
    // Both are public: nothing is told by how long this takes.
    if (context.key !== expected) {
      throw mismatch(key === undefined ? 'its record key is bound, and this transport has none: `bind: { key: false }` skips the check' : 'the record key is not the one it was sealed with')
    }
  }
  for (const name of channel.bindHeaders) {
    if (context.headers === undefined || !Object.hasOwn(context.headers, name)) throw mismatch(`header ${JSON.stringify(name)} must be bound`)
  }
  if (headers === undefined) return
  for (const [name, values] of Object.entries(context.headers ?? {})) {
    const found = headerValues(Object.hasOwn(headers, name) ? headers[name] : undefined)
    if (found === undefined || found.length !== values.length || found.some((value, index) => value !== values[index])) {
      throw mismatch(`header ${JSON.stringify(name)} is not the one it was sealed with`)
    }
  }
}

/**
 * The hash of a record key's bytes; an empty key has the hash of nothing.
 * @throws ERR_SEALBUS_INVALID_OPTION for a key that is no text and no bytes
 */
export function hashRecordKey(key: Buffer | string): string {
  if (typeof key !== 'string' && !types.isUint8Array(key)) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'a record key is a string, a Buffer or null')
  return hash('sha256', key, 'base64url')
}

/**
 * The headers to bind, copied from the transport's.
 * @throws ERR_SEALBUS_INVALID_OPTION for a missing header, or a value that is no string or Buffer
 */
export function bindHeaders(names: readonly string[], headers: Readonly<Record<string, unknown>> | undefined): BoundHeaders | undefined {
  if (names.length === 0) return undefined
  const bound: Record<string, readonly string[]> = Object.create(null) as Record<string, readonly string[]>
  for (const name of names) {
    const values = headerValues(headers && Object.hasOwn(headers, name) ? headers[name] : undefined)
    if (values === undefined) {
      throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', `header ${JSON.stringify(name)} is bound by its channel: it must be there, as strings or Buffers`)
    }
    bound[name] = values
  }
  return bound
}

function headerValues(value: unknown): readonly string[] | undefined {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  const encoded: string[] = []
  for (const each of values) {
    if (typeof each === 'string') encoded.push(Buffer.from(each).toString('base64url'))
    else if (Buffer.isBuffer(each)) encoded.push(each.toString('base64url'))
    else return undefined
  }
  return encoded
}

function decodeHeaders(hdr: Json): BoundHeaders {
  if (!isJsonObject(hdr)) throw malformed('`msg.hdr`')
  for (const values of Object.values(hdr)) {
    if (!Array.isArray(values) || !values.every((value) => typeof value === 'string' && decodeBase64url(value) !== undefined)) throw malformed('`msg.hdr`')
  }
  return hdr as Record<string, string[]>
}

function isNames(value: Json | undefined): value is readonly string[] {
  return (
    Array.isArray(value) && value.length > 0 && value.length <= LIMITS.recipients && value.every((each) => isText(each))
  )
}

function isDigest(value: Json): value is string {
  return typeof value === 'string' && decodeBase64url(value)?.length === 32
}

const mismatch = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_CONTEXT_MISMATCH', `the message is authentic, but ${reason}`)
