import { generateKeyPairSync } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { readKeys } from '../../src/jwks/parse.ts'
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
  const cases: [string, () => unknown][] = [
    ['§7.10 an unknown key type', () => ({ kty: 'AKP', alg: 'ML-KEM-768', pub: 'AA', kid: 'pq' })],
    ['§7.10 no object', () => 'key'],
    ['§7.10 null', () => null],
    ['§7.10 a malformed EC key', () => ({ ...good.publicJwk, kid: 'bad', x: 'AA' })],
    ['§7.11 use sig', () => ({ ...x25519.publicJwk, use: 'sig' })],
    ['§7.11 key_ops for signatures', () => ({ ...x25519.publicJwk, key_ops: ['verify'] })],
    ['§7.11 key_ops that is no list', () => ({ ...x25519.publicJwk, key_ops: 'wrapKey' })],
    ['§7.11 an alg of another kind', () => ({ ...x25519.publicJwk, alg: 'RSA-OAEP-256' })],
    ['§7.11 RSA-OAEP with SHA-1', () => ({ ...rsa.publicJwk, alg: 'RSA-OAEP' })],
    ['§7.11 a private key', () => ({ ...x25519.publicJwk, d: 'AAAA' })],
    ['§7.11 a symmetric key', () => ({ kty: 'oct', k: 'AAAA', kid: 'oct' })],
    ['§7.12 RSA with 1,024 bits', () => ({ ...rsaJwk(1024), kid: 'small' })],
    ['§7.12 RSA with more than 4,096 bits', () => ({ kty: 'RSA', n: Buffer.alloc(520, 0xff).toString('base64url'), e: 'AQAB', kid: 'large' })],
    ['§7.12 RSA with e = 3', () => ({ ...rsaJwk(2048, 3), kid: 'e3' })],
    ['§7.12 an even modulus', () => ({ ...rsa.publicJwk, n: `${rsa.publicJwk.n?.slice(0, -2)}AA` })],
    ['§7.12 a modulus with a leading zero', () => ({ ...rsa.publicJwk, n: Buffer.concat([Buffer.of(0), Buffer.from(rsa.publicJwk.n ?? '', 'base64url')]).toString('base64url') })],
    ['§7.12 a P-256 point off the curve', () => ({ ...good.publicJwk, kid: 'off', y: good.publicJwk.x })],
    ['§7.12 X25519 of low order', () => ({ kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43), kid: 'low' })],
    ['§7.12 a curve that is not permitted', () => ({ kty: 'EC', crv: 'secp256k1', x: 'A'.repeat(43), y: 'A'.repeat(43) })],
    ['§7.13 a kid of 10 KB', () => ({ ...x25519.publicJwk, kid: 'k'.repeat(10_000) })],
    ['§7.13 a kid that is no string', () => ({ ...x25519.publicJwk, kid: 7 })],
    ['padding in a member', () => ({ ...x25519.publicJwk, x: `${x25519.publicJwk.x}=` })],
    ['an exp that is no time', () => ({ ...x25519.publicJwk, exp: 'tomorrow' })],
  ]
  it.each(cases)('%s', (_title, bad) => {
    const { kids, reasons } = read(bad(), good.publicJwk)
    expect(kids).toEqual(['good'])
    expect(reasons).toHaveLength(1)
  })

  it.each([undefined, ['deriveKey'], ['deriveBits'], ['wrapKey', 'unwrapKey'], ['encrypt']])('key_ops %j is admitted', (operations) => {
    expect(read({ ...good.publicJwk, ...(operations && { key_ops: operations }) }).kids).toEqual(['good'])
  })

  it('§7.13 one kid twice: the same material is one key, different material is none', async () => {
    const other = await testKey('P-256', 'good')
    expect(read(good.publicJwk, good.publicJwk).kids).toEqual(['good'])
    expect(read(good.publicJwk, other.publicJwk, x25519.publicJwk).kids).toEqual(['x'])
  })

  it('§7.13 a missing kid is the thumbprint, as jose computes it', async () => {
    for (const { publicJwk } of [good, x25519, rsa]) {
      const { kid: _kid, ...bare } = publicJwk
      expect(read(bare).kids).toEqual([await calculateJwkThumbprint(bare)])
      expect(thumbprint(publicJwk)).toBe(await calculateJwkThumbprint(publicJwk))
    }
  })

  it('more than 100 keys are refused whole', () => {
    expect(readKeys(Array.from({ length: 101 }, () => good.publicJwk))).toContain('more than 100')
  })
})

describe('§7.14 selection', () => {
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
  it('none, when all are out of their time', () => expect(chosen({ exp: seconds - 1 }, { nbf: seconds + 1 })).toBeUndefined())
})
