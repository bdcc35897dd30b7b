import fc from 'fast-check'
import { expect } from 'vitest'
import { type Json, parseJson } from '../src/json.ts'
import { LIMITS } from '../src/limits.ts'
import { edits } from './edits.ts'
import { textOf, type Tree, treeEdits, treeOf } from './json-tree.ts'
import { fuzz } from './property.ts'

const value = fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' })
const spaced = fc.tuple(value, fc.constantFrom('', ' ', '\t\n', '\r  ')).map(([each, space]) => JSON.stringify(each, null, space))
const edited = fc.tuple(value, treeEdits).map(([each, edit]) => textOf(edit(treeOf(each))))
const broken = fc.tuple(spaced, edits).map(([text, edit]) => edit(Buffer.from(text)).toString())

const NOTHING = Symbol('no JSON')

function oracle(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return NOTHING
  }
}

/** Depth, and the members as written: JSON.parse shows neither. */
function shape(parsed: unknown): { depth: number; members: number } {
  if (typeof parsed !== 'object' || parsed === null) return { depth: 0, members: 0 }
  const children = Object.values(parsed).map(shape)
  return { depth: 1 + Math.max(0, ...children.map(({ depth }) => depth)), members: children.reduce((sum, { members }) => sum + members, Array.isArray(parsed) ? 0 : children.length) }
}

/** Names as written, in a text that is JSON: a colon outside a string follows each. */
function writtenMembers(text: string): number {
  return text.replace(/"(?:[^"\\]|\\.)*"/gs, '').split(':').length - 1
}

/** Whether no name and no value has half of a surrogate pair. */
function hasUtf8(parsed: unknown): boolean {
  if (typeof parsed === 'string') return parsed.isWellFormed()
  return typeof parsed !== 'object' || parsed === null || Object.entries(parsed).every(([name, value]) => name.isWellFormed() && hasUtf8(value))
}

fuzz('strict JSON is what JSON.parse takes, less doubled members, halves of surrogate pairs and deep nesting', {
  share: 0.1,
  values: fc.oneof(spaced, edited, broken),
  run: (text): Json | undefined => parseJson(text),
  check({ result }, text) {
    const expected = oracle(text)
    const { depth, members } = shape(expected)
    const strict = expected !== NOTHING && depth <= LIMITS.jsonDepth && members === writtenMembers(text) && hasUtf8(expected)
    expect(result !== undefined, text).toBe(strict)
    if (strict) expect(JSON.stringify(result)).toBe(JSON.stringify(expected))
  },
  reaches: ['success', 'nothing'],
})

const hostile: fc.Arbitrary<string> = fc.tuple(fc.constantFrom('[', '{"a":', '"\\\\', '\\"', '"\\u0061', '{"a":1,', ' ', '0', '1e', '-', ',', '[],', '"a":', '\u0000', '"__proto__":{', '9'), fc.integer({ min: 1_000, max: 20_000 }), fc.constantFrom('', '"', ']', '}')).map(
  ([unit, count, end]) => unit.repeat(count) + end,
)

fuzz('long hostile texts are settled at once', {
  share: 0.01,
  values: hostile,
  run: (text): Json | undefined => parseJson(text),
  check({ result }, text) {
    if (result !== undefined) expect(JSON.stringify(result)).toBe(JSON.stringify(oracle(text)))
  },
  reaches: ['success', 'nothing'],
})

/** No member of a text reaches a prototype. */
fuzz('objects inherit nothing, and change nothing that others inherit', {
  share: 0.01,
  values: fc.tuple(value, treeEdits).map(([each, edit]): Tree => edit(treeOf({ __proto__: null, inner: each, constructor: { prototype: { polluted: 1 } } }))),
  run: (tree): Json | undefined => parseJson(textOf(tree)),
  check({ result }) {
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
    if (typeof result === 'object' && result !== null && !Array.isArray(result)) expect('toString' in result).toBe(Object.hasOwn(result, 'toString'))
  },
  reaches: ['success', 'nothing'],
})
