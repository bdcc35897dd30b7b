import type { Identity } from '@sealbus/core'

/** Such as P-256 or RSA-2048. */
export function typeOf({ kty, crv, n }: Identity['publicJwk']): string {
  return kty === 'RSA' ? `RSA-${Buffer.from(n ?? '', 'base64url').length * 8}` : (crv ?? '')
}
