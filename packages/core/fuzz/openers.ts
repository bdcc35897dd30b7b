import type { Opener } from '../src/open.ts'
import type { TestKey } from '../test/support/keys.ts'
import { newOpener, SAMPLES } from './corpus.ts'

let openers = new Map<TestKey, Opener>()

/** The same opener for the same key, as a consumer has it: what earlier messages left behind is part of the test. */
export function openerOf(key: TestKey): Opener {
  const known = openers.get(key)
  if (known) return known
  const opener = newOpener(key)
  for (const sample of SAMPLES) if (sample.key === key) opener.openSync(sample.bytes, sample.options)
  openers.set(key, opener)
  return opener
}

export function forgetOpeners(): void {
  openers = new Map()
}
