import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Members, scanMembers } from '../src/json-members.ts'

const NAMES = ['protected', 'ciphertext']
const scan = (text: string, start = 0): Members => scanMembers(Buffer.from(text), start, NAMES)

/** Objects and arrays counted, too: as docs/FORMAT.md §1.2 has it. */
function valuesIn(json: unknown): number {
  return 1 + (typeof json === 'object' && json !== null ? Object.values(json).reduce((sum: number, each) => sum + valuesIn(each), 0) : 0)
}

/** Some characters of every string as escapes, which any JSON may have. */
const escaped = (text: string): string => text.replaceAll(/[a-z]/g, (letter, at: number) => (at % 3 === 0 ? `\\u00${letter.charCodeAt(0).toString(16)}` : letter))

describe('the outermost members of a JSON object', () => {
  it('are found as a parser finds them, and values are counted to within a factor of two', () => {
    const name = fc.constantFrom(...NAMES, 'protecte', 'protectedd', '{', '"', 'a\\b', ',', ']', 'a')
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, fc.constantFrom(0, null, true, 'x', ...NAMES, '\\"', ',,{[', '"protected":1'), fc.dictionary(name, tie('value')), fc.array(tie('value'), { maxLength: 5 })),
    }))
    fc.assert(
      fc.property(fc.dictionary(name, value), fc.constantFrom(undefined, 2), fc.boolean(), (json, indent, escape) => {
        const text = JSON.stringify(json, undefined, indent)
        // What has an escape already stays as it is.
        const shown = escape ? text.replaceAll(/"(?:[^"\\]|\\.)*"/g, (string) => (string.includes('\\') ? string : escaped(string))) : text
        expect(JSON.stringify(JSON.parse(shown))).toBe(JSON.stringify(json))
        const { found, values } = scan(shown)
        expect(found).toBe(NAMES.every((each) => Object.hasOwn(json, each)))
        expect(valuesIn(json)).toBeGreaterThanOrEqual(values)
        expect(valuesIn(json)).toBeLessThanOrEqual(2 * values)
      }),
      { numRuns: 1_000 },
    )
  })

  it.each([
    ['nothing but a brace', '{', { found: false, values: 1 }],
    ['a name whose quote is missing', '{"protected":1,"ciphertext', { found: true, values: 2 }],
    ['a name that ends in a backslash', '{"protected":1,"ciphertext\\', { found: false, values: 2 }],
    ['both names, and no end', '{"protected":[1,2],"ciphertext":', { found: true, values: 3 }],
    ['half an escape', '{"protected":1,"\\u006', { found: false, values: 2 }],
    ['upper-case hexadecimal digits', '{"pr\\u006Ftected":1,"ciphertext":1}', { found: true, values: 2 }],
    ['another kind of escape', '{"protecte\\d":1,"ciphertext":1}', { found: false, values: 2 }],
    ['an escape without its backslash', '{"protected":1,"xu0063iphertext":1}', { found: false, values: 2 }],
    ['names behind a closed object', '{}"protected":1,"ciphertext":1', { found: false, values: 2 }],
    ['names one deeper', '[{"protected":1,"ciphertext":1}]', { found: false, values: 2 }],
  ])('of broken text: %s', (_what, text, expected) => expect(scan(text)).toEqual(expected))

  it('begin where they are said to', () => {
    expect(scan('[ {"protected":1,"ciphertext":1}', 2).found).toBe(true)
  })
})
