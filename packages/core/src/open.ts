import type { Channels } from './channels.ts'
import type { IdentityStore } from './identity.ts'
import type { Opened } from './opened.ts'
import { SealbusError } from './errors.ts'

/** Where the message was found; compared with what it says of itself. */
export interface OpenOptions {
  /** The declared channel, from configuration: never from what the broker delivers. */
  readonly channel: string
  /** The record's key; null for a record without one; undefined: the transport has no record keys. */
  readonly key?: Buffer | string | null
  /** The transport's headers: bound ones must be equal. Undefined: the transport has none. */
  readonly headers?: Readonly<Record<string, unknown>>
}

export interface OpenedMessage extends Opened {
  readonly plaintext: Buffer
  /** Media type of the plaintext, as the sealer was given it. */
  readonly contentType: string | undefined
  readonly contentEncoding: string | undefined
}

export interface Opener {
  /** This service's name as a recipient. */
  readonly name: string
  readonly channels: Channels
  /**
   * Whether this message is to be delivered as it is: on a plaintext channel, or on one that accepts
   * `sealed-or-plain` when it is no envelope. Counts both kinds per channel. Everything else must be opened.
   */
  isPlain(bytes: Uint8Array, where: { readonly channel: string; readonly contentType?: string }): boolean
  /** Opens; waits for an identity whose private half is elsewhere. Rejects with a SealbusError only. */
  open(bytes: Uint8Array, options: OpenOptions & { readonly signal?: AbortSignal }): Promise<OpenedMessage>
  /** Opens without waiting. @throws ERR_SEALBUS_KEYS_NOT_READY when the identity is asynchronous and the content key is not cached */
  openSync(bytes: Uint8Array, options: OpenOptions): OpenedMessage
  /** Messages seen by `isPlain`, per channel. */
  counts(): Readonly<Record<string, { readonly sealed: number; readonly plain: number }>>
  close(): void
  [Symbol.dispose](): void
}

export interface OpenerOptions {
  /** This service's name, as sealers' directories know it. */
  readonly name: string
  readonly identities: IdentityStore
  readonly channels: Channels
  /** Required in, and equal to, every native message where it is set. */
  readonly realm?: string
}

export function createOpener(_options: OpenerOptions): Opener {
  throw new SealbusError('ERR_SEALBUS_CLOSED', 'not built yet')
}
