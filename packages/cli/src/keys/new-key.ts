import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { loadIdentities } from '@sealbus/core'
import type { Json } from '@sealbus/core/tools'
import type { KeyEntry } from './life-cycle.ts'

export const KEY_TYPES = ['P-256', 'P-384', 'P-521', 'X25519', 'RSA'] as const
export type KeyType = (typeof KEY_TYPES)[number]
export const RSA_SIZES = ['2048', '3072', '4096'] as const

export interface NewKeyOptions {
  readonly type: KeyType
  /** Bits of an RSA key. */
  readonly bits: number
  /** Default: its thumbprint. */
  readonly kid?: string | undefined
  readonly now: Date
}

const generate = promisify(generateKeyPair)

/** A key that is not published yet. */
export async function newKey({ type, bits, kid, now }: NewKeyOptions): Promise<KeyEntry> {
  const jwk = (await generated(type, bits)).export({ format: 'jwk' })
  const [identity] = (await loadIdentities({ keys: [jwk] })).list()
  if (!identity) throw new Error('a new key is no identity')
  // On a command line, it would look like an option.
  if (kid === undefined && identity.thumbprint.startsWith('-')) return newKey({ type, bits, kid, now })
  return { ...(jwk as Record<string, Json>), kid: kid ?? identity.thumbprint, alg: identity.alg, use: 'enc', state: 'pending', created_at: now.toISOString() }
}

async function generated(type: KeyType, bits: number): Promise<KeyObject> {
  if (type === 'RSA') return (await generate('rsa', { modulusLength: bits })).privateKey
  if (type === 'X25519') return (await generate('x25519')).privateKey
  return (await generate('ec', { namedCurve: type })).privateKey
}
