import { randomBytes, timingSafeEqual } from 'node:crypto'
import { CONTENT_ENCRYPTIONS, type ContentEncryption, KEY_MANAGEMENT_ALGORITHMS, type KeyManagementAlgorithm, narrowed } from './algorithms.ts'
import { checkNames, checkParts, one, within } from './bounds.ts'
import { createTally, type OpenedCounts } from './channel-counts.ts'
import type { Channel, Channels } from './channels.ts'
import { asBuffer } from './bytes.ts'
import { SYSTEM_CLOCK } from './clock.ts'
import { decompress } from './compression.ts'
import { decryptContent } from './content.ts'
import { type ContentKey, type ContentKeyCacheBounds, contentKey as createContentKey, createContentKeyCache } from './content-key-cache.ts'
import { checkContext } from './context.ts'
import { type Envelope, fullContentType, looksSealed } from './envelope.ts'
import { type Candidate, createEntryFinder } from './entry.ts'
import { SealbusError } from './errors.ts'
import type { IdentityStore } from './identity.ts'
import { createKnownForms } from './known-forms.ts'
import { LIMITS } from './limits.ts'
import { refused } from './malformed.ts'
import { type Opened, rememberEnvelope } from './opened.ts'
import { isText } from './text.ts'
import { type OpenTrace, traced, TRACES } from './tracing.ts'
import type { UnwrapBounds } from './unwrap-pace.ts'
import { createUnwrapping } from './unwrapping.ts'

/** Where the message was found; compared with what it says of itself. */
export interface OpenOptions {
  /** The declared channel, from configuration: never from what the broker delivers. */
  readonly channel: string
  /** The record's key; null for a record without one; undefined: the transport has no record keys. */
  readonly key?: Buffer | string | null
  /** The transport's headers: bound ones must be equal. Undefined: the transport has none. */
  readonly headers?: Readonly<Record<string, unknown>>
}

/** A message that was opened: its plaintext, and what its envelope says of it, all of it authenticated. */
export interface OpenedMessage extends Opened {
  /** Decompressed, where it was compressed. */
  readonly plaintext: Buffer
  /** Media type of the plaintext, as the sealer was given it; undefined where it was given none. */
  readonly contentType: string | undefined
  /** Content encoding of the plaintext, as the sealer was given it; nothing is decoded by it. */
  readonly contentEncoding: string | undefined
}

/**
 * Opens messages with a service's private keys. Safe to share; opening after `close()` throws ERR_SEALBUS_CLOSED.
 */
export interface Opener {
  /** This service's name as a recipient. */
  readonly name: string
  /** What it was made with. */
  readonly channels: Channels
  /**
   * Whether this message is to be delivered as it is: on a plaintext channel, or on one that accepts
   * `sealed-or-plain` when it is no envelope. Counts both kinds per channel. Everything else must be opened.
   *
   * @throws ERR_SEALBUS_UNDECLARED_CHANNEL
   */
  isPlain(bytes: Uint8Array, where: { readonly channel: string; readonly contentType?: string }): boolean
  /**
   * Opens; waits for an identity whose private half is elsewhere. Rejects with what `openSync` throws but for ERR_SEALBUS_KEYS_NOT_READY,
   * and with ERR_SEALBUS_KEY_UNAVAILABLE (transient) when the signal aborts: with a SealbusError only.
   */
  open(bytes: Uint8Array, options: OpenOptions & { readonly signal?: AbortSignal }): Promise<OpenedMessage>
  /**
   * Opens without waiting.
   *
   * @throws ERR_SEALBUS_KEYS_NOT_READY (transient) when the identity is asynchronous and the content key is not cached;
   *   of the message ERR_SEALBUS_NOT_SEALED, ERR_SEALBUS_MALFORMED, ERR_SEALBUS_TOO_LARGE, ERR_SEALBUS_REFUSED,
   *   ERR_SEALBUS_UNSUPPORTED_VERSION, ERR_SEALBUS_DECRYPT_FAILED, ERR_SEALBUS_CONTEXT_MISMATCH; of our keys
   *   ERR_SEALBUS_NOT_A_RECIPIENT, ERR_SEALBUS_KEY_MISSING, ERR_SEALBUS_KEY_DESTROYED, ERR_SEALBUS_KEY_REVOKED,
   *   ERR_SEALBUS_KEY_UNAVAILABLE, ERR_SEALBUS_KEY_FORBIDDEN; of the call ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_INVALID_OPTION
   */
  openSync(bytes: Uint8Array, options: OpenOptions): OpenedMessage
  /** By channel: the messages that `isPlain` saw, and how many of the sealed ones opened. For a migration: see docs/MIGRATION.md. */
  counts(): Readonly<Record<string, OpenedCounts>>
  /** Forgets all content keys; what is being opened fails. Idempotent. */
  close(): void
  [Symbol.dispose](): void
}

