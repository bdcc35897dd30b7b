import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'

/** Plaintexts that can be told from anything else, wherever they turn up. */
export interface Canaries {
  /** What they share. */
  readonly mark: string
  /** A new plaintext; all of one set share what `patterns` look for. */
  next(): string
  readonly count: number
  /** The shared part as it is, and in base64 in its three alignments. */
  readonly patterns: readonly Buffer[]
}

export function createCanaries(): Canaries {
  // Hexadecimal, so that base64 and base64url of it are the same text.
  const mark = `canary${randomBytes(12).toString('hex')}`
  let count = 0
  const aligned = [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), Buffer.from(mark)]).toString('base64url')
    // The characters at both ends depend on the neighbours.
    return Buffer.from(text.slice(shift + 1, -3))
  })
  return {
    mark,
    next: () => canary(mark, ++count),
    get count() {
      return count
    },
    patterns: [Buffer.from(mark), ...aligned],
  }
}

/** The canary of a set with this number, as another process makes it too. */
export const canary = (mark: string, number: number): string => `{"card":"${mark}","number":${number}}`

/** Everything that objects show of themselves, of errors and their causes too. */
export function shownOf(objects: readonly unknown[]): string {
  return inspect(objects, { depth: Infinity, maxArrayLength: null, maxStringLength: null, showHidden: true }) + objects.map((each) => (each instanceof Error ? `${each.stack}${inspect(each.cause)}` : '')).join('')
}

/** What of the canaries is in a text: also as Buffers are shown, in hexadecimal. */
export function canariesIn(text: string, { patterns }: Canaries): string[] {
  return patterns.flatMap((pattern) => [pattern.toString(), pattern.toString('hex'), (pattern.toString('hex').match(/../g) ?? []).slice(0, 20).join(' ')]).filter((pattern) => text.includes(pattern))
}
