import { beforeAll, describe, expect, it, vi } from 'vitest'
import { SYSTEM_CLOCK } from '../src/clock.ts'
import type { Candidate } from '../src/entry.ts'
import { SealbusError } from '../src/errors.ts'
import type { Identity } from '../src/identity.ts'
import { createUnwrapping } from '../src/unwrapping.ts'
import type { UnwrapBounds } from '../src/unwrap-pace.ts'
import { testKey, type TestKey } from './support/keys.ts'
import { rejectedBy, thrownBy } from './support/thrown.ts'

let billing: TestKey
beforeAll(async () => {
  billing = await testKey('RSA', 'billing-1')
})

const BOUNDS: UnwrapBounds = { timeoutMs: 60_000, concurrency: 1, perSecond: 100 }

/** One wrapped key that nobody has asked for yet, and an identity that answers as a test wants. */
function candidate(digest: string, unwrap: Identity['unwrap']): Candidate {
  const request = { kid: 'billing-1', alg: 'RSA-OAEP-256', enc: 'A256GCM', encryptedKey: Buffer.alloc(256) } as const
  return { digest, request, contentKeySize: 32, identity: { ...billing.identity, unwrap } }
}

const KEY = (): Buffer => Buffer.alloc(32, 7)

describe('unwrapping', () => {
  it('a source that throws at once gives its place back', () => {
    const unwrapping = createUnwrapping(BOUNDS, SYSTEM_CLOCK)
    const failing = candidate('a', () => {
      throw new Error('out of order')
    })
    for (let call = 0; call < 3; call++) expect(thrownBy(() => unwrapping.now(failing))).toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    // The only place is free: a local key answers at once.
    expect(unwrapping.now(candidate('b', () => KEY()))).not.toBeNull()
  })

  it('keys that answer at once are not paced, however many', () => {
    const unwrapping = createUnwrapping({ ...BOUNDS, perSecond: 1 }, SYSTEM_CLOCK)
    for (let call = 0; call < 50; call++) expect(unwrapping.now(candidate(`${call}`, () => KEY()))).not.toBeNull()
  })

  it('who waits in line and is too late takes no place with him', async () => {
    const unwrapping = createUnwrapping({ timeoutMs: 100, concurrency: 1, perSecond: 100 }, SYSTEM_CLOCK)
    const never = (): Promise<never> => new Promise(() => {})
    const outcomes = await Promise.all(['a', 'b', 'c'].map((digest) => rejectedBy(unwrapping.later(candidate(digest, never), undefined))))
    for (const outcome of outcomes) expect(outcome).toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    // With a place that was given back twice, two would be asked at a time.
    let [under, most] = [0, 0]
    const counting = async (): Promise<Buffer> => {
      most = Math.max(most, ++under)
      await new Promise((resolve) => setImmediate(resolve))
      under--
      return KEY()
    }
    await Promise.all(['d', 'e', 'f'].map((digest) => unwrapping.later(candidate(digest, counting), undefined)))
    expect(most).toBe(1)
  })

  it('a caller that leaves is told so, at once, and the answer is there for the next', async () => {
    const unwrapping = createUnwrapping(BOUNDS, SYSTEM_CLOCK)
    const answer = Promise.withResolvers<Buffer>()
    const unwrap = vi.fn(() => answer.promise)
    const controller = new AbortController()
    const leaving = rejectedBy(unwrapping.later(candidate('a', unwrap), controller.signal))
    const staying = unwrapping.later(candidate('a', unwrap), undefined)
    controller.abort()
    expect(await leaving).toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE', message: 'waiting for a key was ended' })
    answer.resolve(KEY())
    expect(await staying).not.toBeNull()
    expect(unwrap).toHaveBeenCalledOnce()
  })

  it('openSync leaves the call under way to whoever waits for it: its failure is not an unhandled rejection', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const unwrapping = createUnwrapping(BOUNDS, SYSTEM_CLOCK)
    expect(thrownBy(() => unwrapping.now(candidate('a', async () => Promise.reject(new Error('out of order')))))).toMatchObject({ code: 'ERR_SEALBUS_KEYS_NOT_READY' })
    await new Promise((resolve) => setTimeout(resolve, 10))
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })

  it('takes the promises of other libraries, and nothing else for a key', async () => {
    const unwrapping = createUnwrapping(BOUNDS, SYSTEM_CLOCK)
    class OldPromise {
      // oxlint-disable-next-line unicorn/no-thenable -- what an old promise library returns
      then(resolve: (key: Buffer) => void): void {
        resolve(KEY())
      }
    }
    expect(await unwrapping.later(candidate('a', () => new OldPromise() as unknown as Promise<Buffer>), undefined)).not.toBeNull()
    const impostor = JSON.parse('{"then":"no function"}') as unknown
    for (const answer of [impostor, 'text', 7, undefined]) {
      expect(thrownBy(() => unwrapping.now(candidate('b', () => answer as never)))).toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    }
  })

  it('a refusal says that permission is missing, or the key is disabled', () => {
    const refusing = candidate('a', () => {
      throw new SealbusError('ERR_SEALBUS_KEY_FORBIDDEN', 'token-123')
    })
    expect(thrownBy(() => createUnwrapping(BOUNDS, SYSTEM_CLOCK).now(refusing))).toMatchObject({ message: 'the source of the key "billing-1" refuses to use it: permission is missing, or the key is disabled' })
  })
})
