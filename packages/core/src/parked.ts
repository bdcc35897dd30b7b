import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { types } from 'node:util'
import { PARK_HEADERS } from './disposition.ts'
import { isText } from './text.ts'

/** What the headers of a parked copy say. Whoever can write to the parking place can write them: nothing here is authenticated. */
export interface ParkedFacts {
  /** The same for the same message, however often it was parked. */
  readonly id: string
  /** Why it was parked. A text, because a newer Sealbus may have parked it with a code that is not known here. */
  readonly code: string
  /** The group or queue that parked. */
  readonly by: string
  /** Kafka: `topic/partition/offset`. RabbitMQ: `exchange/routing key`. */
  readonly origin: string | undefined
  /** When it was parked, by the clock of whoever parked it. Undefined where the header tells none. */
  readonly time: Date | undefined
}

/** A copy in a parking place. */
export interface ParkedCopy extends ParkedFacts {
  /** The record's key; null for a record without one; undefined where the transport has none. */
  readonly key?: Buffer | null
  /** As they were when the message was parked, byte for byte. */
  readonly bytes: Buffer
  /** Those of the message, without the ones that parking added. */
  readonly headers: Readonly<Record<string, unknown>>
  /** The transport's own, which tells a sealed message from a plain one. */
  readonly contentType?: string
}

type Headers = Readonly<Record<string, unknown>>

const CODE = /^ERR_SEALBUS_[A-Z_]{1,60}$/
/** Of an id, a group's or queue's name, or an origin: Kafka's longest are 255 for the group and 249 for the topic. */
const LONGEST = 1_024
const ADDED: ReadonlySet<string> = new Set(Object.values(PARK_HEADERS))

/** The facts of a parked copy; undefined where one that is needed is missing, or is no single text: then it is not taken for a copy. */
export function readParkHeaders(headers: Headers | undefined): ParkedFacts | undefined {
  const [id, code, by, origin, time] = [PARK_HEADERS.id, PARK_HEADERS.code, PARK_HEADERS.by, PARK_HEADERS.origin, PARK_HEADERS.time].map((name) => text(headers, name))
  if (id === undefined || code === undefined || by === undefined || !CODE.test(code)) return undefined
  const parkedAt = time === undefined ? Number.NaN : Date.parse(time)
  return { id, code, by, origin, time: Number.isNaN(parkedAt) ? undefined : new Date(parkedAt) }
}

/** The headers that the message had before it was parked, in a new object. */
export function withoutParkHeaders(headers: Headers | undefined): Record<string, unknown> {
  const kept: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(headers ?? {})) {
    // Plain assignment of `__proto__` would change the prototype.
    if (!ADDED.has(name)) Object.defineProperty(kept, name, { value, enumerable: true, writable: true, configurable: true })
  }
  return kept
}

/**
 * Names a copy by all that makes it what it is: its id alone could be forged, so that another copy would pass for a
 * message that was redriven already. Two copies of one message have the same; nothing else has.
 */
export function copyDigest({ id, key, bytes, headers }: ParkedCopy): string {
  const sorted = Object.entries(headers).filter(([name]) => !COUNTED_BY_BROKER.test(name)).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const digest = createHash('sha256')
  // Each part behind its length, so that no part can reach into the next.
  for (const part of [Buffer.from(id), key ?? undefined, Buffer.from(JSON.stringify(sorted)), bytes]) digest.update(`${part?.length ?? '-'} `).update(part ?? '')
  return digest.digest('base64url')
}

/** RabbitMQ's own counts, which differ between two deliveries of one message. */
const COUNTED_BY_BROKER = /^x-(delivery|acquired)-count$/

/** Own members only, one value only: an array is a header that somebody wrote twice. */
function text(headers: Headers | undefined, name: string): string | undefined {
  const value = headers && Object.hasOwn(headers, name) ? headers[name] : undefined
  if (!types.isUint8Array(value)) return isText(value, LONGEST) ? value : undefined
  return value.length <= LONGEST * 3 && isUtf8(value) && isText(Buffer.from(value).toString(), LONGEST) ? Buffer.from(value).toString() : undefined
}
