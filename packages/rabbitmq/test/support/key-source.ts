import { constants, createHash, generateKeyPairSync, privateDecrypt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChannelDeclarations, type Channels, createOpener, createSealer, defineChannels, type Identity, type IdentityStore, type Opener, type RecipientDirectory, type Sealer, type Tombstone } from '@sealbus/core'

/** A service's key behind a source that can be slow, or down. */
export interface KeySource {
  /** `now` answers at once; a number after so many milliseconds; `down` not at all. */
  answers: 'now' | 'down' | number | (() => number)
  /** Unwraps that were asked for. */
  calls: number
  readonly identities: IdentityStore
  readonly directory: RecipientDirectory
  /** From now on the key is not here. */
  lose(): void
  destroy(): void
  restore(): void
}

/** Slow to make, and the same for every test. */
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

export function createKeySource(): KeySource {
  const { e, kty, n } = publicKey.export({ format: 'jwk' }) as { e: string; kty: string; n: string }
  const thumbprint = createHash('sha256').update(JSON.stringify({ e, kty, n })).digest('base64url')
  const kid = thumbprint
  const unwrap = (encryptedKey: Buffer): Buffer | null => {
    try {
      return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }, encryptedKey)
    } catch {
      return null
    }
  }
  const identity: Identity = {
    kid,
    thumbprint,
    alg: 'RSA-OAEP-256',
    publicJwk: { kty, n, e },
    state: 'active',
    unwrap({ encryptedKey }) {
      source.calls++
      const { answers } = source
      if (answers === 'down') throw new Error('the key source is down')
      if (answers === 'now') return unwrap(encryptedKey)
      return sleep(typeof answers === 'number' ? answers : answers()).then(() => unwrap(encryptedKey))
    },
  }
  let found: Identity | Tombstone | undefined = identity
  const key = { kid, thumbprint, alg: 'RSA-OAEP-256', publicKey } as const
  const source: KeySource = {
    answers: 'now',
    calls: 0,
    identities: { find: (asked) => (asked === kid ? found : undefined), list: () => (found === identity ? [identity] : []) },
    directory: { peek: () => key, resolve: async () => key },
    lose: () => (found = undefined),
    destroy: () => (found = { kid, destroyed: { at: new Date(0) } }),
    restore: () => (found = identity),
  }
  return source
}

export interface World {
  readonly source: KeySource
  readonly channels: Channels
  readonly sealer: Sealer
  readonly opener: Opener
}

/** A sealer and an opener that share one key. Each message has its own content key, so that each asks the source. */
export function createWorld(declarations: ChannelDeclarations): World {
  const source = createKeySource()
  const channels = defineChannels(declarations)
  return {
    source,
    channels,
    sealer: createSealer({ directory: source.directory, channels, contentKeys: 'per-message' }),
    opener: createOpener({ name: 'billing', identities: source.identities, channels }),
  }
}
