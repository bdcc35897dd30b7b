import type { ProducerMessage } from './shape.ts'

/** A record as the broker holds it. */
export interface StoredRecord {
  readonly topic: string
  readonly partition: number
  /** In decimal, from 0 in each partition. */
  readonly offset: string
  /** Milliseconds since 1970, in decimal. */
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** A header that came more than once is an array. */
  readonly headers: Readonly<Record<string, Buffer | Buffer[]>>
}

/** The parts of a record that a sender writes, and that a malicious broker can change. */
export type RecordContents = Pick<StoredRecord, 'key' | 'value' | 'headers' | 'timestamp'>

/** What kafkajs would put on the wire. A Buffer stays its bytes; anything else, a Uint8Array too, becomes text. */
export function toContents({ key, value, headers, timestamp }: ProducerMessage): RecordContents {
  return {
    key: key === null || key === undefined ? null : toBytes(key),
    value: value === null ? null : toBytes(value),
    headers: Object.fromEntries(Object.entries(headers ?? {}).flatMap(([name, header]) => toHeader(name, header))),
    timestamp: String(timestamp ?? Date.now()),
  }
}

/** Another object with the same bytes: the broker shares no Buffer with anyone. */
export function copyContents({ key, value, headers, timestamp }: RecordContents): RecordContents {
  return {
    key: key && Buffer.from(key),
    value: value && Buffer.from(value),
    headers: Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, Array.isArray(header) ? header.map((each) => Buffer.from(each)) : Buffer.from(header)])),
    timestamp,
  }
}

export function sizeOf({ key, value }: RecordContents): number {
  return (key?.length ?? 0) + (value?.length ?? 0)
}

const toBytes = (value: unknown): Buffer => (Buffer.isBuffer(value) ? Buffer.from(value) : Buffer.from(String(value)))

function toHeader(name: string, header: unknown): [string, Buffer | Buffer[]][] {
  const values = (Array.isArray(header) ? header : [header]).map((each: unknown) => {
    if (each === undefined || each === null) throw new TypeError(`header ${JSON.stringify(name)} has no value`)
    return toBytes(each)
  })
  const [first, ...more] = values
  // The wire has a list of names and values: an array of one is the value, and an empty one is nothing.
  return first === undefined ? [] : [[name, more.length === 0 ? first : values]]
}
