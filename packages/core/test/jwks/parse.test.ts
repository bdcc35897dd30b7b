import { generateKeyPairSync } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { parseKeySet, readKeys } from '../../src/jwks/parse.ts'
import { selectKey } from '../../src/jwks/select.ts'
import { thumbprint } from '../../src/jwks/thumbprint.ts'
import { testKey, type TestKey } from '../support/keys.ts'

let good: TestKey
let x25519: TestKey
let rsa: TestKey
beforeAll(async () => {
  good = await testKey('P-256', 'good')
  x25519 = await testKey('X25519', 'x')
  rsa = await testKey('RSA', 'rsa')
})

const read = (...entries: unknown[]): { kids: string[]; reasons: string[] } => {
  const set = readKeys(entries)
  if (typeof set === 'string') return expect.fail(set)
  return { kids: set.keys.map(({ kid }) => kid), reasons: set.rejected.map(({ reason }) => reason) }
}
const rsaJwk = (modulusLength: number, publicExponent = 65_537): JWK => generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey.export({ format: 'jwk' })

describe('key hygiene: the bad key is left out, the good one beside it stays', () => {
  const cases: [string, string, () => unknown][] = [
    ['[7.10] an unknown key type', 'its key type, curve or alg is not permitted', () => ({ kty: 'AKP', alg: 'ML-KEM-768', pub: 'AA', kid: 'pq' })],
    ['[7.10] no object', 'it is not an object', () => 'key'],
    ['[7.10] null', 'it is not an object', () => null],
    ['[7.10] a malformed EC key', 'its members are not canonical base64url of the right size', () => ({ ...good.publicJwk, kid: 'bad', x: 'AA' })],
    ['[7.11] use sig', 'its use is not enc', () => ({ ...x25519.publicJwk, use: 'sig' })],
    ['[7.11] key_ops for signatures', 'its key_ops do not permit wrapping a key', () => ({ ...x25519.publicJwk, key_ops: ['verify'] })],
    ['[7.11] key_ops that is no list', 'its key_ops do not permit wrapping a key', () => ({ ...x25519.publicJwk, key_ops: 'wrapKey' })],
    ['[7.11] an alg of another kind', 'its key type, curve or alg is not permitted', () => ({ ...x25519.publicJwk, alg: 'RSA-OAEP-256' })],
    ['[7.11] RSA-OAEP with SHA-1', 'its key type, curve or alg is not permitted', () => ({ ...rsa.publicJwk, alg: 'RSA-OAEP' })],
    ['[7.11] a private key', 'it holds private members: that key is compromised', () => ({ ...x25519.publicJwk, d: 'AAAA' })],
    ['[7.11] a symmetric key', 'it holds private members: that key is compromised', () => ({ kty: 'oct', k: 'AAAA', kid: 'oct' })],
    ['[7.12] RSA with 1,024 bits', 'its modulus has 1024 bits, not 2048 to 4096', () => ({ ...rsaJwk(1024), kid: 'small' })],
    ['[7.12] RSA with more than 4,096 bits', 'its modulus has 4160 bits, not 2048 to 4096', () => ({ kty: 'RSA', n: Buffer.alloc(520, 0xff).toString('base64url'), e: 'AQAB', kid: 'large' })],
    ['[7.12] RSA with e = 3', 'its exponent is not odd, and from 65,537 to 2,147,483,647', () => ({ ...rsaJwk(2048, 3), kid: 'e3' })],
    ['[7.12] an even modulus', 'its modulus is even', () => ({ ...rsa.publicJwk, n: `${rsa.publicJwk.n?.slice(0, -2)}AA` })],
    ['[7.12] a modulus with a leading zero', 'its members are not canonical base64url of the right size', () => ({ ...rsa.publicJwk, n: Buffer.concat([Buffer.of(0), Buffer.from(rsa.publicJwk.n ?? '', 'base64url')]).toString('base64url') })],
    ['[7.12] a P-256 point off the curve', 'it is not a valid public key', () => ({ ...good.publicJwk, kid: 'off', y: good.publicJwk.x })],
    ['[7.12] X25519 of low order', 'it is a point of low order', () => ({ kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43), kid: 'low' })],
    ['[7.12] a curve that is not permitted', 'its key type, curve or alg is not permitted', () => ({ kty: 'EC', crv: 'secp256k1', x: 'A'.repeat(43), y: 'A'.repeat(43) })],
    ['[7.13] a kid of 10 KB', 'its kid is not a text of 1 to 256 characters', () => ({ ...x25519.publicJwk, kid: 'k'.repeat(10_000) })],
    ['[7.13] a kid that is no string', 'its kid is not a text of 1 to 256 characters', () => ({ ...x25519.publicJwk, kid: 7 })],
    ['padding in a member', 'its members are not canonical base64url of the right size', () => ({ ...x25519.publicJwk, x: `${x25519.publicJwk.x}=` })],
    ['an array', 'it is not an object', () => [good.publicJwk]],
    ['an empty kid', 'its kid is not a text of 1 to 256 characters', () => ({ ...x25519.publicJwk, kid: '' })],
    ['an nbf before 1970', 'its nbf, iat or exp is not a time in seconds', () => ({ ...x25519.publicJwk, nbf: -1 })],
    ['an iat that is not finite', 'its nbf, iat or exp is not a time in seconds', () => ({ ...x25519.publicJwk, iat: Number.POSITIVE_INFINITY })],
    ['an exponent that OpenSSL takes and Go does not', 'its exponent is not odd, and from 65,537 to 2,147,483,647', () => ({ ...rsa.publicJwk, e: 'gAAAAQ' })],
    ['an EC key without y', 'its members are not canonical base64url of the right size', () => ({ kty: 'EC', crv: 'P-256', x: good.publicJwk.x })],
    ['an RSA key without an exponent', 'its members are not canonical base64url of the right size', () => ({ kty: 'RSA', n: rsa.publicJwk.n })],
    ['an exp that is no time', 'its nbf, iat or exp is not a time in seconds', () => ({ ...x25519.publicJwk, exp: 'tomorrow' })],
  ]
  it.each(cases)('%s: %s', (_title, reason, bad) => {
    const { kids, reasons } = read(bad(), good.publicJwk)
    expect(kids).toEqual(['good'])
    expect(reasons).toEqual([reason])
  })

  it.each([undefined, ['deriveKey'], ['deriveBits'], ['wrapKey', 'unwrapKey'], ['encrypt']])('key_ops %j is admitted', (operations) => {
    expect(read({ ...good.publicJwk, ...(operations && { key_ops: operations }) }).kids).toEqual(['good'])
  })

  it('[7.11] a key without `use` is taken by itself, and refused beside signature keys unless its alg or key_ops say what it is for', () => {
    const { use: _use, alg: _alg, ...bare } = good.publicJwk
    const signing = { ...x25519.publicJwk, use: 'sig' }
    expect(read(bare).kids).toEqual(['good'])
    expect(read(bare, rsa.publicJwk).kids).toEqual(['good', 'rsa'])
    expect(read(bare, signing)).toEqual({ kids: [], reasons: ['it does not say what it is for, in a set that has signature keys', 'its use is not enc'] })
    for (const says of [{ use: 'enc' }, { alg: 'ECDH-ES+A256KW' }, { key_ops: ['deriveKey'] }]) expect(read(signing, { ...bare, ...says }).kids).toEqual(['good'])
  })

  it('[7.11] a key whose private half is in the same set is refused wherever it stands', async () => {
    const { d } = good.privateKey.export({ format: 'jwk' })
    const leaked = { ...good.publicJwk, kid: 'leaked', d }
    for (const entries of [[good.publicJwk, leaked, x25519.publicJwk], [leaked, good.publicJwk, x25519.publicJwk]]) {
      const { kids, reasons } = read(...entries)
      expect(kids).toEqual(['x'])
      expect(reasons.toSorted()).toEqual(['it holds private members: that key is compromised', 'its private half is in the same set: that key is compromised'])
    }
  })

  it('[7.13] one kid twice: the same material is one key, different material is none', async () => {
    const other = await testKey('P-256', 'good')
    expect(read(good.publicJwk, good.publicJwk).kids).toEqual(['good'])
    expect(read(good.publicJwk, other.publicJwk, x25519.publicJwk).kids).toEqual(['x'])
  })

  it('[7.13] a missing kid is the thumbprint, as jose computes it', async () => {
    for (const { publicJwk } of [good, x25519, rsa]) {
      const { kid: _kid, ...bare } = publicJwk
      expect(read(bare).kids).toEqual([await calculateJwkThumbprint(bare)])
      expect(thumbprint(publicJwk)).toBe(await calculateJwkThumbprint(publicJwk))
    }
  })

  it('a rejected key says which one it was', () => {
    const other = { ...x25519.publicJwk, kid: 'good' }
    expect(readKeys([{ ...rsa.publicJwk, use: 'sig' }, good.publicJwk, other, { ...rsa.publicJwk, kid: 7 }])).toMatchObject({
      keys: [],
      rejected: [
        { index: 0, kid: 'rsa', reason: 'its use is not enc' },
        { index: 3, reason: expect.stringContaining('its kid is not a text') },
        { index: 1, kid: 'good', reason: 'another key of the set has the same kid' },
        { index: 2, kid: 'good', reason: 'another key of the set has the same kid' },
      ],
    })
  })

  it('[7.6] 100 keys are a set, and more are refused whole', () => {
    const set = (count: number) => readKeys(Array.from({ length: count }, () => good.publicJwk))
    expect(set(100)).toMatchObject({ keys: [{ kid: 'good' }] })
    expect(set(101)).toBe('it has 101 keys, more than 100')
  })

  it('a key carries its times in milliseconds, and only those that it has', () => {
    expect(readKeys([{ ...good.publicJwk, nbf: 1, iat: 2, exp: 3 }])).toMatchObject({ keys: [{ notBefore: 1_000, issuedAt: 2_000, notAfter: 3_000 }] })
    const bare = readKeys([good.publicJwk])
    expect(Object.keys(typeof bare === 'string' ? {} : (bare.keys[0] ?? {}))).toEqual(['kid', 'thumbprint', 'alg', 'publicKey'])
    expect(readKeys([{ ...good.publicJwk, nbf: 0 }])).toMatchObject({ keys: [{ notBefore: 0 }] })
  })
})

