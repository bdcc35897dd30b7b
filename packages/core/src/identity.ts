import type { JWK } from 'jose'
import type { ContentEncryption, KeyManagementAlgorithm } from './algorithms.ts'

/** What `unwrap` is given: one recipient entry, checked against the identity before the call. */
export interface UnwrapRequest {
  readonly kid: string
  readonly alg: KeyManagementAlgorithm
  readonly enc: ContentEncryption
  readonly encryptedKey: Buffer
  /** The ephemeral public key, for ECDH-ES algorithms: on the identity's own curve. */
  readonly epk?: JWK
  readonly apu?: Buffer
  readonly apv?: Buffer
  readonly signal?: AbortSignal
}

/**
 * Where a key stands in its life. All but `revoked` keys open messages; only `active` ones are published.
 * A `pending` key opens too, because another instance may have published it a moment earlier.
 */
export type IdentityState = 'pending' | 'active' | 'retiring' | 'archived' | 'revoked'

/** A service's private half. `unwrap` is its only private operation, so that a KMS or HSM can stand behind it. */
export interface Identity {
  readonly kid: string
  /** RFC 7638 SHA-256 thumbprint of the public half. */
  readonly thumbprint: string
  readonly alg: KeyManagementAlgorithm
  /** Public members only. */
  readonly publicJwk: JWK
  readonly state: IdentityState
  /**
   * The content key; `null` when the wrapped key does not belong to this identity or is broken (a cryptographic
   * failure). Anything thrown means that the key source cannot answer now, and becomes ERR_SEALBUS_KEY_UNAVAILABLE:
   * the message is held, not parked. Only a thrown SealbusError of ERR_SEALBUS_KEY_FORBIDDEN says that the source refuses
   * (permission is missing, or the key is disabled), and stops the consumer. What is thrown is never shown. A returned
   * promise makes the identity asynchronous: `openSync` then works only for content keys that are cached. The Buffer is
   * the opener's from then on, which overwrites it: give a copy of one that is kept.
   */
  unwrap(request: UnwrapRequest): Buffer | null | Promise<Buffer | null>
}

/** A key that is gone for good: messages sealed for it can never be opened here. */
export interface Tombstone {
  readonly kid: string
  /** RFC 7638 SHA-256 thumbprint of the public half, where it was kept: sealers name a key by it when two recipients' kids collide, or two names give it different ones. */
  readonly thumbprint?: string
  readonly destroyed: { readonly at: Date; readonly reason?: string }
}

/** The private keys of one service, by `kid` and by thumbprint: a synchronous, local index. */
export interface IdentityStore {
  find(kid: string): Identity | Tombstone | undefined
  /** All identities, for messages whose sole entry has no `kid`, and for publishing the public halves. */
  list(): readonly Identity[]
  /** Reads the source again; called for an unknown kid, at most once per 30 s. */
  refresh?(): Promise<void>
  close?(): void | Promise<void>
}
