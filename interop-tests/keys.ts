import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'

export const KEY_KINDS = ['P-256', 'P-384', 'P-521', 'X25519', 'RSA'] as const
export type KeyKind = (typeof KEY_KINDS)[number]

/** One recipient's key pair, as a service would keep and publish it. */
export interface RecipientKeys {
  readonly name: string
  readonly kind: KeyKind
  readonly publicJwk: JWK
  readonly privateJwk: JWK
}

const made = new Map<string, RecipientKeys>()

/** The same pair for the same kind and number: RSA keys take long to make. */
export function recipientKeys(kind: KeyKind, number: number): RecipientKeys {
  const name = `${kind.toLowerCase()}-${number}`
  const known = made.get(name)
  if (known) return known
  const privateKey = generate(kind)
  // `alg` and `use` as docs/FORMAT.md advises: some libraries do not guess.
  const common = { kid: `${name}-key`, alg: kind === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW', use: 'enc' }
  const keys: RecipientKeys = {
    name,
    kind,
    publicJwk: { ...(createPublicKey(privateKey).export({ format: 'jwk' }) as JWK), ...common },
    privateJwk: { ...(privateKey.export({ format: 'jwk' }) as JWK), ...common },
  }
  made.set(name, keys)
  return keys
}

function generate(kind: KeyKind): KeyObject {
  if (kind === 'RSA') return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  if (kind === 'X25519') return generateKeyPairSync('x25519').privateKey
  return generateKeyPairSync('ec', { namedCurve: kind }).privateKey
}