/** What an opener is made with: a name, two parts, and a policy whose defaults are the safe ones. */
export interface OpenerOptions {
  /** This service's name, as sealers' directories know it. Not empty. */
  readonly name: string
  /** The private keys: of `loadIdentities`, or one's own store. The opener does not close it. */
  readonly identities: IdentityStore
  /** Of `defineChannels`. */
  readonly channels: Channels
  /** An environment or tenant, of 1 to 255 characters: required in, and equal to, every native message where it is set. Default: any is taken. */
  readonly realm?: string
  /** Which `alg` to take. Default: all of the table, `ECDH-ES+A256KW` and `RSA-OAEP-256`; an option can only narrow it. */
  readonly keyManagementAlgorithms?: readonly KeyManagementAlgorithm[]
  /** Which `enc` to take. Default: all of the table, `A256GCM`, `A128GCM` and `A256CBC-HS512`; an option can only narrow it. */
  readonly contentEncryptionAlgorithms?: readonly ContentEncryption[]
  /** Largest payload to take, in bytes; a larger one is `ERR_SEALBUS_TOO_LARGE`, before any private-key work where its envelope shows it, and `ERR_SEALBUS_MALFORMED` where only decompression does. Default and most 16,777,216; from 1. */
  readonly maxPayloadBytes?: number
  /** Content keys kept, so that a message of a known one needs no private key: see `ContentKeyCacheBounds` for defaults and ranges. */
  readonly contentKeyCache?: Partial<ContentKeyCacheBounds>
  /** Bounds of the calls to identities whose private half is elsewhere: see `UnwrapBounds` for defaults and ranges. */
  readonly unwrap?: Partial<UnwrapBounds>
}

const OPTIONS: Record<keyof OpenerOptions, true> = {
  name: true,
  identities: true,
  channels: true,
  realm: true,
  keyManagementAlgorithms: true,
  contentEncryptionAlgorithms: true,
  maxPayloadBytes: true,
  contentKeyCache: true,
  unwrap: true,
}

/**
 * An opener for all channels of a service.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION for an option that is missing, unknown or out of range
 */
