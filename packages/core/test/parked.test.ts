import { describe, expect, it } from 'vitest'
import { PARK_HEADERS } from '../src/disposition.ts'
import { copyDigest, type ParkedCopy, readParkHeaders, withoutParkHeaders } from '../src/parked.ts'

const good = {
  [PARK_HEADERS.id]: 'billing/orders/0/17',
  [PARK_HEADERS.code]: 'ERR_SEALBUS_KEY_MISSING',
  [PARK_HEADERS.by]: 'billing',
  [PARK_HEADERS.origin]: 'orders/0/17',
  [PARK_HEADERS.time]: '2026-11-28T10:00:00.000Z',
}
const facts = { id: 'billing/orders/0/17', code: 'ERR_SEALBUS_KEY_MISSING', by: 'billing', origin: 'orders/0/17', time: new Date('2026-11-28T10:00:00Z') }

describe('headers of a parked copy', () => {
  it('are read as text or as bytes', () => {
    expect(readParkHeaders(good)).toEqual(facts)
    expect(readParkHeaders(Object.fromEntries(Object.entries(good).map(([name, value]) => [name, Buffer.from(value)])))).toEqual(facts)
  })

  it.each([PARK_HEADERS.id, PARK_HEADERS.code, PARK_HEADERS.by])('%s is needed, once, as a text', (name) => {
    for (const value of [undefined, null, '', 7, {}, ['a'], [good[name]], Buffer.from([0xff, 0xfe]), Buffer.alloc(0), '\ud800', 'x'.repeat(1_025), Buffer.alloc(3_073, 'x')]) {
      expect([value, readParkHeaders({ ...good, [name]: value })]).toEqual([value, undefined])
    }
    const { [name]: _without, ...rest } = good
    expect(readParkHeaders(rest)).toBeUndefined()
    expect(readParkHeaders(Object.create(good) as typeof good), 'inherited is not there').toBeUndefined()
  })

  it('a code is one of ours, also one that this version does not know', () => {
    expect(readParkHeaders({ ...good, [PARK_HEADERS.code]: 'ERR_SEALBUS_OF_THE_FUTURE' })?.code).toBe('ERR_SEALBUS_OF_THE_FUTURE')
    for (const code of ['ERR_SEALBUS_', 'err_sealbus_x', 'ERR_SEALBUS_X\n', ' ERR_SEALBUS_X', 'ERR_SEALBUS_\u001b[2J', `ERR_SEALBUS_${'A'.repeat(61)}`]) expect([code, readParkHeaders({ ...good, [PARK_HEADERS.code]: code })]).toEqual([code, undefined])
  })

  it('origin and time may be missing or senseless', () => {
    expect(readParkHeaders({ ...good, [PARK_HEADERS.origin]: ['a', 'b'], [PARK_HEADERS.time]: 'yesterday' })).toEqual({ ...facts, origin: undefined, time: undefined })
    const { [PARK_HEADERS.origin]: _origin, [PARK_HEADERS.time]: _time, ...rest } = good
    expect(readParkHeaders(rest)).toEqual({ ...facts, origin: undefined, time: undefined })
    expect(readParkHeaders(undefined)).toBeUndefined()
    expect(readParkHeaders({})).toBeUndefined()
  })

  it('longest texts: 1,024 characters', () => {
    expect(readParkHeaders({ ...good, [PARK_HEADERS.id]: 'x'.repeat(1_024) })?.id).toHaveLength(1_024)
    expect(readParkHeaders({ ...good, [PARK_HEADERS.id]: Buffer.from('€'.repeat(1_024)) })?.id).toHaveLength(1_024)
  })

  it('are taken away, and all others stay, whatever they are called', () => {
    const others = JSON.parse('{"__proto__":"p","constructor":"c","trace":["a","b"],"sealbus-park":"x"}') as Record<string, unknown>
    const kept = withoutParkHeaders({ ...good, ...others, ['__proto__' as string]: 'p' })
    expect(Object.keys(kept).toSorted()).toEqual(['__proto__', 'constructor', 'sealbus-park', 'trace'].toSorted())
    expect(Object.getPrototypeOf(kept)).toBe(Object.prototype)
    expect(Object.getOwnPropertyDescriptor(kept, 'trace'), 'as any header').toEqual({ value: ['a', 'b'], enumerable: true, writable: true, configurable: true })
    expect(withoutParkHeaders(undefined)).toEqual({})
  })
})

describe('digest of a copy', () => {
  const copy: ParkedCopy = { ...facts, key: Buffer.from('k'), bytes: Buffer.from('bytes'), headers: { a: '1', b: Buffer.from('2') } }

  it('is the same for another copy of the message, parked at another time with another code, its headers in another order', () => {
    expect(copyDigest({ ...copy, time: undefined, code: 'ERR_SEALBUS_MALFORMED', origin: undefined, headers: { b: Buffer.from('2'), a: '1' } })).toBe(copyDigest(copy))
    expect(copyDigest({ ...copy, headers: { ...copy.headers, 'x-delivery-count': 3, 'x-acquired-count': 4 } }), 'what a queue counts is not the message').toBe(copyDigest(copy))
    expect(copyDigest(copy)).toMatch(/^[\w-]{43}$/)
  })

  it.each<[string, Partial<ParkedCopy>]>([
    ['id', { id: 'billing/orders/0/18' }],
    ['key', { key: Buffer.from('l') }],
    ['no key', { key: null }],
    ['an empty key', { key: Buffer.alloc(0) }],
    ['bytes', { bytes: Buffer.from('byteS') }],
    ['a header', { headers: { a: '1', b: Buffer.from('3') } }],
    ['a header that is called almost as a count', { headers: { ...copy.headers, 'x-delivery-counts': 1 } }],
    ['a header whose name ends as a count', { headers: { ...copy.headers, 'my-x-delivery-count': 1 } }],
    ['a header more', { headers: { a: '1', b: Buffer.from('2'), c: '' } }],
    ['a part that moved into the next', { id: 'billing/orders/0/1', key: Buffer.from('7k') }],
  ])('is another for another %s', (_, change) => {
    expect(copyDigest({ ...copy, ...change })).not.toBe(copyDigest(copy))
  })

  it('is another where the parts are, though all of them together are the same', () => {
    expect(copyDigest({ ...copy, id: 'a- b', key: Buffer.from('c') })).not.toBe(copyDigest({ ...copy, id: 'a', key: Buffer.from('b- c') }))
  })

  it('tells no key from an empty one', () => {
    expect(copyDigest({ ...copy, key: null })).not.toBe(copyDigest({ ...copy, key: Buffer.alloc(0) }))
  })
})
