import type { Channels } from './channels.ts'
import type { ContentEncryption } from './algorithms.ts'
import type { RecipientDirectory } from './recipient.ts'
import { SealbusError } from './errors.ts'

/** Facts about the message to seal. */
export interface SealOptions {
  /** A declared channel: chooses the recipients, and is bound to the message. */
  readonly channel: string
  /** 1 to 128 characters. Default: 128 random bits, base64url. */
  readonly id?: string
  /** Media type of the plaintext; moves inside as `cty`. Default: none, no guessing. */
  readonly contentType?: string
  /** Content encoding of the plaintext (AMQP's `contentEncoding`); moves inside as `ce`. */
  readonly contentEncoding?: string
  /** The record's key, whose hash is bound; null for a record without one; undefined: the transport has no record keys. */
  readonly key?: Buffer | string | null
  /** The transport's headers; those that the channel binds are copied inside. */
  readonly headers?: Readonly<Record<string, unknown>>
  /** Id of the request that this message answers. */
  readonly inReplyTo?: string
}

export interface SealedMessage {
  /** The envelope: what goes on the wire. */
  readonly bytes: Buffer
  /** `application/jose+json`, for the transport. */
  readonly contentType: string
  readonly id: string
}

export interface Sealer {
  readonly channels: Channels
  /** Seals; waits for the recipients' keys when they are not in memory. Rejects with what `sealSync` throws, and with the directory's reasons. */
  seal(plaintext: Uint8Array | string, options: SealOptions & { readonly signal?: AbortSignal }): Promise<SealedMessage>
  /**
   * Seals now, without waiting. An opened message's own `envelope` passes through as it is, on its own channel.
   *
   * @throws ERR_SEALBUS_KEYS_NOT_READY (transient; the keys are being fetched), ERR_SEALBUS_NO_RECIPIENTS,
   *   ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_ALREADY_SEALED, ERR_SEALBUS_TOO_LARGE, ERR_SEALBUS_CONTEXT_MISMATCH
   *   (an envelope of another channel), and the directory's reasons
   */
  sealSync(plaintext: Uint8Array | string, options: SealOptions): SealedMessage
  /** Whether `sealSync` would find all keys in memory for this message. */
  isReady(message: SealOptions): boolean
  /**
   * Without `messages`: fetches the keys of every recipient that the channels name, and keeps them warm, so that a
   * service fails at its start. With `messages`: fetches what those need.
   */
  ready(options?: { readonly messages?: readonly SealOptions[]; readonly signal?: AbortSignal }): Promise<void>
  /** Drops all content-key sessions; call it after a snapshot of the machine was restored (it repeats the random state). */
  reset(): void
  /** The policy in force. */
  describe(): SealerDescription
  close(): void
  [Symbol.dispose](): void
}

export interface SealerDescription {
  readonly enc: ContentEncryption
  readonly contentKeys: 'session' | 'per-message'
  readonly session: { readonly messages: number; readonly ageMs: number; readonly bytes: number }
  readonly realm: string | undefined
  readonly channels: readonly string[]
}

export interface SealerOptions {
  readonly directory: RecipientDirectory
  readonly channels: Channels
  /** Content encryption. Default `A256GCM`. */
  readonly enc?: 'A256GCM' | 'A128GCM'
  /** `session`: one content key for a bounded run of messages. `per-message`: one each, as RFC 7516 §5.1 has it. Default `session`. */
  readonly contentKeys?: 'session' | 'per-message'
  /** Bounds of a session. Defaults 1,024 messages, 60,000 ms, 256 MiB; ceilings 2^20, 1 h, 64 GiB. */
  readonly session?: { readonly messages?: number; readonly ageMs?: number; readonly bytes?: number }
  /** An environment or tenant, bound to every message; the opener must have the same. */
  readonly realm?: string
  /** Compact serialization, for channels with exactly one recipient. Default `general`. */
  readonly serialization?: 'general' | 'compact'
}

export function createSealer(_options: SealerOptions): Sealer {
  throw new SealbusError('ERR_SEALBUS_CLOSED', 'not built yet')
}
