import {
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
} from 'node:crypto'
import type { JWK } from 'jose'
import { curve, type CurveRow, type KeyManagementAlgorithm } from './algorithms.ts'
import { decodeBase64url } from './base64url.ts'
import type { UnwrapRequest } from './identity.ts'
import { isJsonObject, type Json } from './json.ts'
import type { RecipientKey } from './recipient.ts'

/** One recipient's wrapped content key. */
export interface WrappedKey {
  readonly kid: string
  readonly thumbprint: string
  readonly alg: KeyManagementAlgorithm
  /** Public ephemeral key, for ECDH-ES algorithms. */
  readonly epk?: JWK
  readonly encryptedKey: Buffer
}

/** Wraps a content key for one recipient; a fresh ephemeral key each time (RFC 7518 §4.6). */
export function wrapKey(key: RecipientKey, contentKey: Buffer): WrappedKey {
  const { kid, thumbprint, alg } = key
  if (alg === 'RSA-OAEP-256') {
    return { kid, thumbprint, alg, encryptedKey: publicEncrypt({ key: key.publicKey, ...OAEP }, contentKey) }
  }
  const { epk, secret } = agree(key)
  const wrapping = deriveWrappingKey(secret, alg)
  const encryptedKey = aesKeyWrap(wrapping, contentKey)
  secret.fill(0)
  wrapping.fill(0)
  return { kid, thumbprint, alg, epk, encryptedKey }
}

/** Unwraps with a private key in this process; null for every cryptographic failure, so that none can be told from another. */
export function unwrapLocal(privateKey: KeyObject, request: UnwrapRequest): Buffer | null {
  try {
    if (request.alg === 'RSA-OAEP-256') return privateDecrypt({ key: privateKey, ...OAEP }, request.encryptedKey)
    if (!request.epk) return null
    // Import checks that the point is on the curve; diffieHellman() refuses X25519's low-order points.
    const publicKey = createPublicKey({ key: request.epk, format: 'jwk' })
    const secret = diffieHellman({ privateKey, publicKey })
    const wrapping = deriveWrappingKey(secret, request.alg, request.apu, request.apv)
    secret.fill(0)
    const contentKey = aesKeyUnwrap(wrapping, request.encryptedKey)
    wrapping.fill(0)
    return contentKey
  } catch {
    return null
  }
}

/** An entry's `epk`, checked to be a public key on the given curve, in canonical form; undefined otherwise. */
export function readEphemeralKey(value: Json | undefined, row: CurveRow): JWK | undefined {
  if (!isJsonObject(value) || value['kty'] !== row.kty || value['crv'] !== row.crv || 'd' in value) return undefined
  const x = coordinate(value['x'], row)
  if (x === undefined) return undefined
  if (row.kty === 'OKP') return { kty: row.kty, crv: row.crv, x }
  const y = coordinate(value['y'], row)
  return y === undefined ? undefined : { kty: row.kty, crv: row.crv, x, y }
}

/**
 * Whether the point is on its curve, and not one of X25519's of low order: import checks the first, agreement refuses the
 * second (RFC 7748 §6.1). An identity whose private half is elsewhere must never see another.
 */
export function isPublicKey(epk: JWK): boolean {
  try {
    const publicKey = createPublicKey({ key: epk, format: 'jwk' })
    if (epk.kty === 'OKP') diffieHellman({ privateKey: (probe ??= generateKeyPairSync('x25519').privateKey), publicKey }).fill(0)
    return true
  } catch {
    return false
  }
}

/** Any private key shows a low-order point; made at the first use. */
let probe: KeyObject | undefined

function coordinate(value: Json | undefined, row: CurveRow): string | undefined {
  return typeof value === 'string' && decodeBase64url(value)?.length === row.size ? value : undefined
}

const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' } as const

/** A fresh key on the recipient's curve, and what the two agree on. */
function agree({ publicKey }: RecipientKey): { epk: JWK; secret: Buffer } {
  // Written as a JWK while it is made: exporting it afterwards takes longer, and can deadlock on old Node versions.
  const encoded = { publicKeyEncoding: { format: 'jwk' } } as const
  const { asymmetricKeyType: type, asymmetricKeyDetails } = publicKey
  const pair =
    type === 'x25519' ? generateKeyPairSync('x25519', encoded) : generateKeyPairSync('ec', { namedCurve: asymmetricKeyDetails?.namedCurve ?? '', ...encoded })
  // What the types do not know: in this encoding it is a JWK.
  const { kty, crv, x, y } = pair.publicKey as unknown as { kty: string; crv: string; x: string; y?: string }
  if (!curve(kty, crv)) throw new TypeError('not a key of a permitted curve')
  return { epk: { kty, crv, x, ...(y !== undefined && { y }) }, secret: diffieHellman({ privateKey: pair.privateKey, publicKey }) }
}

const WRAPPING_KEY_BITS = 256

/** Concat KDF (NIST SP 800-56A §5.8.1) as RFC 7518 §4.6.2 uses it: one round of SHA-256 gives the 256 bits. */
export function deriveWrappingKey(secret: Buffer, alg: string, apu: Buffer = EMPTY, apv: Buffer = EMPTY): Buffer {
  return createHash('sha256')
    .update(uint32(1))
    .update(secret)
    .update(lengthPrefixed(Buffer.from(alg)))
    .update(lengthPrefixed(apu))
    .update(lengthPrefixed(apv))
    .update(uint32(WRAPPING_KEY_BITS))
    .digest()
}

const EMPTY = Buffer.alloc(0)

/** RFC 3394 §2.2.3.1's initial value. */
const KEY_WRAP_IV = Buffer.alloc(8, 0xa6)

/** RFC 3394. Given the bytes of its key instead of a KeyObject, a cipher takes ten times as long to make. */
export function aesKeyWrap(wrapping: Buffer, contentKey: Buffer): Buffer {
  const cipher = createCipheriv('id-aes256-wrap', createSecretKey(wrapping), KEY_WRAP_IV)
  return Buffer.concat([cipher.update(contentKey), cipher.final()])
}

/** RFC 3394; throws when the check value is wrong. */
export function aesKeyUnwrap(wrapping: Buffer, encryptedKey: Buffer): Buffer {
  const decipher = createDecipheriv('id-aes256-wrap', createSecretKey(wrapping), KEY_WRAP_IV)
  return Buffer.concat([decipher.update(encryptedKey), decipher.final()])
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export function lengthPrefixed(bytes: Buffer): Buffer {
  return Buffer.concat([uint32(bytes.length), bytes])
}
