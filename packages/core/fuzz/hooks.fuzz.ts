import { randomBytes } from 'node:crypto'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect } from 'vitest'
import type { Identity } from '../src/identity.ts'
import { createOpener, type OpenedMessage } from '../src/open.ts'
import { testIdentities } from '../test/support/keys.ts'
import { channels, KEYS, SAMPLES } from './corpus.ts'
import { fuzz } from './property.ts'

const sample = SAMPLES.find(({ name }) => name === 'for one') ?? expect.fail('no sample')

const promiseOfAnotherRealm = runInNewContext('(value) => Promise.resolve(value)') as (value: unknown) => unknown

type Answer = 'now' | 'later' | 'thrown' | 'rejected' | 'elsewhere'

/** What somebody else's `unwrap` may come back with, in whatever way. */
function identityThat(answer: Answer, value: unknown): Identity {
  const unwrap = (): unknown => {
    if (answer === 'thrown') throw value
    if (answer === 'rejected') return Promise.reject(value)
    if (answer === 'elsewhere') return promiseOfAnotherRealm(value)
    return answer === 'later' ? Promise.resolve(value) : value
  }
  return { ...KEYS.ec.identity, unwrap: unwrap as Identity['unwrap'] }
}

const values = fc.tuple(
  fc.constantFrom<Answer>('now', 'later', 'thrown', 'rejected', 'elsewhere'),
  fc.oneof(fc.anything({ maxDepth: 1 }), fc.constantFrom(null, undefined), fc.integer({ min: 0, max: 80 }).map((length) => randomBytes(length)), fc.uint8Array({ minLength: 32, maxLength: 32 })),
)
const openerWith = (answer: Answer, value: unknown): ReturnType<typeof createOpener> => createOpener({ name: 'ec', identities: testIdentities(identityThat(answer, value)), channels })

fuzz('whatever an identity answers, open() opens nothing with it that does not fit', {
  share: 0.001,
  values,
  run: ([answer, value]): Promise<OpenedMessage> => openerWith(answer, value).open(sample.bytes, sample.options),
  check({ error }) {
    expect(['ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_KEY_UNAVAILABLE']).toContain(error?.code)
  },
  reaches: ['ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_KEY_UNAVAILABLE'],
})

fuzz('whatever an identity answers, openSync() opens nothing with it that does not fit', {
  share: 0.001,
  values,
  run: ([answer, value]): OpenedMessage => openerWith(answer, value).openSync(sample.bytes, sample.options),
  check({ error }) {
    expect(['ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_KEY_UNAVAILABLE', 'ERR_SEALBUS_KEYS_NOT_READY']).toContain(error?.code)
  },
  reaches: ['ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_KEY_UNAVAILABLE', 'ERR_SEALBUS_KEYS_NOT_READY'],
})
