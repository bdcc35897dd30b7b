import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Json, parseJson } from '../src/json.ts'

/** As JSON.parse would give it: with prototypes, for comparison. */
const plain = (value: Json | undefined): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)))

describe('strict JSON', () => {
  it('reads whatever JSON.stringify writes, up to depth 8', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        expect(plain(parseJson(JSON.stringify(value)))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
      { numRuns: 2_000 },
    )
  })

  it('accepts nothing that JSON.parse does not, and reads it the same', () => {
    const pieces = fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', 'u0061', '\\u0061', '1', '-', '.5', 'e9', '0', 'true', 'nul', 'null', ' ', '\n', '\t', '\u0000', 'é', '"a"', '"b":1')
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const text = parts.join('')
        const value = parseJson(text)
        // Through JSON on both sides: it has no -0.
        if (value !== undefined) expect(plain(value)).toEqual(plain(JSON.parse(text) as Json))
      }),
      { numRuns: 20_000 },
    )
  })

  it.each([
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '[{"b":{"c":1,"c":1}}]',
    '{"__proto__":1,"__proto__":2}',
  ])('refuses duplicate members: %s', (text) => expect(parseJson(text)).toBeUndefined())

  it.each(['', ' ', '{"a":1}x', '[1,]', '{"a"}', '{a:1}', "{'a':1}", '01', '+1', '1.', '.5', 'NaN', '"\n"', '"\\x"', '"\\u12"', '"', 'tru', '\ufeff{}', '[1 2]', '{"a":1,}'])('refuses %j', (text) => expect(parseJson(text)).toBeUndefined())

  it('refuses depth 9, and takes 8', () => {
    expect(parseJson('['.repeat(8) + ']'.repeat(8))).toBeDefined()
    expect(parseJson('['.repeat(9) + ']'.repeat(9))).toBeUndefined()
    expect(parseJson('['.repeat(100_000))).toBeUndefined()
  })

  it('refuses the 16,385th value, or one more than it is told, objects and arrays counted too', () => {
    const values = (count: number): string => `[{"a":0}${',0'.repeat(count - 3)}]`
    expect(parseJson(values(16_384))).toBeDefined()
    expect(parseJson(values(16_385))).toBeUndefined()
    expect(parseJson(values(5), 5)).toBeDefined()
    expect(parseJson(values(6), 5)).toBeUndefined()
  })

  it('takes any white space of JSON between any two tokens, and nothing else there', () => {
    const tokens = ['', '{', '"a"', ':', '[', '1', ',', 'null', ']', ',', '"b"', ':', '{', '}', '}', '']
    for (const space of [' ', '\t', '\n', '\r', ' \r\n\t ']) expect(plain(parseJson(tokens.join(space)))).toEqual({ a: [1, null], b: {} })
    for (let at = 1; at < tokens.length; at++) {
      expect(plain(parseJson(tokens.toSpliced(at, 0, ' ').join('')))).toEqual({ a: [1, null], b: {} })
      for (const other of ['\u00a0', '\v', '\ufeff', '/**/']) expect(parseJson(tokens.toSpliced(at, 0, other).join(''))).toBeUndefined()
    }
  })

  it.each(['"\\\\"', '"\\\\\\""', '["\\\\","x"]', '{"\\\\":"\\""}'])('a quote is escaped by an odd number of backslashes: %s', (text) => expect(plain(parseJson(text))).toEqual(JSON.parse(text)))
  it.each(['"\\"', '"\\\\\\"', '["a', '{"a', '{"a":"b\\"}'])('a string that does not end: %s', (text) => expect(parseJson(text)).toBeUndefined())

  it('objects inherit nothing, and `__proto__` is a member like any other', () => {
    const value = parseJson('{"__proto__":{"polluted":1}}') as Record<string, unknown>
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
    for (const name of ['constructor', 'toString', 'hasOwnProperty']) expect(name in value).toBe(false)
  })
})
