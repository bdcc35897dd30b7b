/**
 * What stands outermost in the text of a JSON object, found without building anything: the bytes may be anyone's, and
 * 32 MiB of tiny values take JSON.parse five seconds.
 */
export interface Members {
  /** Whether all the names that were asked for are there. The text may still be no JSON. */
  readonly found: boolean
  /** At least so many values are in the text, and at most twice as many. */
  readonly values: number
}

const [QUOTE, BACKSLASH, COMMA, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = Buffer.from('"\\,{}[]') as unknown as readonly number[]

/** @param start where the object's brace stands */
export function scanMembers(bytes: Buffer, start: number, names: readonly string[]): Members {
  const missing = new Set(names)
  let depth = 0
  let commas = 0
  let opened = 0
  /** Whether a string would be a name, if it stands outermost. */
  let nameNext = false
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) {
      const end = stringEnd(bytes, at + 1)
      if (depth === 1 && nameNext) for (const name of missing) if (spells(bytes, at + 1, end, name)) missing.delete(name)
      nameNext = false
      at = end
    } else if (byte === COMMA) {
      commas++
      nameNext = true
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      opened++
      depth++
      nameNext = true
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth--
  }
  return { found: missing.size === 0, values: Math.max(commas + 1, opened) }
}

/** Where the quote stands that ends a string. */
function stringEnd(bytes: Buffer, start: number): number {
  let at = start
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1
  return at
}

/** Whether a string's text is a name of ASCII letters: only `\u` can stand for one. */
function spells(bytes: Buffer, start: number, end: number, name: string): boolean {
  let at = start
  for (const letter of name) {
    const code = letter.charCodeAt(0)
    if (bytes[at] === code) at++
    else if (bytes[at] === BACKSLASH && bytes.toString('latin1', at + 1, at + 6).toLowerCase() === `u00${code.toString(16)}`) at += 6
    else return false
  }
  return at === end
}
