import { opened, type OpenedMessage } from '@sealbus/core'
import { describe, expect, it } from 'vitest'
import type { OutgoingRecord } from '../src/client-shape.ts'
import { checkRecord, contentTypeOf, toOpenedRecord, toPlainRecord, toSealedRecord, toSealOptions } from '../src/record.ts'

const sealed = { bytes: Buffer.from('envelope'), contentType: 'application/jose+json', id: 'i' }
const openedMessage = (more: Partial<OpenedMessage> = {}): OpenedMessage => ({
  plaintext: Buffer.from('plain'), contentType: undefined, contentEncoding: undefined, id: 'i', time: new Date(0), channel: 'orders', kid: 'k', sender: undefined, inReplyTo: undefined, envelope: Buffer.from('envelope'), ...more,
})

describe('records out', () => {
  it.each([[undefined], [null]])('a key that is %s is none', (key) => {
    expect(toSealOptions('orders', { value: 'x', ...(key !== undefined && { key }) })).toEqual({ channel: 'orders', key: null })
  })

  it.each<[string, unknown]>([['Content-Type', 'text/plain'], ['CONTENT-TYPE', Buffer.from('text/plain')], ['content-type', new TextEncoder().encode('text/plain')]])('%s moves inside, whatever its case and type', (name, value) => {
    const record = { value: 'x', headers: { [name]: value, other: 'kept' } }
    expect(toSealOptions('orders', record).contentType).toBe('text/plain')
    expect(toSealedRecord(record, sealed).headers).toEqual({ other: 'kept', 'content-type': 'application/jose+json' })
  })

  it.each<[string, object]>([['twice', { 'content-type': ['text/plain', 'text/html'] }], ['as a list of none', { 'Content-Type': [] }]])('a content type %s is refused, because it would be lost', (_title, headers) => {
    expect(() => toSealOptions('orders', { value: 'x', headers } as OutgoingRecord)).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' }) as Error)
  })

  it('a content type in a list of one is that one, and one without a value is none', () => {
    expect(toSealOptions('orders', { value: 'x', headers: { 'content-type': ['text/plain'] } }).contentType).toBe('text/plain')
    for (const none of [undefined, null]) expect(toSealOptions('orders', { value: 'x', headers: { 'content-type': none } })).not.toHaveProperty('contentType')
  })

  it('a view into a larger buffer goes out as its own bytes only', () => {
    const view = new Uint8Array(new TextEncoder().encode('--mid--').buffer, 2, 3)
    const { value, key } = toPlainRecord({ value: view as Buffer, key: view as Buffer })
    expect([value, key]).toEqual([Buffer.from('mid'), Buffer.from('mid')])
  })

  it('a record of a class, whose members are not its own, keeps its place and time', () => {
    class Event {
      get key(): string { return 'k' }
      get value(): string { return 'v' }
      get partition(): number { return 3 }
      get timestamp(): string { return '7' }
      get headers(): Record<string, string> { return { a: 'b' } }
    }
    expect(toPlainRecord(new Event())).toEqual({ key: 'k', value: 'v', partition: 3, timestamp: '7', headers: { a: 'b' } })
  })

  it('an error about a value names the place, and nothing of the message', () => {
    const bad = (value: unknown): unknown => {
      try {
        checkRecord({ value, note: 'secret' } as unknown as OutgoingRecord, 'orders', 3)
        return undefined
      } catch (error) {
        return error
      }
    }
    for (const value of [undefined, { secret: 1 }, 7, ['secret']]) expect(String(bad(value))).toBe('SealbusError: message 3 for topic "orders" has no `value` that is a Buffer, a string or null')
    for (const value of ['', null, Buffer.alloc(0), new Uint8Array(1)]) expect(bad(value)).toBeUndefined()
    expect(() => checkRecord(undefined as unknown as OutgoingRecord, 'orders', 0)).toThrow(/message 0/)
  })
})

describe('headers', () => {
  const check = (headers: object) => (): void => checkRecord({ value: 'x', headers } as OutgoingRecord, 'orders', 2)

  it('of a kind that the client would choke on are refused by name: Confluent\'s sends such a message all the same', () => {
    for (const header of [7, true, { secret: 1 }, ['a', 7], [['secret']]]) expect(check({ total: header })).toThrow('message 2 for topic "orders" has a header "total" that is no Buffer, string, or list of them')
  })

  it('of all other kinds pass', () => {
    expect(check({ a: 'x', b: Buffer.from('x'), c: ['x', new Uint8Array(1)], d: [], e: undefined, f: null })).not.toThrow()
  })
})

describe('records in', () => {
  const delivered = { key: null, value: Buffer.from('envelope'), offset: '5', timestamp: '7', headers: { 'Content-Type': Buffer.from('application/jose+json'), many: [Buffer.from('a'), Buffer.from('b')] } }

  it('the content type is the one from inside, or there is none', () => {
    expect(toOpenedRecord(delivered, openedMessage()).headers).toEqual({ many: [Buffer.from('a'), Buffer.from('b')] })
    expect(toOpenedRecord(delivered, openedMessage({ contentType: 'text/plain' })).headers?.['content-type']).toEqual(Buffer.from('text/plain'))
  })

  it('is a new object with all members, marked as opened, and the one that came is as it was', () => {
    const frozen = Object.freeze({ ...delivered, headers: Object.freeze({ ...delivered.headers }) })
    const message = toOpenedRecord(frozen, openedMessage())
    expect(message).toMatchObject({ key: null, value: Buffer.from('plain'), offset: '5', timestamp: '7' })
    expect(opened({ ...message })).toMatchObject({ id: 'i', channel: 'orders', kid: 'k' })
    expect(opened(frozen)).toBeUndefined()
  })

  it('a header without a value, as Kafka allows, is shown as the client shows it', () => {
    const headers = { empty: null, half: [null, Buffer.from('h')] }
    expect(toOpenedRecord({ offset: '7', key: null, value: Buffer.from('envelope'), headers }, openedMessage()).headers).toEqual(headers)
  })

  it('headers that are missing altogether (other clients) are no error', () => {
    const { headers: _headers, ...bare } = delivered
    expect(toOpenedRecord(bare, openedMessage()).headers).toEqual({})
    expect(contentTypeOf(undefined)).toBeUndefined()
  })

  it('names of Object.prototype, and a name that comes twice, are no content type', () => {
    expect(contentTypeOf(JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>)).toBeUndefined()
    expect(contentTypeOf({ 'content-type': [Buffer.from('a'), Buffer.from('b')] })).toBeUndefined()
    expect(contentTypeOf(Object.create({ 'content-type': 'inherited' }) as Record<string, string>)).toBeUndefined()
  })
})
