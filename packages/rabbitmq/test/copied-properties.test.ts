import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { copiedProperties } from '../src/copied-properties.ts'

/** amqplib's own, of the release that refuses most. */
const { encodeTable, decodeFields } = createRequire(import.meta.url)('amqplib-0.10/lib/codec') as {
  encodeTable: (buffer: Buffer, table: object, offset: number) => number
  decodeFields: (bytes: Buffer) => Record<string, unknown>
}
const SCRATCH = 65_536

const copied = (properties: object): ReturnType<typeof copiedProperties> => copiedProperties({ properties })
const headersOf = (headers: object): object | undefined => copied({ headers }).options.headers

/** A field as it stands on the wire: its name, and its type with its value. */
const field = (name: string | Buffer, type: string, value: Buffer = Buffer.alloc(0)): Buffer => Buffer.concat([Buffer.from([Buffer.byteLength(name)]), Buffer.from(name), Buffer.from(type), value])
const lengthed = (value: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(value.length)
  return Buffer.concat([length, value])
}
const text = (value: string): Buffer => lengthed(Buffer.from(value))
const bits = (hex: string): Buffer => Buffer.from(hex, 'hex')
const kept = field('kept', 'S', text('yes'))

describe('of a message that is published again', () => {
  test('all are kept that do not act on the copy', () => {
    const headers = { text: 't', flag: true, none: null, bytes: Buffer.from('b'), list: [1, [2]], table: { deep: { count: -1.5 } }, when: { '!': 'timestamp', value: 1_790_000_000 }, price: { '!': 'decimal', value: { places: 2, digits: 995 } } }
    const properties = { contentType: 'application/jose+json', correlationId: 'c', timestamp: 1_790_000_000, priority: 3, headers }
    expect(copied(properties)).toEqual({ options: properties, whole: true })
  })

  test.each([{ expiration: '5' }, { userId: 'guest' }, { headers: { CC: ['elsewhere'] } }])('without %j', (acting) => {
    expect(copied({ messageId: 'm', ...acting })).toEqual({ options: { messageId: 'm', headers: {} }, whole: false })
  })
})

describe('what amqplib reads and cannot write is left out alone:', () => {
  test.each<[string, Buffer]>([
    ['a table that looks like a type', field('bad', 'F', lengthed(field('!', 'S', text('x'))))],
    ['a decimal without its digits', field('bad', 'F', lengthed(Buffer.concat([field('!', 'S', text('decimal')), field('value', 'F', lengthed(Buffer.alloc(0)))])))],
    ['a table that has what amqplib calls', field('bad', 'F', lengthed(field('hasOwnProperty', 't', bits('01'))))],
    ['a table within a prototype', field('bad', 'F', lengthed(field('__proto__', 'F', lengthed(field('x', 'F', lengthed(field('!', 'S', text('x'))))))))],
    ['no number', field('bad', 'd', bits('7ff8000000000000'))],
    ['an endless number', field('bad', 'd', bits('fff0000000000000'))],
    ['a large negative number', field('bad', 'd', bits('fe37e43c8800759c'))],
    ['a name that grew', field(Buffer.alloc(255, 0xff), 't', bits('01'))],
    ['more than it has room for', field('bad', 'S', text('x'.repeat(70_000)))],
  ])('%s', (_, bad) => {
    const headers = decodeFields(Buffer.concat([bad, kept]))
    expect(headersOf(headers)).toEqual({ kept: 'yes' })
    const reencode = (): Buffer => {
      const buffer = Buffer.alloc(SCRATCH)
      return buffer.subarray(4, encodeTable(buffer, headers, 0))
    }
    // Release 2.3.1 throws; those before cut it off.
    expect(() => expect(decodeFields(reencode())).toEqual(headers)).toThrow()
  })

  test('a timestamp that no double can hold, and texts that grew', () => {
    const table = field('bad', 'T', bits('ffffffffffffffff'))
    expect(headersOf(decodeFields(Buffer.concat([table, kept])))).toEqual({ kept: 'yes' })
    expect(copied({ timestamp: 2 ** 64, correlationId: '\ufffd'.repeat(255), messageId: 'm' })).toEqual({ options: { messageId: 'm', headers: {} }, whole: false })
  })

  test('nesting without end', () => {
    let value: unknown = 1
    for (let depth = 0; depth < 10_000; depth++) value = [value]
    expect(headersOf({ value, kept: 'yes' })).toEqual({ kept: 'yes' })
  })

  test('what does not fit beside the rest, and that can be written', () => {
    const headers = Object.fromEntries(Array.from({ length: 9_000 }, (_, index) => [`n${index}`, 2 ** 40 + index]))
    const fitting = headersOf(headers) ?? {}
    expect(Object.keys(fitting).length).toBeGreaterThan(3_000)
    const buffer = Buffer.alloc(SCRATCH)
    expect(decodeFields(buffer.subarray(4, encodeTable(buffer, fitting, 0)))).toEqual(fitting)
  })
})
