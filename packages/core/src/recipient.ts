import type { KeyObject } from 'node:crypto'
import type { KeyManagementAlgorithm } from './algorithms.ts'

/** A recipient's public encryption key, checked, ready to wrap a content key. Never changed once made. */
export interface RecipientKey {
  /** The JWK's `kid`, or its thumbprint where it has none. Unique only within one set. */
  readonly kid: string
  /** RFC 7638 SHA-256 thumbprint, base64url. Names the key material itself. */
  readonly thumbprint: string
  readonly alg: KeyManagementAlgorithm
  readonly publicKey: KeyObject
  /** Epoch milliseconds from which the key must not be sealed for; from the JWK's `exp`. */
  readonly notAfter?: number
}

/**
 * Resolves a recipient's name to the public key to seal for now. The two methods are all that a custom directory needs.
 */
export interface RecipientDirectory {
  /**
   * The key in memory, without waiting; undefined when it must be fetched first. Called for every message:
   * it returns the same object for as long as the key is the same, and another one, or an error, at once when it is not.
   *
   * @throws SealbusError when the name is known to have no usable key (revoked, expired, unknown), or when the
   *   last known set is too old and its source is failing.
   */
  peek(name: string): RecipientKey | undefined
  /** The key, fetched when it is not in memory. Rejects with the typed reason. */
  resolve(name: string, options?: { signal?: AbortSignal }): Promise<RecipientKey>
  /** Keep these names fresh without waiting for a message; the sealer calls it from `ready()`. Timers are unref'd. */
  keepWarm?(names: readonly string[]): void
  /** The longest time from a key's revocation at its source to the last message that is sealed for it, in milliseconds; Infinity where it never learns of one. */
  revocationMs?(): number
  close?(): void | Promise<void>
}
