import { compactVerify, type CryptoKey, importJWK, type JWK } from 'jose'
import { isJsonObject, parseJson } from '../json.ts'

/** What sets are signed with, by curve. */
const CURVES = new Map<unknown, { readonly kty: string; readonly alg: SignatureKey['alg'] }>([
  ['Ed25519', { kty: 'OKP', alg: 'Ed25519' }],
  ['P-256', { kty: 'EC', alg: 'ES256' }],
])

/** A public key that sets are signed with. */
export interface SignatureKey {
  readonly kid: string | undefined
  readonly alg: 'Ed25519' | 'ES256'
  readonly jwk: JWK
}

/** Undefined when it is none: an Ed25519 or P-256 public key for signatures. */
export function signatureKey(jwk: unknown): SignatureKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const { kty, crv, x, y, kid, use, d } = jwk as JWK
  const row = CURVES.get(crv)
  if (row?.kty !== kty || row === undefined || d !== undefined || (use !== undefined && use !== 'sig') || (kid !== undefined && typeof kid !== 'string')) return undefined
  if (typeof x !== 'string' || (kty === 'EC' && typeof y !== 'string')) return undefined
  return { kid, alg: row.alg, jwk: { kty, crv, x, ...(kty === 'EC' && { y }) } as JWK }
}

/** `EdDSA` is how Ed25519 was spelt before RFC 9864. */
const ACCEPTED = { Ed25519: ['Ed25519', 'EdDSA'], ES256: ['ES256'] }

/**
 * The payload of a compact JWS (RFC 7515) that one of the keys made; undefined for anything else. Nothing that the JWS
 * says of its key is followed: `kid` only chooses among the keys that were given.
 */
export async function verifiedPayload(jws: Buffer, keys: readonly SignatureKey[]): Promise<Buffer | undefined> {
  const text = jws.toString('latin1').trim()
  const header = protectedHeader(text)
  if (!header || 'crit' in header || 'b64' in header) return undefined
  const named = keys.filter(({ kid }) => header['kid'] === undefined || kid === undefined || kid === header['kid'])
  for (const { alg, jwk } of named) {
    try {
      const key = (await importJWK(jwk, alg)) as CryptoKey
      const { payload } = await compactVerify(text, key, { algorithms: ACCEPTED[alg] })
      return Buffer.from(payload)
    } catch {
      // Another key may have made it; what jose says of this one may quote the input.
    }
  }
  return undefined
}

function protectedHeader(jws: string): object & Record<string, unknown> | undefined {
  if (!/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(jws)) return undefined
  const header = parseJson(Buffer.from(jws.slice(0, jws.indexOf('.')), 'base64url').toString('utf8'))
  return isJsonObject(header) ? { ...header } : undefined
}
