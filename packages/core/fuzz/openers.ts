import type { Opener } from '../src/open.ts'
import type { TestKey } from '../test/support/keys.ts'
import { newOpener } from './corpus.ts'

let openers = new Map<TestKey, Opener>()

/** The same opener for the same key, as a consumer has it: what earlier messages left behind is part of the test. */
export function openerOf(key: TestKey): Opener {
  const known = openers.get(key) ?? newOpener(key)
  openers.set(key, known)
  return known
}

export function forgetOpeners(): void {
  openers = new Map()
}
