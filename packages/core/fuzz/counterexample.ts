import fc from 'fast-check'
import type { TestKey } from '../test/support/keys.ts'

/** How a value is shown when it fails. The seed repeats the changes, but keys are drawn anew: so an example holds its own. */
export function shownAs<Value extends object>(value: Value, text: (value: Value) => string): Value {
  return Object.assign(value, { [fc.toStringMethod]: () => text(value) })
}

const LONGEST = 20_000

/** An envelope with the private key (made for this run alone) that it was tried with. */
export function envelopeExample(bytes: Buffer, key: TestKey): string {
  return `${excerpt(bytes.toString('latin1'))} with ${JSON.stringify(key.privateKey.export({ format: 'jwk' }))}`
}

export function excerpt(text: string): string {
  return JSON.stringify(text.length <= LONGEST ? text : `${text.slice(0, 200)}… (${text.length} characters)`)
}
