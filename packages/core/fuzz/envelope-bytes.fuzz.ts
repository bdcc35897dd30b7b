import fc from 'fast-check'
import { expect } from 'vitest'
import { factsOf, type Facts, type Sample, SAMPLES } from './corpus.ts'
import { envelopeExample, shownAs } from './counterexample.ts'
import { edits } from './edits.ts'
import { forgetOpeners, openerOf } from './openers.ts'
import { fuzz } from './property.ts'

const exampleOf = ({ sample, bytes }: { sample: Sample; bytes: Buffer }): string => `${sample.name}: ${envelopeExample(bytes, sample.key)}`
const changed = fc.tuple(fc.constantFrom(...SAMPLES), edits).map(([sample, edit]) => shownAs({ sample, bytes: edit(sample.bytes) }, exampleOf))

/**
 * A changed envelope may well open, but only to the very same message. What may change, because nothing authenticates it
 * and nothing is read from it (docs/FORMAT.md): white space, the order of members, others' entries, unknown parameters of
 * an entry, its `kid` for the thumbprint of the same key, and the sign of `epk`'s `y`, which the agreement does not see.
 */
fuzz('a changed envelope opens to the same message, or not at all', {
  share: 0.2,
  values: changed,
  run: ({ sample, bytes }): Facts => factsOf(openerOf(sample.key).openSync(bytes, sample.options)),
  check({ result }, { sample }) {
    if (result) expect(result).toEqual(sample.facts)
  },
  reaches: ['success', 'ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_REFUSED', 'ERR_SEALBUS_NOT_SEALED', 'ERR_SEALBUS_NOT_A_RECIPIENT'],
  reset: forgetOpeners,
})

fuzz('the asynchronous way opens and refuses the same', {
  share: 0.05,
  values: changed,
  run: async ({ sample, bytes }): Promise<Facts> => factsOf(await openerOf(sample.key).open(bytes, sample.options)),
  check({ result }, { sample }) {
    if (result) expect(result).toEqual(sample.facts)
  },
  reaches: ['success', 'ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_MALFORMED'],
  reset: forgetOpeners,
})

/** Parts of different messages: at most one of the two comes out. */
fuzz('spliced envelopes open to one of the two, or not at all', {
  share: 0.05,
  values: fc.tuple(fc.constantFrom(...SAMPLES), fc.constantFrom(...SAMPLES), fc.nat(4_096), fc.nat(4_096)).map(([sample, other, cut, resume]) =>
    shownAs({ sample, other, bytes: Buffer.concat([sample.bytes.subarray(0, cut % sample.bytes.length), other.bytes.subarray(resume % other.bytes.length)]) }, exampleOf),
  ),
  run: ({ sample, bytes }): Facts => factsOf(openerOf(sample.key).openSync(bytes, sample.options)),
  check({ result }, { sample, other }) {
    // The other may be for this one's key as well.
    if (result) expect([sample.facts, { ...other.facts, kid: sample.key.kid }]).toContainEqual(result)
  },
  reaches: ['success', 'ERR_SEALBUS_MALFORMED'],
  reset: forgetOpeners,
})
