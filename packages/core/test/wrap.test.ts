import { randomBytes } from 'node:crypto'
import { CompactEncrypt, decodeProtectedHeader, type JWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { CURVES, curve } from '../src/algorithms.ts'
import type { UnwrapRequest } from '../src/identity.ts'
import { readEphemeralKey, unwrapLocal, wrapKey } from '../src/wrap.ts'
import { type KeyKind, testKey, type TestKey } from './support/keys.ts'

const CURVE_KINDS = ['P-256', 'P-384', 'P-521', 'X25519'] as const
const KINDS: readonly KeyKind[] = [...CURVE_KINDS, 'RSA']
const keys = new Map<KeyKind, TestKey>()
const key = (kind: KeyKind): TestKey => keys.get(kind) ?? expect.fail(kind)
beforeAll(async () => {
  for (const kind of KINDS) keys.set(kind, await testKey(kind, `key-${kind}`))
})

const CONTENT_KEY = randomBytes(32)
const wrappedFor = (kind: KeyKind): UnwrapRequest => {
  const { kid, alg, epk, encryptedKey } = wrapKey(key(kind).recipientKey, CONTENT_KEY)
  return { kid, alg, enc: 'A256GCM', encryptedKey, ...(epk && { epk }) }
}
const unwrap = (kind: KeyKind, request: UnwrapRequest): Buffer | null => unwrapLocal(key(kind).privateKey, request)

describe.each(KINDS)('wrap: %s', (kind) => {
  it('gives back the content key, and leaves the given one alone', () => {
    const before = Buffer.from(CONTENT_KEY)
    expect(unwrap(kind, wrappedFor(kind))).toEqual(before)
    expect(CONTENT_KEY).toEqual(before)
  })

  it('never wraps the same way twice', () => {
    const [first, second] = [wrappedFor(kind), wrappedFor(kind)]
    expect(first.encryptedKey).not.toEqual(second.encryptedKey)
    if (kind !== 'RSA') expect(first.epk?.x).not.toBe(second.epk?.x)
  })

  it('any damage is null, and nothing else', async () => {
    const good = wrappedFor(kind)
    const flipped = Buffer.from(good.encryptedKey)
    flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
    // An empty one never comes here: its length is checked before. Cut at the end: to RSA, leading zero bytes are nothing.
    for (const encryptedKey of [flipped, good.encryptedKey.subarray(0, -8), good.encryptedKey.subarray(0, -1), Buffer.concat([good.encryptedKey, Buffer.alloc(8)])]) {
      expect(unwrap(kind, { ...good, encryptedKey })).toBeNull()
    }
    expect(unwrapLocal((await testKey(kind, 'another')).privateKey, good)).toBeNull()
  })
})

describe.each(CURVE_KINDS)('agreement on %s', (kind) => {
  it('the ephemeral key has public members only, each of full length', () => {
    const row = CURVES.find((each) => each.crv === kind) ?? expect.fail(kind)
    for (let count = 0; count < 300; count++) {
      // One coordinate in 256 starts with a zero byte, which must stay (RFC 7518 §6.2.1.2).
      const { epk } = wrapKey(key(kind).recipientKey, CONTENT_KEY)
      if (count === 0) expect(Object.keys(epk ?? {})).toEqual(kind === 'X25519' ? ['kty', 'crv', 'x'] : ['kty', 'crv', 'x', 'y'])
      for (const coordinate of [epk?.x, epk?.y]) if (coordinate !== undefined) expect(Buffer.from(coordinate, 'base64url')).toHaveLength(row.size)
    }
  })

  it('no `epk`, one of another curve, one with changed party info: null', () => {
    const good = wrappedFor(kind)
    const { epk, ...without } = good
    expect(unwrap(kind, without)).toBeNull()
    for (const other of CURVE_KINDS) if (other !== kind) expect(unwrap(kind, { ...good, epk: wrappedFor(other).epk ?? {} })).toBeNull()
    expect(unwrap(kind, { ...good, apu: Buffer.from('Alice') })).toBeNull()
    expect(unwrap(kind, { ...good, apv: Buffer.from('Bob') })).toBeNull()
    expect(epk).toBeDefined()
  })

  it("jose's `apu` and `apv` enter the derivation as RFC 7518 §4.6.2 has it", async () => {
    const jwe = await new CompactEncrypt(Buffer.from('x'))
      .setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM' })
      .setKeyManagementParameters({ apu: Buffer.from('Alice'), apv: Buffer.from('Bob') })
      .encrypt(key(kind).recipientKey.publicKey)
    const { epk, apu, apv } = decodeProtectedHeader(jwe) as { epk: JWK; apu: string; apv: string }
    const request: UnwrapRequest = { kid: 'k', alg: 'ECDH-ES+A256KW', enc: 'A256GCM', epk, encryptedKey: Buffer.from(jwe.split('.')[1] ?? '', 'base64url'), apu: Buffer.from(apu, 'base64url'), apv: Buffer.from(apv, 'base64url') }
    expect(unwrap(kind, request)).toHaveLength(32)
    // The two must not be interchangeable.
    expect(unwrap(kind, { ...request, apu: Buffer.from('Bob'), apv: Buffer.from('Alice') })).toBeNull()
  })
})

describe('points that are none', () => {
  it.each(['P-256', 'P-384', 'P-521'] as const)('off %s, at zero, or with y of another point: null', (kind) => {
    const good = wrappedFor(kind)
    const size = curve('EC', kind)?.size ?? 0
    const zero = Buffer.alloc(size).toString('base64url')
    for (const change of [{ y: Buffer.alloc(size, 1).toString('base64url') }, { x: zero, y: zero }, { y: wrappedFor(kind).epk?.y ?? '' }, { x: Buffer.alloc(size, 255).toString('base64url') }]) {
      expect(unwrap(kind, { ...good, epk: { ...good.epk, ...change } })).toBeNull()
    }
  })

  // RFC 7748 §6.1: these make the shared secret zero, whatever the private key.
  it.each([
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
  ])('of low order on X25519, %s: null', (hex) => {
    expect(unwrap('X25519', { ...wrappedFor('X25519'), epk: { kty: 'OKP', crv: 'X25519', x: Buffer.from(hex, 'hex').toString('base64url') } })).toBeNull()
  })
})

describe('reading an `epk`', () => {
  const P256 = curve('EC', 'P-256') ?? expect.fail()
  const X25519 = curve('OKP', 'X25519') ?? expect.fail()
  const x = Buffer.alloc(32, 1).toString('base64url')

  it('takes the public members, and drops the rest', () => {
    const point = { kty: 'EC', crv: 'P-256', x: key('P-256').publicJwk.x ?? '', y: key('P-256').publicJwk.y ?? '' }
    expect(readEphemeralKey({ ...point, kid: 'k', more: [1] }, P256)).toEqual(point)
    expect(readEphemeralKey({ kty: 'OKP', crv: 'X25519', x, y: 'ignored' }, X25519)).toEqual({ kty: 'OKP', crv: 'X25519', x })
  })

  it.each([
    ['nothing', undefined],
    ['an array', []],
    ['a text', 'AAAA'],
    ['another type', { kty: 'OKP', crv: 'P-256', x, y: x }],
    ['another curve', { kty: 'EC', crv: 'P-384', x, y: x }],
    ['a private member', { kty: 'EC', crv: 'P-256', x, y: x, d: x }],
    ['a private member that is null', { kty: 'EC', crv: 'P-256', x, y: x, d: null }],
    ['no y', { kty: 'EC', crv: 'P-256', x }],
    ['no x', { kty: 'EC', crv: 'P-256', y: x }],
    ['x of 31 bytes', { kty: 'EC', crv: 'P-256', x: Buffer.alloc(31).toString('base64url'), y: x }],
    ['x of 33 bytes', { kty: 'EC', crv: 'P-256', x: Buffer.alloc(33).toString('base64url'), y: x }],
    ['padded x', { kty: 'EC', crv: 'P-256', x: `${x}=`, y: x }],
    ['stray bits in x', { kty: 'EC', crv: 'P-256', x: `${x.slice(0, -1)}F`, y: x }],
    ['x that is a number', { kty: 'EC', crv: 'P-256', x: 1, y: x }],
  ])('refuses %s', (_title, value) => expect(readEphemeralKey(value, P256)).toBeUndefined())
})
