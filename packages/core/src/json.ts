import { LIMITS } from './limits.ts'

/**
 * Strict JSON (RFC 8259) for untrusted input: refuses duplicate members at any level, compared after unescaping, and
 * halves of surrogate pairs, deep nesting, and very many values. JSON.parse hides the first, and quotes its input in errors. Objects inherit nothing.
 */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [member: string]: Json
}

/**
 * Undefined: not strict JSON. No reason is given, because a reason would quote the input.
 * @param values the most that the text may have, arrays and objects counted too
 */
export function parseJson(text: string, values: number = LIMITS.jsonValues): Json | undefined {
  const reader = new Reader(text, values)
  try {
    return reader.document()
  } catch (error) {
    if (error instanceof NotJson) return undefined
    throw error
  }
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

class NotJson extends Error {}

/**
 * An object that inherits nothing, so that `constructor` and `__proto__` are members like any other. As fast as a class
 * instance; an object without any prototype is kept as a hash table.
 */
const Members = function () {} as unknown as new () => Record<string, Json>
Members.prototype = Object.create(null)

const SPACE = /[ \t\n\r]*/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
// oxlint-disable-next-line no-control-regex -- RFC 8259 §7 forbids exactly these in a string
const CONTROL = /[\u0000-\u001f]/

const QUOTE = 0x22
const BACKSLASH = 0x5c

class Reader {
  readonly #text: string
  /** Whether no string can hold one, which is the usual case: asked once, and not of each string. */
  readonly #withoutControls: boolean
  #at = 0
  #depth = 0
  #valuesLeft: number

  constructor(text: string, values: number) {
    this.#text = text
    this.#valuesLeft = values
    this.#withoutControls = !CONTROL.test(text)
  }

  document(): Json {
    const value = this.#value()
    this.#space()
    if (this.#at !== this.#text.length) throw new NotJson()
    return value
  }

  #space(): void {
    const code = this.#text.charCodeAt(this.#at)
    // Dense JSON is the usual case: no regular expression for it.
    if (code > 32 || Number.isNaN(code)) return
    SPACE.lastIndex = this.#at
    SPACE.test(this.#text)
    this.#at = SPACE.lastIndex
  }

  #value(): Json {
    if (this.#valuesLeft-- === 0) throw new NotJson()
    this.#space()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object()
      case '[':
        return this.#array()
      case '"':
        return this.#string()
      case 't':
        return this.#literal('true', true)
      case 'f':
        return this.#literal('false', false)
      case 'n':
        return this.#literal('null', null)
      default:
        return this.#number()
    }
  }

  #object(): JsonObject {
    this.#enter()
    const object = new Members()
    if (!this.#closes('}')) {
      do {
        this.#space()
        const name = this.#string()
        if (name in object) throw new NotJson()
        this.#space()
        this.#expect(':')
        object[name] = this.#value()
      } while (this.#continues('}'))
    }
    this.#depth--
    return object
  }

  #array(): Json[] {
    this.#enter()
    const array: Json[] = []
    if (!this.#closes(']')) {
      do array.push(this.#value())
      while (this.#continues(']'))
    }
    this.#depth--
    return array
  }

  #enter(): void {
    this.#at++
    if (++this.#depth > LIMITS.jsonDepth) throw new NotJson()
  }

  #closes(end: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== end) return false
    this.#at++
    return true
  }

  #continues(end: string): boolean {
    if (this.#closes(end)) return false
    this.#expect(',')
    return true
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) throw new NotJson()
    this.#at++
  }

  #string(): string {
    this.#expect('"')
    const start = this.#at
    const end = this.#stringEnd(start)
    if (end < 0) throw new NotJson()
    this.#at = end + 1
    const raw = this.#text.slice(start, end)
    if (!this.#withoutControls && CONTROL.test(raw)) throw new NotJson()
    if (!raw.includes('\\')) return raw
    const unescaped = unescape(raw)
    if (unescaped === undefined || !unescaped.isWellFormed()) throw new NotJson()
    return unescaped
  }

  /** Where the quote stands that ends the string whose text starts here; -1: nowhere. */
  #stringEnd(start: number): number {
    const text = this.#text
    const first = text.indexOf('"', start)
    if (text[first - 1] !== '\\') return first
    // From the start, as a backslash may itself be escaped; and step by step, as a search for each of a million quotes takes longer.
    let at = start
    while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1
    return at < text.length ? at : -1
  }

  #literal<Value extends boolean | null>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) throw new NotJson()
    this.#at += word.length
    return value
  }

  #number(): number {
    NUMBER.lastIndex = this.#at
    const match = NUMBER.exec(this.#text)
    if (!match) throw new NotJson()
    this.#at = NUMBER.lastIndex
    return Number(match[0])
  }
}

function unescape(raw: string): string | undefined {
  try {
    return JSON.parse(`"${raw}"`) as string
  } catch {
    return undefined
  }
}
