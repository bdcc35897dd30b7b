import { describe, expect, it } from 'vitest'
import { checkPublicKey, PRIVATE_MEMBERS } from '../../src/jwks/public-key.ts'
import { testKey } from '../support/keys.ts'

/** An odd modulus of so many bytes, of which nobody need know the factors. */
const modulus = (bytes: number, first = 0xff): Buffer => Buffer.concat([Buffer.of(first), Buffer.alloc(bytes - 1, 0xff)])
const exponent = (value: number): string => Buffer.from(value.toString(16).padStart(8, '0'), 'hex').toString('base64url')
const rsa = (n: Buffer, e: string = 'AQAB'): ReturnType<typeof checkPublicKey> => checkPublicKey({ kty: 'RSA', n: n.toString('base64url'), e })
const BITS = (bits: number): object => ({ reason: `its modulus has ${bits} bits, not 2048 to 4096` })
const EXPONENT = { reason: 'its exponent is not odd, and from 65,537 to 2,147,483,647' }
const MEMBERS = { reason: 'its members are not canonical base64url of the right size' }

describe('[7.12] RSA', () => {
  it('of 2,048 to 4,096 bits is taken', () => {
    expect(rsa(modulus(256, 0x80))).toMatchObject({ alg: 'RSA-OAEP-256' })
    expect(rsa(modulus(512))).toMatchObject({ alg: 'RSA-OAEP-256' })
    expect(rsa(modulus(256, 0x7f))).toEqual(BITS(2_047))
    expect(rsa(modulus(513, 0x01))).toEqual(BITS(4_097))
  })

  it('with an odd exponent from 65,537 to 2,147,483,647 is taken', () => {
    for (const e of ['AQAB', exponent(2_147_483_647)]) expect(rsa(modulus(256), e)).toMatchObject({ alg: 'RSA-OAEP-256', jwk: { kty: 'RSA', e } })
    for (const e of ['Aw', '__8', 'AQAC', exponent(2_147_483_646), exponent(2_147_483_649)]) expect([e, rsa(modulus(256), e)]).toEqual([e, EXPONENT])
  })

  it('with an even modulus is refused', () => {
    const even = modulus(256)
    for (const last of [0x00, 0x02, 0xfe]) {
      even[255] = last
      expect(rsa(even)).toEqual({ reason: 'its modulus is even' })
    }
  })

  it('with a leading zero, or without a value, is refused', () => {
    expect(rsa(modulus(256), exponent(65_537))).toEqual(MEMBERS)
    for (const change of [{ n: '' }, { e: '' }, { n: 7 }, { e: undefined }]) expect(checkPublicKey({ kty: 'RSA', n: modulus(256).toString('base64url'), e: 'AQAB', ...change })).toEqual(MEMBERS)
  })
})

describe('[7.12] a point', () => {
  it.each(['P-256', 'P-384', 'P-521', 'X25519'] as const)('on %s is taken, and only its public members; one of another size is refused', async (kind) => {
    const { publicJwk: { kty, crv, x, y }, identity } = await testKey(kind, 'k')
    const bare = { kty, crv, x, ...(y !== undefined && { y }) }
    expect(checkPublicKey({ ...bare, use: 'enc', x5c: ['?'] })).toMatchObject({ alg: identity.alg, jwk: bare })
    expect(Object.keys((checkPublicKey({ ...bare, use: 'enc' }) as { jwk: object }).jwk)).toEqual(Object.keys(bare))
    const longer = (value: string | undefined): string => Buffer.concat([Buffer.of(0), Buffer.from(value ?? '', 'base64url')]).toString('base64url')
    expect(checkPublicKey({ ...bare, x: longer(x) })).toEqual(MEMBERS)
    if (y !== undefined) expect(checkPublicKey({ ...bare, y: longer(y) })).toEqual(MEMBERS)
  })
})

describe('[7.11] a private member', () => {
  it.each(PRIVATE_MEMBERS)('%s is never taken for a public key', async (member) => {
    const { publicJwk } = await testKey('X25519', 'k')
    expect(checkPublicKey({ ...publicJwk, [member]: undefined })).toEqual({ reason: 'it holds private members: that key is compromised' })
  })

  it('all of RFC 7518 and RFC 8037 are known', () => {
    expect(PRIVATE_MEMBERS).toEqual(['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'])
  })
})
