import { createECDH, createHash, createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { fixedBytes } from './fixed-bytes.ts'
import { OTHER_RSA_2048, RSA_2048, RSA_4096 } from './rsa-keys.ts'

export type Curve = keyof typeof CURVES
export type PublicJwk = Readonly<Record<string, string>>

/** A recipient of the vectors, with both halves. */
export interface VectorKey {
  readonly name: string
  readonly kid: string
  readonly alg: 'ECDH-ES+A256KW' | 'RSA-OAEP-256'
  readonly crv: Curve | undefined
  readonly privateJwk: PublicJwk
  readonly publicJwk: PublicJwk
  readonly thumbprint: string
}

const CURVES = {
  'P-256': { openssl: 'prime256v1', size: 32, top: 0xff },
  'P-384': { openssl: 'secp384r1', size: 48, top: 0xff },
  // 521 bits are one bit more than 65 bytes.
  'P-521': { openssl: 'secp521r1', size: 66, top: 0x00 },
  X25519: { openssl: undefined, size: 32, top: 0xff },
} as const

/** A private key on a curve, from a label: always the same. */
export function curveKey(crv: Curve, label: string): PublicJwk {
  const { openssl, size, top } = CURVES[crv]
  const scalar = Buffer.from(fixedBytes(label, size))
  scalar[0] = (scalar[0] ?? 0) & top
  if (openssl === undefined) return { kty: 'OKP', crv, x: x25519PublicKey(scalar), d: scalar.toString('base64url') }
  const ecdh = createECDH(openssl)
  ecdh.setPrivateKey(scalar)
  const point = ecdh.getPublicKey()
  return { kty: 'EC', crv, x: point.toString('base64url', 1, 1 + size), y: point.toString('base64url', 1 + size), d: scalar.toString('base64url') }
}

/** PKCS #8 around a raw X25519 key (RFC 8410 §7). */
const X25519_PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex')

function x25519PublicKey(scalar: Buffer): string {
  const privateKey = createPrivateKey({ key: Buffer.concat([X25519_PKCS8, scalar]), format: 'der', type: 'pkcs8' })
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).toString('base64url', 12)
}

/** The secret that a private key and a public one agree on: the x of the point, or X25519's output. */
export function agree(own: PublicJwk, other: PublicJwk): Buffer {
  const { openssl } = CURVES[own['crv'] as Curve]
  if (openssl === undefined) return diffieHellman({ privateKey: privateKeyObject(own), publicKey: publicKeyObject(other) })
  const ecdh = createECDH(openssl)
  ecdh.setPrivateKey(own['d'] ?? '', 'base64url')
  return ecdh.computeSecret(Buffer.concat([Buffer.of(4), Buffer.from(other['x'] ?? '', 'base64url'), Buffer.from(other['y'] ?? '', 'base64url')]))
}

const PRIVATE = new Set(['d', 'p', 'q', 'dp', 'dq', 'qi'])

export function publicHalf(jwk: PublicJwk): PublicJwk {
  return Object.fromEntries(Object.entries(jwk).filter(([member]) => !PRIVATE.has(member)))
}

export const privateKeyObject = (jwk: PublicJwk): KeyObject => createPrivateKey({ key: jwk, format: 'jwk' })
export const publicKeyObject = (jwk: PublicJwk): KeyObject => createPublicKey({ key: publicHalf(jwk), format: 'jwk' })

/** RFC 7638 §3: required members in lexicographic order. */
function thumbprintOf(jwk: PublicJwk): string {
  const required = ['crv', 'e', 'kty', 'n', 'x', 'y'].filter((member) => jwk[member] !== undefined)
  return createHash('sha256').update(JSON.stringify(Object.fromEntries(required.map((member) => [member, jwk[member]])))).digest('base64url')
}

function vectorKey(name: string, kid: string, material: PublicJwk): VectorKey {
  const alg = material['kty'] === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW'
  const crv = material['crv'] as Curve | undefined
  const { kty = '', ...members } = material
  const privateJwk = { kty, kid, alg, use: 'enc', ...members }
  return { name, kid, alg, crv, privateJwk, publicJwk: publicHalf(privateJwk), thumbprint: thumbprintOf(publicHalf(material)) }
}

const onCurve = (name: string, crv: Curve, kid = `${name}-1`): VectorKey => vectorKey(name, kid, curveKey(crv, `key of ${name}`))

export const billing: VectorKey = onCurve('billing', 'P-256')
export const shipping: VectorKey = onCurve('shipping', 'X25519')
export const audit: VectorKey = onCurve('audit', 'P-384')
export const archive: VectorKey = onCurve('archive', 'P-521')
export const warehouse: VectorKey = vectorKey('warehouse', 'warehouse-1', RSA_2048)
export const ledger: VectorKey = vectorKey('ledger', 'ledger-1', RSA_4096)
/** Somebody else's RSA key under warehouse's kid. */
export const impostor: VectorKey = vectorKey('impostor', 'warehouse-1', OTHER_RSA_2048)
/** Another service's key that happens to have billing's kid. */
export const partner: VectorKey = onCurve('partner', 'P-256', 'billing-1')
/** A kid beyond ASCII. */
export const customs: VectorKey = onCurve('customs', 'P-256', 'таможня-1 🔑')

export const KEYS: readonly VectorKey[] = [billing, shipping, audit, archive, warehouse, ledger, customs]