describe('a set', () => {
  it.each<[string, Buffer, string]>([
    ['no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 'it is not UTF-8'],
    ['no JSON', Buffer.from('<html>'), 'it is not a JSON object'],
    ['a list', Buffer.from('[]'), 'it is not a JSON object'],
    ['an object without `keys`', Buffer.from('{}'), 'it has no `keys` array'],
    ['`keys` that is an object', Buffer.from('{"keys":{}}'), 'it has no `keys` array'],
  ])('%s is none: %s', (_title, bytes, reason) => {
    expect(parseKeySet(bytes)).toBe(reason)
  })

  it('may be empty, which is a revocation', () => {
    expect(parseKeySet(Buffer.from('{"keys":[]}'))).toEqual({ keys: [], rejected: [] })
  })
})

describe('[7.14] selection', () => {
  const NOW = 1_000_000_000_000
  const chosen = (...times: { nbf?: number; exp?: number; iat?: number }[]): string | undefined => {
    const set = readKeys(times.map((time, index) => ({ ...[good, x25519, rsa][index]?.publicJwk, kid: `${index}`, ...time })))
    return typeof set === 'string' ? expect.fail(set) : selectKey(set.keys, NOW)?.kid
  }
  const seconds = NOW / 1_000
  it('the first of the document, without times', () => expect(chosen({}, {})).toBe('0'))
  it('the newest nbf that has come', () => expect(chosen({ nbf: seconds - 100 }, { nbf: seconds - 10 }, { nbf: seconds + 10 })).toBe('1'))
  it('the newest iat, where there is no nbf', () => expect(chosen({ iat: seconds - 100 }, { iat: seconds - 10 })).toBe('1'))
  it('an iat in the future counts for nothing', () => expect(chosen({ iat: seconds - 100 }, { iat: seconds + 10 })).toBe('0'))
  it('never an expired one, though it is the newest', () => expect(chosen({ nbf: seconds - 100 }, { nbf: seconds - 10, exp: seconds })).toBe('0'))
  it('from the very moment of its nbf, and no longer at its exp', () => {
    expect(chosen({}, { nbf: seconds })).toBe('1')
    expect(chosen({ exp: seconds }, { exp: seconds + 1 })).toBe('1')
  })
  it('nbf counts before iat, and of two as new the first', () => {
    expect(chosen({ nbf: seconds - 10, iat: seconds - 500 }, { iat: seconds - 100 })).toBe('0')
    expect(chosen({ iat: seconds - 10 }, { iat: seconds - 10 })).toBe('0')
    expect(chosen({ iat: seconds - 10 }, { iat: seconds })).toBe('1')
  })
  it('none, when all are out of their time', () => expect(chosen({ exp: seconds - 1 }, { nbf: seconds + 1 })).toBeUndefined())
})