export function createOpener(options: OpenerOptions): Opener {
  checkNames('an opener', OPTIONS, options)
  checkParts('an opener', { identities: ['find', 'list'], channels: ['get'] }, options)
  const { name, identities, channels, realm, unwrap, contentKeyCache, keyManagementAlgorithms, contentEncryptionAlgorithms, maxPayloadBytes } = options
  if (typeof name !== 'string' || name === '') throw invalid('`name` is this service as a recipient')
  if (realm !== undefined && !isText(realm, LIMITS.channelNameLength)) throw invalid(`\`realm\` is a text of 1 to ${LIMITS.channelNameLength} characters`)
  const algs = narrowed(keyManagementAlgorithms, KEY_MANAGEMENT_ALGORITHMS) ?? raise(invalid(`\`keyManagementAlgorithms\` is a list of ${KEY_MANAGEMENT_ALGORITHMS.join(', ')}`))
  const encs = narrowed(contentEncryptionAlgorithms, CONTENT_ENCRYPTIONS) ?? raise(invalid(`\`contentEncryptionAlgorithms\` is a list of ${CONTENT_ENCRYPTIONS.join(', ')}`))
  const payloadBytes = one('maxPayloadBytes', { default: LIMITS.payloadBytes, least: 1, most: LIMITS.payloadBytes }, maxPayloadBytes)
  const cacheBounds = within('contentKeyCache', LIMITS.contentKeyCache, contentKeyCache)
  const cache = createContentKeyCache(cacheBounds, SYSTEM_CLOCK)
  const forms = createKnownForms(cacheBounds.entries)
  const finder = createEntryFinder(name, identities, algs, SYSTEM_CLOCK)
  const unwrapping = createUnwrapping(within('unwrap', LIMITS.unwrap, unwrap), SYSTEM_CLOCK)
  const tally = createTally()
  let closed = false

  /** Everything before a private key is touched. */
  const read = (given: Uint8Array, { channel: channelName }: OpenOptions): { bytes: Buffer; channel: Channel; envelope: Envelope } => {
    if (closed) throw closedError()
    const channel = channels.get(channelName)
    const bytes = asBuffer(given)
    if (!looksSealed(bytes)) throw new SealbusError('ERR_SEALBUS_NOT_SEALED', `a message on channel ${JSON.stringify(channelName)} is not sealed`)
    const envelope = forms.read(bytes)
    if (!encs.has(envelope.enc.enc)) throw refused('its `enc` is not permitted here')
    if (!envelope.native && !channel.foreign) throw refused('it is no Sealbus message, and its channel does not accept `foreign` ones')
    if (envelope.ciphertext.length > payloadBytes + LIMITS.paddingBytes) throw tooLarge(envelope.ciphertext.length)
    return { bytes, channel, envelope }
  }

  const tooLarge = (size: number): SealbusError => new SealbusError('ERR_SEALBUS_TOO_LARGE', `the payload has ${size} bytes, more than ${payloadBytes}`)

  const finish = (message: ReturnType<typeof read>, options: OpenOptions, { candidate, contentKey, cached }: Unwrapped, content: Buffer): OpenedMessage => {
    const { bytes, channel, envelope } = message
    if (!cached) cache.add(candidate.digest, candidate.identity, contentKey)
    forms.remember(bytes, envelope)
    const context = envelope.native?.context
    if (context) checkContext(context, { channel, realm, key: options.key, headers: options.headers })
    const plaintext = context?.compression ? decompress(context.compression, content, payloadBytes) : content
    if (plaintext.length > payloadBytes) throw tooLarge(plaintext.length)
    rememberEnvelope(bytes, { channel: channel.name, id: context?.id })
    tally.of(channel.name).opened++
    return {
      plaintext,
      contentType: envelope.cty === undefined ? undefined : fullContentType(envelope.cty),
      contentEncoding: context?.contentEncoding,
      id: context?.id,
      time: context && new Date(context.iat * 1_000),
      channel: channel.name,
      kid: candidate.identity.kid,
      sender: undefined,
      inReplyTo: context?.inReplyTo,
      envelope: bytes,
    }
  }

  /** The cached key, or one that is known to be of no use; undefined when the identity must be asked. */
  const withoutUnwrap = (candidate: Candidate): Unwrapped | undefined => {
    const known = cache.get(candidate.digest, candidate.identity)
    if (known) return { candidate, contentKey: known, cached: true }
    return cache.hasFailed(candidate.digest) ? { candidate, contentKey: randomContentKey(candidate), cached: true } : undefined
  }

  const afterUnwrap = (candidate: Candidate, contentKey: ContentKey | null): Unwrapped => {
    if (contentKey) return { candidate, contentKey, cached: false }
    cache.addFailed(candidate.digest)
    return { candidate, contentKey: randomContentKey(candidate), cached: true }
  }

  const openNow = (given: Uint8Array, options: OpenOptions): OpenedMessage => {
    const message = read(given, options)
    for (const candidate of finder.find(message.envelope)) {
      const unwrapped = withoutUnwrap(candidate) ?? afterUnwrap(candidate, unwrapping.now(candidate))
      const content = decrypt(message.envelope, unwrapped)
      if (content) return finish(message, options, unwrapped, content)
    }
    throw decryptFailed()
  }

  const openLater: Opener['open'] = async (given, options) => {
    const message = read(given, options)
    const { signal } = options
    const candidates = await finder.findAfterRefresh(message.envelope, signal)
    for (const candidate of candidates) {
      if (closed) throw closedError()
      const known = withoutUnwrap(candidate)
      const unwrapped = known ?? afterUnwrap(candidate, await unwrapping.later(candidate, signal))
      if (closed) throw closedError()
      // State again, after the wait: the key may have been revoked meanwhile. By digest, because a store may make its objects anew.
      if (!known && !finder.find(message.envelope).some(({ digest }) => digest === candidate.digest)) continue
      const content = decrypt(message.envelope, unwrapped)
      if (content) return finish(message, options, unwrapped, content)
    }
    throw decryptFailed()
  }

  const openSync: Opener['openSync'] = (bytes, options) =>
    TRACES.open.hasSubscribers ? traced(TRACES.open, { channel: options.channel, envelopeBytes: asBuffer(bytes).length }, () => openNow(bytes, options), openedFacts) : openNow(bytes, options)

  const open: Opener['open'] = async (bytes, options) =>
    TRACES.open.hasSubscribers ? traced(TRACES.open, { channel: options.channel, envelopeBytes: asBuffer(bytes).length }, () => openLater(bytes, options), openedFacts) : openLater(bytes, options)

  const close = (): void => {
    closed = true
    cache.clear()
    forms.clear()
  }

  return {
    name,
    channels,
    isPlain(bytes, { channel: channelName, contentType }): boolean {
      const channel = channels.get(channelName)
      const sealed = !channel.plaintext && (channel.accept === 'sealed' || looksSealed(asBuffer(bytes), contentType))
      const counter = tally.of(channelName)
      if (sealed) {
        counter.sealed++
        return false
      }
      counter.plain++
      counter.lastPlainMs = Date.now()
      return true
    },
    open,
    openSync,
    counts: () => tally.read(),
    close,
    [Symbol.dispose]: close,
  }
}

