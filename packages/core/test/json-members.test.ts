import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasMembers } from '../src/json-members.ts'

const NAMES = ['protected', 'ciphertext']
/** Of more bytes than are looked at one by one. */
const LONG = ['x', '"', '\\', 'é', 'x"'].map((unit) => unit.repeat(100))
const found = (text: string, start = 0): boolean => hasMembers(Buffer.from(text), start, NAMES)

/** Some characters of every string as escapes, which any JSON may have. */
const escaped = (text: string): string => text.replaceAll(/[a-z]/g, (letter, at: number) => (at % 3 === 0 ? `\\u00${letter.charCodeAt(0).toString(16)}` : letter))

describe('the outermost members of a JSON object', () => {
  it('are found as a parser finds them', () => {
    const name = fc.constantFrom(...NAMES, 'protecte', 'protectedd', '{', '"', 'a\\b', ',', ']', 'a', ...LONG)
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, fc.constantFrom(0, null, true, 'x', ...NAMES, '\\"', ',,{[', '"protected":1'), fc.dictionary(name, tie('value')), fc.array(tie('value'), { maxLength: 5 })),
    }))
    fc.assert(
      fc.property(fc.dictionary(name, value), fc.constantFrom(undefined, 2), fc.boolean(), (json, indent, escape) => {
        const text = JSON.stringify(json, undefined, indent)
        // What has an escape already stays as it is.
        const shown = escape ? text.replaceAll(/"(?:[^"\\]|\\.)*"/g, (string) => (string.includes('\\') ? string : escaped(string))) : text
        expect(JSON.stringify(JSON.parse(shown))).toBe(JSON.stringify(json))
        expect(found(shown)).toBe(NAMES.every((each) => Object.hasOwn(json, each)))
      }),
      { numRuns: 1_000 },
    )
  })

  it.each([
    ['nothing but a brace', '{', false],
    ['a name that ends in a backslash', '{"protected":1,"ciphertext\\', false],
    ['both names, and no end', '{"protected":[1,2],"ciphertext":', true],
    ['half an escape', '{"protected":1,"\\u006', false],
    ['upper-case hexadecimal digits', '{"pr\\u006Ftected":1,"ciphertext":1}', true],
    ['another kind of escape', '{"protecte\\d":1,"ciphertext":1}', false],
    ['an escape without its backslash', '{"protected":1,"xu0063iphertext":1}', false],
    ['a larger code', '{"protected":1,"\\u0163iphertext":1}', false],
    ['a much larger code', '{"protected":1,"\\u1063iphertext":1}', false],
    ['an escape of another letter than u', '{"protected":1,"\\x0063iphertext":1}', false],
    ['names behind a closed object', '{}"protected":1,"ciphertext":1', false],
    ['names one deeper', '[{"protected":1,"ciphertext":1}]', false],
    ['a name behind a string without a comma', '{"a""protected":1,"ciphertext":1', false],
    ['a long string without an end', `{"protected":1,"${'x'.repeat(100)}`, false],
    ['a long string that ends in an escaped quote', `{"protected":1,"${'x'.repeat(100)}\\"ciphertext"`, false],
  ])('of broken text: %s', (_what, text, expected) => expect(found(text)).toBe(expected))

  // Each would be a letter of the names if what stands beside the digits of an alphabet were one.
  it.each(['7/', '6@', '6`', '6g', '6G'])('have no escape of the digits %s', (digits) => {
    for (const name of NAMES) {
      const others = NAMES.filter((each) => each !== name).map((each) => `"${each}":1`)
      for (let at = 0; at < name.length; at++) expect(found(`{${others.join()},"${name.slice(0, at)}\\u00${digits}${name.slice(at + 1)}":1}`)).toBe(false)
    }
  })

  // A search takes over there.
  it.each([63, 64, 65, 66])('behind a string of %i bytes, with a quote in it or none', (bytes) => {
    for (const end of ['', '\\"', '\\\\', '\\"x', '\\\\\\"x']) {
      const string = `${'x'.repeat(bytes - end.length)}${end}`
      expect(found(`{"a":"${string}","protected":1,"ciphertext":1}`), string).toBe(true)
      expect(found(`{"a":"${string},","protected":"x","b":",ciphertext"}`), string).toBe(false)
    }
  })

  it('begin where they are said to', () => {
    expect(found('[ {"protected":1,"ciphertext":1}', 2)).toBe(true)
  })
})
