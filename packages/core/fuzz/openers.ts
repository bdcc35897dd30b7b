import type { Opener } from '../src/open.ts'
import type { TestKey } from '../test/support/keys.ts'
import { KEYS, newOpener, SAMPLES } from './corpus.ts'

let openers = primedOpeners()

/** One opener per key, each of which has opened its samples: so their content keys and forms are known to it. */
function primedOpeners(): ReadonlyMap<TestKey, Opener> {
  const primed = new Map(Object.values(KEYS).map((key) => [key, newOpener(key)]))
  for (const { key, bytes, options } of SAMPLES) primed.get(key)?.openSync(bytes, options)
  return primed
}

/** The same opener for the same key, as a consumer has it: what earlier messages left behind is part of the test. */
export function openerOf(key: TestKey): Opener {
  const opener = openers.get(key)
  if (!opener) throw new Error(`no opener for ${key.kid}`)
  return opener
}

export function forgetOpeners(): void {
  openers = primedOpeners()
}
