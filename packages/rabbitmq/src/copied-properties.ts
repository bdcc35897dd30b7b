import type { AmqpMessage, PublishOptions } from './client-shape.ts'
import { PROPERTIES_BYTES, sizeOf } from './properties.ts'

/** What a copy of a message has of its properties and headers, and whether that is all of them. */
export interface CopiedProperties {
  readonly options: PublishOptions
  readonly whole: boolean
}

type Table = Readonly<Record<string, unknown>>

/**
 * The properties of a delivered message that a copy of it can be published with. Left out is what would act on the copy:
 * `expiration` would drop it, `userId` must be the publisher's own, and a `CC` header would route it again. So is what
 * amqplib reads and cannot write, because one such message, whoever published it, must not be in the way of all others.
 */
export function copiedProperties({ properties }: Pick<AmqpMessage, 'properties'>): CopiedProperties {
  const { headers = {}, ...own } = properties as AmqpMessage['properties'] & Table
  const given = Object.entries(own).filter(([, value]) => value !== undefined)
  const kept = given.filter(([name, value]) => name !== 'expiration' && name !== 'userId' && isWritable(value))
  const copied: [string, unknown][] = []
  let bytes = 0
  for (const [name, value] of Object.entries(headers)) {
    if (name === 'CC' || !isWritableField(name, value, 0)) continue
    const size = sizeOf({ [name]: value })
    if (bytes + size > PROPERTIES_BYTES) continue
    bytes += size
    copied.push([name, value])
  }
  return {
    options: { ...Object.fromEntries(kept), headers: Object.fromEntries(copied) },
    whole: kept.length === given.length && copied.length === Object.keys(headers).length,
  }
}

/** Short strings; bytes that were no UTF-8 have grown. And a timestamp of up to 64 bits. */
const isWritable = (value: unknown): boolean => (typeof value === 'string' ? isShort(value) : typeof value !== 'number' || Number.isSafeInteger(value))

const isShort = (text: string): boolean => Buffer.byteLength(text) <= 255

/** Both recurse, amqplib and this. */
const DEEPEST = 32

function isWritableField(name: string, value: unknown, depth: number): boolean {
  // amqplib 0.10 calls a table's own `hasOwnProperty`.
  return isShort(name) && name !== 'hasOwnProperty' && isWritableValue(value, depth)
}

function isWritableValue(value: unknown, depth: number): boolean {
  // What is no integer to amqplib is a double, but for large ones.
  if (typeof value === 'number') return Number.isSafeInteger(value) || Math.abs(value) < 2 ** 50
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return true
  if (depth === DEEPEST) return false
  if (Array.isArray(value)) return value.every((each) => isWritableValue(each, depth + 1))
  const table = value as Table
  if (Object.hasOwn(table, '!')) return isWritableTyped(table)
  // It writes inherited fields too, which nobody has counted.
  for (const name in table) if (!Object.hasOwn(table, name) || !isWritableField(name, table[name], depth + 1)) return false
  return true
}

/** amqplib's notation for the types that JavaScript has not, which any table with a `!` looks like. */
function isWritableTyped({ '!': type, value, ...others }: Table): boolean {
  if (Object.keys(others).length > 0) return false
  if (type === 'timestamp') return isCount(value, Number.MAX_SAFE_INTEGER)
  if (type !== 'decimal' || typeof value !== 'object' || value === null) return false
  const { places, digits, ...more } = value as Table
  return isCount(places, 255) && isCount(digits, 2 ** 32 - 1) && Object.keys(more).length === 0
}

const isCount = (value: unknown, most: number): boolean => Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= most
