import { types } from 'node:util'
import { type OpenedMessage, type SealedMessage, SealbusError, type SealOptions } from '@sealbus/core'
import { markOpened } from '@sealbus/core/adapter'
import type { DeliveredRecord, Headers, OutgoingRecord } from './client-shape.ts'

/** The pure mapping between Kafka records and sealed messages, both ways. */

const CONTENT_TYPE = 'content-type'

type Writable<Type> = { -readonly [Name in keyof Type]: Type[Name] }

/** What the sealer is told about a record. */
export function toSealOptions(channel: string, { key, headers }: OutgoingRecord): SealOptions {
  // A record without a key has none on the wire either: null.
  const options: Writable<SealOptions> = { channel, key: key === undefined ? null : toBytes(key) }
  if (!headers) return options
  options.headers = headers
  const contentType = contentTypeOf(headers)
  if (contentType !== undefined) options.contentType = contentType
  else if (Object.keys(headers).some((name) => isContentType(name) && hasValue(name, headers[name]))) {
    throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', `a message for channel ${JSON.stringify(channel)} has a content type that is no single text: it moves inside the envelope, where it would be lost`)
  }
  return options
}

/** The record to send instead: a new object that nobody else holds, never frozen (instrumentations write into it). */
export function toSealedRecord(record: OutgoingRecord, sealed: SealedMessage): OutgoingRecord {
  return { ...record, value: sealed.bytes, headers: { ...copyHeaders(record.headers, (name, value) => hasValue(name, value) && !isContentType(name)), [CONTENT_TYPE]: sealed.contentType } }
}

/** A record that goes out as it is, with real Buffers: kafkajs writes a Uint8Array as "1,2,3". */
export function toPlainRecord(record: OutgoingRecord): OutgoingRecord {
  const { key, value, headers, partition, timestamp } = record
  const plain: Writable<OutgoingRecord> = { ...record, value: toBytes(value) }
  // By name too: spreading leaves out what a class has as accessors.
  if (key !== undefined) plain.key = toBytes(key)
  if (headers) plain.headers = copyHeaders(headers, hasValue)
  if (partition !== undefined) plain.partition = partition
  if (timestamp !== undefined) plain.timestamp = timestamp
  return plain
}

/** Errors name the place only: kafkajs' own would quote the message. Confluent's client sends what it rejects for a header. */
export function checkRecord(record: OutgoingRecord, topic: string, index: number): void {
  const { value, headers } = record ?? {}
  const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', `message ${index} for topic ${JSON.stringify(topic)} has ${reason}`)
  if (value !== null && !isContent(value)) throw invalid('no `value` that is a Buffer, a string or null')
  for (const [name, header] of Object.entries(headers ?? {})) {
    const fits = header === undefined || header === null || (Array.isArray(header) ? header.every(isContent) : isContent(header))
    if (!fits) throw invalid(`a header ${JSON.stringify(name)} that is no Buffer, string, or list of them`)
  }
}

/** The message that a handler is given: all members kept, value and headers replaced, and marked as opened. */
export function toOpenedRecord(record: DeliveredRecord, opened: OpenedMessage): DeliveredRecord {
  const { plaintext, contentType } = opened
  const headers = copyHeaders(record.headers, (name) => !isContentType(name))
  if (contentType !== undefined) headers[CONTENT_TYPE] = Buffer.from(contentType)
  return markOpened({ ...record, value: plaintext, headers }, opened)
}

/**
 * The headers of a delivered record as the client takes them: kafkajs' encoder throws a TypeError for one without a value,
 * and for what its decoder puts beside one with a name of `Object.prototype`.
 */
export function toSendableHeaders(headers: Headers | undefined): Record<string, unknown> {
  const sendable = Object.entries(headers ?? {}).map(([name, given]): [string, unknown] => {
    const values = (Array.isArray(given) ? given : [given]).filter((each) => each === null || isContent(each)).map((each: unknown) => each ?? Buffer.alloc(0))
    return [name, values.length === 1 ? values[0] : values]
  })
  return Object.fromEntries(sendable)
}

export function contentTypeOf(headers: Headers | undefined): string | undefined {
  const name = headers && Object.keys(headers).find(isContentType)
  const given = name === undefined ? undefined : headers?.[name]
  const value: unknown = Array.isArray(given) && given.length === 1 ? given[0] : given
  if (typeof value === 'string') return value
  return types.isUint8Array(value) ? Buffer.from(value).toString('utf8') : undefined
}

/** Own headers only. */
function copyHeaders(headers: Headers | undefined, wanted: (name: string, value: unknown) => boolean): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const name of Object.keys(headers ?? {})) {
    const given = headers?.[name]
    if (!wanted(name, given)) continue
    const value = Array.isArray(given) ? given.map(toBytes) : toBytes(given)
    // Plain assignment of this name would change the prototype.
    if (name === '__proto__') Object.defineProperty(copy, name, { value, enumerable: true, writable: true, configurable: true })
    else copy[name] = value
  }
  return copy
}

/** The client's encoder throws a TypeError for headers without a value. */
const hasValue = (_name: string, value: unknown): boolean => value !== undefined && value !== null

const isContentType = (name: string): boolean => name.length === CONTENT_TYPE.length && name.toLowerCase() === CONTENT_TYPE

const isContent = (value: unknown): boolean => typeof value === 'string' || types.isUint8Array(value)

function toBytes<Value>(value: Value): Value {
  if (!types.isUint8Array(value) || Buffer.isBuffer(value)) return value
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength) as unknown as Value
}
