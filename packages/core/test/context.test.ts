import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ChannelDeclaration, defineChannels } from '../src/channels.ts'
import { bindHeaders, checkContext, type Context, decodeContext, decodeRepeated, encodeContext, hashRecordKey, repeatedContext, type Surroundings } from '../src/context.ts'
import { parseJson } from '../src/json.ts'
import { codeOf } from './support/thrown.ts'

const MISMATCH = 'ERR_SEALBUS_CONTEXT_MISMATCH'
const CONTEXT: Context = { id: 'm-1', iat: 1_795_456_800, channel: 'orders', to: ['billing'] }
const channel = (declaration: Partial<ChannelDeclaration> = {}): Surroundings['channel'] => defineChannels({ orders: { to: ['billing'], ...declaration } }).get('orders')
const check = (context: Partial<Context>, where: Partial<Surroundings> = {}): string => {
  try {
    checkContext({ ...CONTEXT, ...context }, { channel: channel(), realm: undefined, ...where })
  } catch (error) {
    return codeOf(() => {
      throw error
    })
  }
  return 'same'
}

describe('context: encoding', () => {
  it('what is encoded decodes to the same, whatever the texts hold', () => {
    const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 })
    const contexts = fc.record<Context>(
      {
        id: name,
        iat: fc.integer({ min: 0, max: 8.64e12 }),
        channel: name,
        to: fc.array(name, { minLength: 1, maxLength: 5 }),
        key: fc.string().map((key) => hashRecordKey(key)),
        contentEncoding: name,
        inReplyTo: name,
        realm: name,
        compression: fc.constantFrom('gzip', 'zstd'),
        headers: fc.dictionary(name, fc.array(fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64url')))),
      },
      { requiredKeys: ['id', 'iat', 'channel', 'to'] },
    )
    fc.assert(
      fc.property(contexts, (context) => {
        const decoded = decodeContext(parseJson(encodeContext(context)))
        expect(JSON.parse(JSON.stringify(decoded))).toEqual(JSON.parse(JSON.stringify(context)))
      }),
    )
  })

  it('writes no absent member, and no white space', () => {
    expect(encodeContext(CONTEXT)).toBe('{"v":1,"id":"m-1","iat":1795456800,"ch":"orders","to":["billing"]}')
  })

  it('ignores members of the future, under this version only', () => {
    const text = (version: number): string => encodeContext(CONTEXT).replace('"v":1', `"v":${version},"new":{"a":[1]}`)
    expect(decodeContext(parseJson(text(1)))).toEqual(CONTEXT)
    for (const version of [0, 2, -1, 1e300]) expect(codeOf(() => decodeContext(parseJson(text(version))))).toBe('ERR_SEALBUS_UNSUPPORTED_VERSION')
  })

  it.each<[string, string]>([
    ['an array', '[]'],
    ['null', 'null'],
    ['a null member', '{"v":1,"id":"x","iat":1,"ch":"c","to":["a"],"realm":null}'],
    ['an `iat` that is no date', '{"v":1,"id":"x","iat":8640000000001,"ch":"c","to":["a"]}'],
    ['101 names', JSON.stringify({ v: 1, id: 'x', iat: 1, ch: 'c', to: Array.from({ length: 101 }, (_, index) => `r${index}`) })],
    ['a `key` of 31 bytes', JSON.stringify({ v: 1, id: 'x', iat: 1, ch: 'c', to: ['a'], key: Buffer.alloc(31).toString('base64url') })],
    ['a padded `key`', JSON.stringify({ v: 1, id: 'x', iat: 1, ch: 'c', to: ['a'], key: `${Buffer.alloc(32).toString('base64url')}=` })],
    ['a `v` that is no number', '{"v":"1","id":"x","iat":1,"ch":"c","to":["a"]}'],
    ['a `v` with a fraction', '{"v":1.5,"id":"x","iat":1,"ch":"c","to":["a"]}'],
    ['an `iat` that is no number', '{"v":1,"id":"x","iat":"1","ch":"c","to":["a"]}'],
    ['an `iat` before 1970', '{"v":1,"id":"x","iat":-1,"ch":"c","to":["a"]}'],
    ['one name of several that is none', '{"v":1,"id":"x","iat":1,"ch":"c","to":["a",""]}'],
    ['`hdr` that is an array', '{"v":1,"id":"x","iat":1,"ch":"c","to":["a"],"hdr":[]}'],
  ])('%s is malformed', (_title, text) => expect(codeOf(() => decodeContext(parseJson(text)))).toBe('ERR_SEALBUS_MALFORMED'))

  it('the latest date is one', () => {
    const { iat } = decodeContext(parseJson('{"v":1,"id":"x","iat":8640000000000,"ch":"c","to":["a"]}'))
    expect(new Date(iat * 1_000).getTime()).not.toBeNaN()
  })
})