const openedFacts = ({ plaintext, id, kid }: OpenedMessage): Partial<OpenTrace> => ({ payloadBytes: plaintext.length, id, kid })

interface Unwrapped {
  readonly candidate: Candidate
  readonly contentKey: ContentKey
  /** Whether it must not be entered into the cache: it is there, or it is a random stand-in. */
  readonly cached: boolean
}

/** Decrypts with one candidate's key; undefined for every cryptographic failure, after the same work. */
function decrypt(envelope: Envelope, { contentKey }: Unwrapped): Buffer | undefined {
  const committed = !envelope.native || timingSafeEqual(contentKey.commitment, envelope.native.commitment)
  const content = decryptContent(envelope.enc, contentKey.key, envelope.iv, envelope.aad, envelope.ciphertext, envelope.tag)
  return content !== null && committed ? content : undefined
}

/** RFC 7516 §11.5: a failed unwrap goes on with a random key, so that it takes the same course as a wrong tag. */
function randomContentKey({ contentKeySize, request }: Candidate): ContentKey {
  return createContentKey(randomBytes(contentKeySize), request.enc)
}

/** The one failure for all cryptographic causes. */
const decryptFailed = (): SealbusError => new SealbusError('ERR_SEALBUS_DECRYPT_FAILED', 'the message cannot be decrypted: it was changed, or not sealed for this key')
const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
const raise = (error: SealbusError): never => {
  throw error
}
const closedError = (): SealbusError => new SealbusError('ERR_SEALBUS_CLOSED', 'the opener is closed')
