import { hash } from 'node:crypto'
import type { JWK } from 'jose'

/** RFC 7638 SHA-256 thumbprint of a public or private key, base64url. Synchronous, which jose's is not. */
export function thumbprint({ kty, crv, x, y, e, n }: JWK): string {
  // Required members only, in lexicographic order (RFC 7638 §3.2, RFC 8037 §2).
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x }
  return hash('sha256', JSON.stringify(members), 'base64url')
}
