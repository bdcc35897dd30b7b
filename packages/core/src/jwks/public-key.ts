import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import { curve, type KeyManagementAlgorithm, keyManagementAlgorithm, RSA_BITS } from '../algorithms.ts'
import { decodeBase64url } from '../base64url.ts'

/** A public encryption key, or the reason why it is none: words, never values. */
export type CheckedKey = { readonly alg: KeyManagementAlgorithm; readonly jwk: JWK; readonly publicKey: KeyObject } | { readonly reason: string }

/** Members of private keys (RFC 7518 §6, RFC 8037): a set that shows one has leaked it. */
export const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'] as const

/** Checks the key material of a public JWK: type, size, and that a point is on its curve. `jwk` has the public members only. */
export function checkPublicKey(jwk: Readonly<Record<string, unknown>>): CheckedKey {
  if (PRIVATE_MEMBERS.some((member) => Object.hasOwn(jwk, member))) return { reason: 'it holds private members: that key is compromised' }
  const alg = keyManagementAlgorithm(jwk)
  if (!alg) return { reason: 'its key type, curve or alg is not permitted' }
  const publicJwk = alg === 'RSA-OAEP-256' ? rsaMembers(jwk) : curveMembers(jwk)
  if (!publicJwk) return { reason: 'its members are not canonical base64url of the right size' }
  let publicKey: KeyObject
  try {
    // Import refuses a point that is off its curve.
    publicKey = createPublicKey({ key: publicJwk, format: 'jwk' })
  } catch {
    return { reason: 'it is not a valid public key' }
  }
  if (publicJwk.crv === 'X25519' && isLowOrder(publicKey)) return { reason: 'it is a point of low order' }
  const reason = alg === 'RSA-OAEP-256' ? rsaReason(publicKey, publicJwk) : undefined
  return reason === undefined ? { alg, jwk: publicJwk, publicKey } : { reason }
}

function curveMembers({ kty, crv, x, y }: Readonly<Record<string, unknown>>): JWK | undefined {
  const row = curve(kty, crv)
  if (!row || !isBytes(x, row.size)) return undefined
  if (row.kty === 'OKP') return { kty: row.kty, crv: row.crv, x }
  return isBytes(y, row.size) ? { kty: row.kty, crv: row.crv, x, y } : undefined
}

function rsaMembers({ n, e }: Readonly<Record<string, unknown>>): JWK | undefined {
  // RFC 7518 §6.3.1.1: no leading zeros, or one key would have several thumbprints.
  return isUnsigned(n) && isUnsigned(e) ? { kty: 'RSA', n, e } : undefined
}

function rsaReason(publicKey: KeyObject, { n }: JWK): string | undefined {
  const { modulusLength = 0, publicExponent = 0n } = publicKey.asymmetricKeyDetails ?? {}
  if (modulusLength < RSA_BITS.min || modulusLength > RSA_BITS.max) return `its modulus has ${modulusLength} bits, not ${RSA_BITS.min} to ${RSA_BITS.max}`
  // Above, Go takes none, OpenSSL not all that it imports, and wrapping would be as slow as unwrapping.
  if (publicExponent < 65_537n || publicExponent > 2_147_483_647n || publicExponent % 2n === 0n) return 'its exponent is not odd, and from 65,537 to 2,147,483,647'
  const last = Buffer.from(n ?? '', 'base64url').at(-1) ?? 0
  return last % 2 === 0 ? 'its modulus is even' : undefined
}

function isBytes(value: unknown, size?: number): value is string {
  if (typeof value !== 'string' || value === '') return false
  const bytes = decodeBase64url(value)
  return bytes !== undefined && (size === undefined || bytes.length === size)
}

function isUnsigned(value: unknown): value is string {
  return isBytes(value) && Buffer.from(value, 'base64url')[0] !== 0
}

/** An agreement with a low-order point gives zero, which OpenSSL refuses (RFC 7748 §6.1). */
function isLowOrder(publicKey: KeyObject): boolean {
  try {
    diffieHellman({ privateKey: generateKeyPairSync('x25519').privateKey, publicKey })
    return false
  } catch {
    return true
  }
}
