import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { contentKey, createContentKeyCache, unwrapDigest } from '../src/content-key-cache.ts'
import type { UnwrapRequest } from '../src/identity.ts'
import { testKey, type TestKey } from './support/keys.ts'

let billing: TestKey
beforeAll(async () => {
  billing = await testKey('P-256', 'billing-1')
})

const KEY = contentKey(randomBytes(32), 'A256GCM')
const OTHER = contentKey(randomBytes(32), 'A256GCM')
const setup = (): { cache: ReturnType<typeof createContentKeyCache>; clock: { at: number; wallAt: number } } => {
  const clock = { at: 0, wallAt: 0 }
  return { clock, cache: createContentKeyCache({ entries: 2, ageMs: 10_000 }, { monotonic: () => clock.at, wall: () => clock.wallAt }) }
}

describe("the opener's content keys", () => {
  it('live for their age and no longer, by either clock, however often they are used or entered again', () => {
    for (const clockName of ['at', 'wallAt'] as const) {
      const { cache, clock } = setup()
      cache.add('d', billing.identity, KEY)
      clock[clockName] = 9_999
      expect(cache.get('d', billing.identity)).toBe(KEY)
      cache.add('d', billing.identity, OTHER)
      expect(cache.get('d', billing.identity)).toBe(KEY)
      clock[clockName] = 10_000
      expect(cache.get('d', billing.identity)).toBeUndefined()
    }
  })

  it('an aged one makes place for its successor', () => {
    const { cache, clock } = setup()
    cache.add('d', billing.identity, KEY)
    clock.at = 10_000
    expect(cache.get('d', billing.identity)).toBeUndefined()
    cache.add('d', billing.identity, OTHER)
    expect(cache.get('d', billing.identity)).toBe(OTHER)
  })

  it('answer for the very identity that unwrapped, not for one that says the same', () => {
    const { cache } = setup()
    const changed = { ...billing.identity }
    cache.add('d', billing.identity, KEY)
    expect(cache.get('d', changed)).toBeUndefined()
    // It is gone for the first one too: the state has changed.
    expect(cache.get('d', billing.identity)).toBeUndefined()
    cache.add('d', billing.identity, KEY)
    cache.add('d', changed, OTHER)
    expect(cache.get('d', changed)).toBe(OTHER)
  })

  it('are bounded, the one used least recently going first, and end with clear()', () => {
    const { cache } = setup()
    for (const digest of ['a', 'b']) cache.add(digest, billing.identity, KEY)
    cache.get('a', billing.identity)
    cache.add('c', billing.identity, KEY)
    expect(['a', 'b', 'c'].map((digest) => cache.get(digest, billing.identity) === KEY)).toEqual([true, false, true])
    cache.clear()
    expect(cache.get('a', billing.identity)).toBeUndefined()
  })

  it('what did not unwrap is remembered for 60 s, or until clear()', () => {
    const { cache, clock } = setup()
    expect(cache.hasFailed('d')).toBe(false)
    cache.addFailed('d')
    clock.at = 59_999
    expect(cache.hasFailed('d')).toBe(true)
    clock.at = 60_000
    expect(cache.hasFailed('d')).toBe(false)
    cache.addFailed('d')
    cache.clear()
    expect(cache.hasFailed('d')).toBe(false)
  })
})

describe('the name of a wrapped key', () => {
  const epk = { kty: 'EC', crv: 'P-256', x: Buffer.alloc(32, 1).toString('base64url'), y: Buffer.alloc(32, 2).toString('base64url') }
  const REQUEST: UnwrapRequest = { kid: 'k', alg: 'ECDH-ES+A256KW', enc: 'A256GCM', epk, apu: Buffer.from('u'), apv: Buffer.from('v'), encryptedKey: Buffer.alloc(40, 3) }

  it.each<[string, Partial<UnwrapRequest>]>([
    ['alg', { alg: 'RSA-OAEP-256' }],
    ['enc', { enc: 'A128GCM' }],
    ['kty', { epk: { ...epk, kty: 'OKP' } }],
    ['crv', { epk: { ...epk, crv: 'P-384' } }],
    ['x', { epk: { ...epk, x: Buffer.alloc(32, 9).toString('base64url') } }],
    ['y', { epk: { ...epk, y: Buffer.alloc(32, 9).toString('base64url') } }],
    ['apu', { apu: Buffer.from('w') }],
    ['apv', { apv: Buffer.from('w') }],
    ['encrypted_key', { encryptedKey: Buffer.alloc(40, 4) }],
    ['where apu ends and apv begins', { apu: Buffer.from('uv'), apv: Buffer.alloc(0) }],
  ])('differs by %s', (_title, change) => expect(unwrapDigest({ ...REQUEST, ...change })).not.toBe(unwrapDigest(REQUEST)))

  it('is the same for the same, and goes by bytes: absent and empty party info derive the same key', () => {
    expect(unwrapDigest({ ...REQUEST, kid: 'other', encryptedKey: Buffer.from(REQUEST.encryptedKey) })).toBe(unwrapDigest(REQUEST))
    const { apu: _u, apv: _v, ...bare } = REQUEST
    expect(unwrapDigest(bare)).toBe(unwrapDigest({ ...REQUEST, apu: Buffer.alloc(0), apv: Buffer.alloc(0) }))
    expect(unwrapDigest(REQUEST)).toMatch(/^[\w-]{43}$/)
  })

  it('of an RSA key has no ephemeral key', () => {
    const rsa: UnwrapRequest = { kid: 'k', alg: 'RSA-OAEP-256', enc: 'A256GCM', encryptedKey: Buffer.alloc(256, 1) }
    expect(unwrapDigest(rsa)).toBe(unwrapDigest({ ...rsa, epk: { kty: '', crv: '', x: '', y: '' } }))
  })
})