describe('context: the record key', () => {
  it.each([[undefined, /this transport has none/], [null, /not the one it was sealed with/], ['b', /not the one it was sealed with/]])('found %o: the reason says what to do', (found, reason) => {
    expect(() => checkContext({ ...CONTEXT, key: hashRecordKey('a') }, { channel: channel(), realm: undefined, key: found })).toThrow(reason)
  })

  it('is the SHA-256 of its bytes, as text or as bytes', () => {
    expect(hashRecordKey('42')).toBe('c0dctApWjo2ooEXO0RATfhWfiQrE2og7axfcZRs6gEk')
    expect(hashRecordKey('é')).toBe(hashRecordKey(Buffer.from('é')))
    expect(hashRecordKey('')).toBe('47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU')
  })

  const SEALED = { none: undefined, empty: hashRecordKey(''), a: hashRecordKey('a') }
  const FOUND = { none: null, empty: '', a: Buffer.from('a'), b: 'b', 'no such thing': undefined }
  const same = new Set(['none none', 'none no such thing', 'empty empty', 'a a'])
  const pairs = Object.keys(SEALED).flatMap((sealed) => Object.keys(FOUND).map((found) => [sealed, found] as [keyof typeof SEALED, keyof typeof FOUND]))

  it.each(pairs)('sealed with %s, found %s', (sealed, found) => {
    const key = SEALED[sealed]
    const context = key === undefined ? {} : { key }
    expect(check(context, { key: FOUND[found] })).toBe(same.has(`${sealed} ${found}`) ? 'same' : MISMATCH)
    expect(check(context, { key: FOUND[found], channel: channel({ bind: { key: false } }) })).toBe('same')
  })
})

describe('context: headers', () => {
  const hdr = (...values: string[]): readonly string[] => values.map((value) => Buffer.from(value).toString('base64url'))

  it.each<[string, string, Record<string, unknown> | undefined]>([
    ['the same text', 'same', { tenant: 'acme' }],
    ['the same bytes', 'same', { tenant: Buffer.from('acme') }],
    ['a list of that one', 'same', { tenant: ['acme'] }],
    ['more headers', 'same', { tenant: 'acme', other: 1 }],
    ['a transport without headers', 'same', undefined],
    ['another text', MISMATCH, { tenant: 'evil' }],
    ['another letter case', MISMATCH, { tenant: 'Acme' }],
    ['the same twice', MISMATCH, { tenant: ['acme', 'acme'] }],
    ['an empty list', MISMATCH, { tenant: [] }],
    ['none', MISMATCH, {}],
    ['a number', MISMATCH, { tenant: 7 }],
    ['one that is only inherited', MISMATCH, Object.create({ tenant: 'acme' }) as Record<string, unknown>],
  ])('%s: %s', (_title, expected, headers) => expect(check({ headers: { tenant: hdr('acme') } }, { headers })).toBe(expected))

  it('several values count in their order', () => {
    const context = { headers: { via: hdr('a', 'b') } }
    expect(check(context, { headers: { via: ['a', Buffer.from('b')] } })).toBe('same')
    expect(check(context, { headers: { via: ['b', 'a'] } })).toBe(MISMATCH)
    expect(check(context, { headers: { via: ['a'] } })).toBe(MISMATCH)
  })

  it('one that the channel binds must have been bound, also where the transport has none', () => {
    const where = { channel: channel({ bind: { headers: ['tenant'] } }) }
    expect(check({}, where)).toBe(MISMATCH)
    expect(check({ headers: { other: hdr('x') } }, { ...where, headers: { other: 'x' } })).toBe(MISMATCH)
    expect(check({ headers: { tenant: hdr('acme') } }, where)).toBe('same')
  })

  it('are bound from the transport, by own names only', () => {
    expect(bindHeaders([], { a: 1 })).toBeUndefined()
    expect({ ...bindHeaders(['a', 'b'], { a: 'x', b: [Buffer.from('y'), 'z'], c: 1 }) }).toEqual({ a: hdr('x'), b: hdr('y', 'z') })
    for (const [name, headers] of [['toString', {}], ['a', undefined], ['a', { a: 1 }], ['a', { a: ['x', null] }], ['a', { a: new Uint8Array(1) }]] as const) {
      expect(codeOf(() => bindHeaders([name], headers))).toBe('ERR_SEALBUS_INVALID_OPTION')
    }
  })

  it('a header called `__proto__` is bound and checked like any other', () => {
    const headers = JSON.parse('{"__proto__":"acme"}') as Record<string, unknown>
    const bound = bindHeaders(['__proto__'], headers)
    const context = decodeContext(parseJson(encodeContext({ ...CONTEXT, ...(bound && { headers: bound }) })))
    expect(check(context, { headers })).toBe('same')
    expect(check(context, { headers: {} })).toBe(MISMATCH)
    expect(check(context, { headers: JSON.parse('{"__proto__":"evil"}') as Record<string, unknown> })).toBe(MISMATCH)
  })
})

