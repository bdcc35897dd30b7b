import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { keyManagementAlgorithm } from '../../src/algorithms.ts'
import type { Identity, IdentityState, IdentityStore, Tombstone } from '../../src/identity.ts'
import type { RecipientDirectory, RecipientKey } from '../../src/recipient.ts'
import { unwrapLocal } from '../../src/wrap.ts'

export type KeyKind = 'P-256' | 'P-384' | 'P-521' | 'X25519' | 'RSA'

/** A key pair in every form that tests need. */
export interface TestKey {
  readonly kid: string
  readonly publicJwk: JWK
  readonly privateKey: KeyObject
  readonly recipientKey: RecipientKey
  readonly identity: Identity
}

export async function testKey(kind: KeyKind, kid: string, state: IdentityState = 'active'): Promise<TestKey> {
  const { privateKey } = generate(kind)
  const publicKey = createPublicKey(privateKey)
  const bare = publicKey.export({ format: 'jwk' }) as JWK
  const alg = keyManagementAlgorithm(bare)
  if (!alg) throw new Error(`no algorithm for ${kind}`)
  const thumbprint = await calculateJwkThumbprint(bare)
  const publicJwk = { ...bare, kid, alg, use: 'enc' }
  return {
    kid,
    publicJwk,
    privateKey,
    recipientKey: { kid, thumbprint, alg, publicKey },
    identity: { kid, thumbprint, alg, publicJwk, state, unwrap: (request) => unwrapLocal(privateKey, request) },
  }
}

function generate(kind: KeyKind): { privateKey: KeyObject } {
  if (kind === 'RSA') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  if (kind === 'X25519') return generateKeyPairSync('x25519')
  return generateKeyPairSync('ec', { namedCurve: kind })
}

/** A directory whose keys a test can change at any time. */
export function testDirectory(keys: Record<string, RecipientKey | undefined>): RecipientDirectory & { keys: Record<string, RecipientKey | undefined>; resolved: string[] } {
  const directory = {
    keys,
    resolved: [] as string[],
    peek: (name: string) => directory.keys[name],
    async resolve(name: string): Promise<RecipientKey> {
      directory.resolved.push(name)
      const key = directory.keys[name]
      if (!key) throw new Error(`no key for ${name}`)
      return key
    },
  }
  return directory
}

export function testIdentities(...identities: (Identity | Tombstone)[]): IdentityStore {
  return {
    find: (kid) => identities.find((each) => each.kid === kid || ('thumbprint' in each && each.thumbprint === kid)),
    list: () => identities.filter((each) => 'unwrap' in each),
  }
}
