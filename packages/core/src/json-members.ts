/**
 * Whether an object has members of these names, as far as its text can be told to be one: found without building anything,
 * because the bytes may be anyone's, and 32 MiB of tiny values take JSON.parse five seconds. The text may be no JSON.
 * @param start where the object's brace stands
 */
export function hasMembers(bytes: Buffer, start: number, names: readonly string[]): boolean {
  const missing = new Set(names)
  let depth = 0
  /** Whether a string would be a name, if it stands outermost. */
  let nameNext = false
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      const end = stringEnd(bytes, at + 1)
      if (depth === 1 && nameNext) for (const name of missing) if (spells(bytes, at + 1, end, name)) missing.delete(name)
      if (missing.size === 0) return true
      nameNext = false
      at = end
    } else if (byte === COMMA) nameNext = true
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth++
      nameNext = true
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--
  }
  return false
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const [OPEN_BRACE, CLOSE_BRACE] = [0x7b, 0x7d]
const [OPEN_BRACKET, CLOSE_BRACKET] = [0x5b, 0x5d]
const [ZERO, NINE] = [0x30, 0x39]
const [LETTER_A, LETTER_F, LETTER_U] = [0x61, 0x66, 0x75]

/** A call into the runtime costs more than a look at so many bytes, and less than one at more. */
const NEAR = 64

/** Where the quote stands that ends the string whose text starts here; behind all bytes, if there is none. */
function stringEnd(bytes: Buffer, start: number): number {
  const at = walk(bytes, start, Math.min(start + NEAR, bytes.length))
  if (at < start + NEAR) return at
  const next = bytes.indexOf(QUOTE, at)
  if (next < 0) return bytes.length
  // Step by step, as a backslash may itself be escaped, and as a search for each of a million quotes takes longer.
  return bytes[next - 1] === BACKSLASH ? walk(bytes, at, bytes.length) : next
}

function walk(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at
}

/** Whether a string's text is a name of ASCII letters: only `\u` can stand for one. */
function spells(bytes: Buffer, start: number, end: number, name: string): boolean {
  // Nearly all strings are settled here, and a hostile text has very many.
  if (end - start < name.length) return false
  let at = start
  for (let index = 0; index < name.length; index++) {
    const code = name.charCodeAt(index)
    if (bytes[at] === code) at++
    else if (isEscaped(bytes, at, code)) at += 6
    else return false
  }
  return at === end
}

/** Whether `\u00` and two hexadecimal digits stand there for a letter. */
function isEscaped(bytes: Buffer, at: number, code: number): boolean {
  return bytes[at] === BACKSLASH && bytes[at + 1] === LETTER_U && bytes[at + 2] === ZERO && bytes[at + 3] === ZERO && 16 * digit(bytes[at + 4]) + digit(bytes[at + 5]) === code
}

function digit(byte = 0): number {
  if (byte >= ZERO && byte <= NINE) return byte - ZERO
  const lower = byte | 0x20
  return lower >= LETTER_A && lower <= LETTER_F ? lower - LETTER_A + 10 : Number.NaN
}
