import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBase64url, decodedSize, encodedSize, readBase64url, writeBase64url } from '../src/base64url.ts'

describe('base64url', () => {
  it('gives back any bytes, and knows their number before decoding', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64url')
        expect(decodeBase64url(text)).toEqual(Buffer.from(bytes))
        expect(decodedSize(text.length)).toBe(bytes.length)
        expect(encodedSize(bytes.length)).toBe(text.length)
      }),
    )
  })

  it('has one text for each value: whatever it takes is what it would write', () => {
    const characters = fc.constantFrom('A', 'B', 'z', '9', '-', '_', '+', '/', '=', ' ', '\n', '.', 'é', '\u0000')
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 12 }), (text) => {
        const bytes = decodeBase64url(text)
        if (/^[\w-]*$/.test(text) && text.length % 4 === 0) expect(bytes).toBeDefined()
        if (bytes) expect(bytes.toString('base64url')).toBe(text)
      }),
      { numRuns: 5_000 },
    )
  })

  it.each([
    ['padding', 'AA=='],
    ['white space before', ' AAAA'],
    ['white space after', 'AAAA\n'],
    ['white space inside', 'AA AA'],
    ['the other alphabet', '+/AA'],
    ['both alphabets', '-/AA'],
    ['stray bits after one byte', 'AB'],
    ['stray bits after two bytes', 'AAB'],
    ['a length that no value has', 'AAAAA'],
    ['a character beyond ASCII', 'AAA\u0141'],
    ['a NUL', 'AAAA\u0000'],
  ])('refuses %s', (_title, text) => expect(decodeBase64url(text)).toBeUndefined())

  it('in a buffer, takes and refuses the very same texts without encoding again', () => {
    const damage = fc.record({ at: fc.nat(60), character: fc.oneof(fc.constantFrom('+', '/', '=', '-', '_', ' ', '\n', 'A', '\u0080', '\u00ff'), fc.integer({ max: 255, min: 0 }).map((code) => String.fromCharCode(code))), insert: fc.boolean() })
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(damage, { maxLength: 3 }), (bytes, damages) => {
        const text = damages.reduce((each, { at, character, insert }) => each.slice(0, at) + character + each.slice(insert ? at : at + 1), Buffer.from(bytes).toString('base64url'))
        expect(readBase64url(Buffer.from(`--${text}--`, 'latin1'), 2, 2 + text.length)).toEqual(decodeBase64url(text))
      }),
      { numRuns: 20_000 },
    )
  })

  it.each([24_575, 24_576, 24_577, 49_152, 100_000])('reads and writes %i bytes in pieces', (size) => {
    const bytes = randomBytes(size)
    const text = Buffer.alloc(encodedSize(size) + 2, '.')
    expect(writeBase64url(bytes, text, 1)).toBe(text.length - 1)
    expect(text.toString()).toBe(`.${bytes.toString('base64url')}.`)
    expect(readBase64url(text, 1, text.length - 1)).toEqual(bytes)
    for (const at of [1, 32_767, 32_768, 32_769, text.length - 2].filter((each) => each < text.length - 1)) {
      const damaged = Buffer.from(text)
      damaged.write('=', at)
      expect(readBase64url(damaged, 1, text.length - 1)).toBeUndefined()
    }
  })
})