describe('context: where it belongs', () => {
  it('another channel', () => expect(check({ channel: 'invoices' })).toBe(MISMATCH))

  it('a realm is required and equal where there is one here, and else of no account', () => {
    expect(check({ realm: 'prod' }, { realm: 'prod' })).toBe('same')
    expect(check({ realm: 'prod' })).toBe('same')
    expect(check({ realm: 'test' }, { realm: 'prod' })).toBe(MISMATCH)
    expect(check({}, { realm: 'prod' })).toBe(MISMATCH)
  })
})

describe('a context whose channel and recipients are known', () => {
  const context = (own: Partial<Context>): Context => ({ id: 'x', iat: 1, channel: 'orders', to: ['a', 'b'], ...own })
  const known = repeatedContext(context({}))
  const decode = (msg: string): Context | undefined => decodeRepeated(`before${msg}}`, 6, known)
  const digest = Buffer.alloc(32, 255).toString('base64url')

  it.each<Partial<Context>>([{}, { id: ' !#[]~' }, { id: 'x'.repeat(128) }, { iat: 0 }, { iat: 10 }, { iat: 999_999_999_999 }, { key: digest }])('is read without parsing: %o', (own) => {
    const text = encodeContext(context(own))
    expect(decode(text)).toEqual(decodeContext(parseJson(text)))
  })

  it.each([
    ['another channel', encodeContext(context({ channel: 'invoices' }))],
    ['other recipients', encodeContext(context({ to: ['a', 'c'] }))],
    ['recipients in another order', encodeContext(context({ to: ['b', 'a'] }))],
    ['an id to be unescaped', encodeContext(context({ id: 'x"y' }))],
    ['an id beyond ASCII', encodeContext(context({ id: 'é' }))],
    ['an id that is too long', encodeContext(context({ id: 'x'.repeat(129) }))],
    ['an empty id', encodeContext(context({ id: '' }))],
    ['a time of thirteen digits', encodeContext(context({ iat: 1_000_000_000_000 }))],
    ['a time with a zero in front', encodeContext(context({})).replace('"iat":1', '"iat":01')],
    ['a negative time', encodeContext(context({ iat: -1 }))],
    ['a digest with stray bits', encodeContext(context({ key: `${digest.slice(0, -1)}9` }))],
    ['a digest that is too short', encodeContext(context({ key: digest.slice(1) }))],
    ['a content encoding', encodeContext(context({ contentEncoding: 'gzip' }))],
    ['bound headers', encodeContext(context({ headers: { trace: ['YQ'] } }))],
    ['another version', encodeContext(context({})).replace('"v":1', '"v":2')],
    ['a text behind it', `${encodeContext(context({}))} `],
    ['a text before it', ` ${encodeContext(context({}))}`],
  ])('is left to be parsed with %s', (_title, msg) => expect(decode(msg)).toBeUndefined())
})
