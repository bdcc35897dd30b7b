import { type ContentEncryption, contentEncryption, DEFAULT_ENC, KEY_MANAGEMENT_ALGORITHMS, type KeyManagementAlgorithm, narrowed } from './algorithms.ts'
import { checkNames, checkParts, one, within } from './bounds.ts'
import { asBuffer } from './bytes.ts'
import { type ChannelCounts, createTally } from './channel-counts.ts'
import { type Channel, type Channels, checkRecipients } from './channels.ts'
import { SYSTEM_CLOCK } from './clock.ts'
import { compress } from './compression.ts'
import { encryptContent } from './content.ts'
import { createContentKeys, type SessionBounds } from './content-key.ts'
import { bindHeaders, encodeContext, hashRecordKey } from './context.ts'
import { draftEnvelope, envelopeContentType, finishEnvelope, looksSealed } from './envelope.ts'
import { isSealbusError, SealbusError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { openedEnvelope } from './opened.ts'
import { createRandomSource } from './random.ts'
import type { RecipientDirectory, RecipientKey } from './recipient.ts'
import { isText } from './text.ts'
import { traced, TRACES } from './tracing.ts'

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

/** One sealed message, for a record's value or a message's body. */
export interface SealedMessage {
  /** The envelope: what goes on the wire. */
  readonly bytes: Buffer
  /** For the transport: `application/jose+json`, or `application/jose` for Compact. */
  readonly contentType: string
  /** The id that was given or drawn; empty for a passed-through envelope of another library, which has none. */
  readonly id: string
}

/**
 * Seals messages for the recipients of their channels. Safe to share; sealing after `close()` throws ERR_SEALBUS_CLOSED.
 */
export interface Sealer {
  /** What it was made with. */
  readonly channels: Channels
  /** Seals; waits for the recipients' keys when they are not in memory. Rejects with what `sealSync` throws, and with the directory's reasons. */
  seal(plaintext: Uint8Array | string, options: SealOptions & { readonly signal?: AbortSignal }): Promise<SealedMessage>
  /**
   * Seals now, without waiting. An opened message's own `envelope` passes through as it is, on its own channel.
   *
   * @throws ERR_SEALBUS_KEYS_NOT_READY (transient; the keys are being fetched), ERR_SEALBUS_NO_RECIPIENTS,
   *   ERR_SEALBUS_NO_USABLE_KEY, ERR_SEALBUS_INVALID_OPTION (a channel that is declared plaintext, or a bad fact),
   *   ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_ALREADY_SEALED, ERR_SEALBUS_TOO_LARGE, ERR_SEALBUS_CONTEXT_MISMATCH
   *   (an envelope of another channel), and the directory's reasons
   */
  sealSync(plaintext: Uint8Array | string, options: SealOptions): SealedMessage
  /** Whether `sealSync` would wait for no key of this message: all are in memory, or it would throw why they cannot be. @throws ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_NO_RECIPIENTS, ERR_SEALBUS_INVALID_OPTION */
  isReady(message: SealOptions): boolean
  /**
   * Without `messages`: fetches the keys of every recipient that the channels name, and keeps them warm, so that a
   * service fails at its start. With `messages`: fetches what those need. Rejects with the directory's reasons, an
   * aborted signal among them.
   */
  ready(options?: { readonly messages?: readonly SealOptions[]; readonly signal?: AbortSignal }): Promise<void>
  /** Drops all content-key sessions; call it after a snapshot of the machine was restored (it repeats the random state). */
  reset(): void
  /** For adapters: so many messages of a channel that is declared plaintext were given to be sent. Default 1. */
  countPlain(channel: string, messages?: number): void
  /** By channel: the messages that were sealed, and the plain ones of channels that are declared plaintext. For a migration: see docs/MIGRATION.md. */
  counts(): Readonly<Record<string, ChannelCounts>>
  /** The policy in force. */
  describe(): SealerDescription
  /** Forgets all content keys. Idempotent. */
  close(): void
  [Symbol.dispose](): void
}

/** The policy that a sealer is under: every option, as given or by default. Changing it changes nothing. */
export interface SealerDescription {
  readonly enc: ContentEncryption
  /** The `alg` of keys that are sealed for. */
  readonly keyManagementAlgorithms: readonly KeyManagementAlgorithm[]
  readonly serialization: 'general' | 'compact'
  readonly contentKeys: 'session' | 'per-message'
  readonly session: SessionBounds
  /** Largest payload, in bytes, before compression. */
  readonly maxPayloadBytes: number
  readonly realm: string | undefined
  /** Names of all declared channels, plaintext ones too. */
  readonly channels: readonly string[]
  /** The longest time from a recipient key's revocation to the last message sealed for it, in milliseconds; undefined where the directory does not say. */
  readonly revocationMs: number | undefined
}

/** What a sealer is made with: two parts, and a policy whose defaults are the safe ones. */
export interface SealerOptions {
  /** Where recipients' public keys come from: `createJwksDirectory`, `createStaticDirectory`, or one's own. The sealer does not close it. */
  readonly directory: RecipientDirectory
  /** Of `defineChannels`. */
  readonly channels: Channels
  /** Content encryption. Default `A256GCM`. */
  readonly enc?: 'A256GCM' | 'A128GCM'
  /** Which recipients' keys to seal for, by their `alg`. Default: all of the table, `ECDH-ES+A256KW` and `RSA-OAEP-256`; an option can only narrow it. */
  readonly keyManagementAlgorithms?: readonly KeyManagementAlgorithm[]
  /** `session`: one content key for a bounded run of messages. `per-message`: one each, as RFC 7516 §5.1 has it. Default `session`. */
  readonly contentKeys?: 'session' | 'per-message'
  /** Bounds of a session, and how many there are: see `SessionBounds` for units, defaults and ranges. */
  readonly session?: Partial<SessionBounds>
  /** Largest payload to seal, in bytes, before compression. Default and most 16,777,216; from 1. */
  readonly maxPayloadBytes?: number
  /** An environment or tenant, bound to every message, of 1 to 255 characters; an opener that sets one takes no other. Default: none. */
  readonly realm?: string
  /** Compact serialization, for channels with exactly one recipient. Default `general`. */
  readonly serialization?: 'general' | 'compact'
}

/**
 * A sealer for all channels of a service.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION for an option that is missing, unknown or out of range, and for `compact` where a channel
 *   may have more than one recipient
 */
export function createSealer(options: SealerOptions): Sealer {
  checkOptions(options)
  const { directory, channels, enc = DEFAULT_ENC, contentKeys = 'session', realm, serialization = 'general' } = options
  const row = contentEncryption(enc)
  if (!row?.seals) throw invalid("`enc` is 'A256GCM' or 'A128GCM'")
  const algs = narrowed(options.keyManagementAlgorithms, KEY_MANAGEMENT_ALGORITHMS)
  if (!algs) throw invalid(`\`keyManagementAlgorithms\` is a list of ${KEY_MANAGEMENT_ALGORITHMS.join(', ')}`)
  const bounds = within('session', LIMITS.session, options.session)
  const payloadBytes = one('maxPayloadBytes', { default: LIMITS.payloadBytes, least: 1, most: LIMITS.payloadBytes }, options.maxPayloadBytes)
  const random = createRandomSource()
  const sessions = createContentKeys({ row, bounds, perMessage: contentKeys === 'per-message', serialization, clock: SYSTEM_CLOCK })
  /** Keys by list of names: the same list object for as long as no key changes, which is what sessions go by. */
  const keyLists = new WeakMap<readonly string[], readonly RecipientKey[]>()
  const tally = createTally()
  let closed = false

  const sealedChannel = (name: string): Channel => {
    if (closed) throw closedError()
    const channel = channels.get(name)
    if (channel.plaintext) throw invalid(`channel ${JSON.stringify(name)} is declared as plaintext`)
    return channel
  }

  /** The keys in memory now; undefined when one must be fetched. Never waits. */
  const keysInMemory = (names: readonly string[]): readonly RecipientKey[] | undefined => {
    const last = keyLists.get(names)
    if (last?.length === names.length && names.every((name, index) => directory.peek(name) === last[index])) return last
    const keys: RecipientKey[] = []
    for (const name of names) {
      const key = directory.peek(name)
      if (!key) return undefined
      if (!algs.has(key.alg)) throw new SealbusError('ERR_SEALBUS_NO_USABLE_KEY', `the key of recipient ${JSON.stringify(name)} is for ${key.alg}, which this sealer does not permit`)
      keys.push(key)
    }
    keyLists.set(names, keys)
    return keys
  }

  const fetchKeys = async (names: Iterable<string>, signal: AbortSignal | undefined): Promise<void> => {
    await Promise.all([...new Set(names)].map((name) => directory.resolve(name, signal && { signal })))
  }

  const sealNow = (payload: Buffer, message: SealOptions): SealedMessage => {
    // Each member is read once: what is checked is what is sealed.
    const { channel: channelName, id = random.take(16).toString('base64url'), contentType: givenType, contentEncoding, key, headers, inReplyTo } = message
    // Clients write an empty one where there is none.
    const contentType = givenType === '' ? undefined : givenType
    const channel = sealedChannel(channelName)
    const passed = passThrough(payload, channel)
    if (passed) return passed
    if (payload.length > payloadBytes) throw tooLarge(`the payload has ${payload.length} bytes, more than ${payloadBytes}`)
    if (looksSealed(payload, contentType)) {
      throw new SealbusError('ERR_SEALBUS_ALREADY_SEALED', "this value is an envelope already: only an opened message's own `envelope` passes through")
    }
    const names = recipientsOf(channel, { key, headers, contentType })
    const keys = keysInMemory(names)
    if (!keys) {
      // The fetch starts now, so that a later try finds the keys; its failure is reported to that one.
      fetchKeys(names, undefined).catch(() => {})
      throw new SealbusError('ERR_SEALBUS_KEYS_NOT_READY', `keys of channel ${JSON.stringify(channel.name)} are not in memory yet: await sealer.ready() first`)
    }
    // No opener takes another: sealing it would lose the message.
    checkText('id', id)
    checkText('contentEncoding', contentEncoding)
    checkText('inReplyTo', inReplyTo)
    if (contentType !== undefined && !isText(contentType)) throw invalid('`contentType` is a text')
    const compressed = channel.compress && compress(channel.compress, payload)
    const context = encodeContext({
      id,
      iat: Math.floor(Date.now() / 1_000),
      channel: channel.name,
      to: names,
      key: channel.bindKey && key !== undefined && key !== null ? hashRecordKey(key) : undefined,
      contentEncoding,
      inReplyTo,
      realm,
      compression: compressed && channel.compress,
      headers: bindHeaders(channel.bindHeaders, headers),
    })
    const content = compressed ?? payload
    const session = sessions.claim(channel.name, keys, content.length)
    const draft = draftEnvelope(session.form, row, contentType, context, content.length)
    if (!draft) throw tooLarge(`the protected header exceeds ${LIMITS.protectedBytes} bytes: fewer or shorter ids, recipients or bound headers`)
    const iv = random.take(row.ivSize)
    const { ciphertext, tag } = encryptContent(row, session.key, iv, draft.aad, content)
    return { bytes: finishEnvelope(draft, iv, ciphertext, tag), contentType: session.form.contentType, id }
  }

  const sealCounted = (payload: Buffer, message: SealOptions): SealedMessage => {
    const sealed = sealNow(payload, message)
    tally.of(message.channel).sealed++
    return sealed
  }

  const sealSync = (plaintext: Uint8Array | string, message: SealOptions): SealedMessage => {
    const payload = bytesOf(plaintext)
    if (!TRACES.seal.hasSubscribers) return sealCounted(payload, message)
    return traced(TRACES.seal, { channel: message.channel, payloadBytes: payload.length }, () => sealCounted(payload, message), ({ bytes, id }) => ({ envelopeBytes: bytes.length, id }))
  }

  const isReady = (message: SealOptions): boolean => {
    const names = recipientsOf(sealedChannel(message.channel), message)
    try {
      return keysInMemory(names) !== undefined
    } catch (error) {
      // The reason is known now, so there is nothing to wait for: sealSync() throws it.
      if (isSealbusError(error)) return true
      throw error
    }
  }

  const ready: Sealer['ready'] = async ({ messages, signal } = {}) => {
    if (closed) throw closedError()
    if (messages) {
      const needed = messages.filter((message) => !isReady(message))
      await fetchKeys(needed.flatMap((message) => recipientsOf(sealedChannel(message.channel), message)), signal)
      return
    }
    const names = new Set(channels.names.flatMap((name) => {
      const { to } = channels.get(name)
      return typeof to === 'function' ? [] : to
    }))
    await fetchKeys(names, signal)
    directory.keepWarm?.([...names])
  }

  const close = (): void => {
    closed = true
    sessions.reset()
    random.reset()
  }

  return {
    channels,
    sealSync,
    async seal(plaintext, { signal, ...message }): Promise<SealedMessage> {
      const payload = bytesOf(plaintext)
      if (openedEnvelope(payload) !== undefined || isReady(message)) return sealSync(payload, message)
      // A copy: the caller may use its buffer again while the keys are fetched.
      const copy = Buffer.from(payload)
      await ready({ messages: [message], ...(signal && { signal }) })
      return sealSync(copy, message)
    },
    isReady,
    ready,
    reset(): void {
      sessions.reset()
      random.reset()
    },
    countPlain(channel, messages = 1): void {
      const counter = tally.of(channel)
      counter.plain += messages
      counter.lastPlainMs = Date.now()
    },
    counts: () => Object.fromEntries(Object.entries(tally.read()).map(([channel, { opened: _opened, ...counts }]) => [channel, counts])),
    describe: () => ({
      enc,
      keyManagementAlgorithms: KEY_MANAGEMENT_ALGORITHMS.filter((alg) => algs.has(alg)),
      serialization,
      contentKeys,
      session: bounds,
      maxPayloadBytes: payloadBytes,
      realm,
      channels: channels.names,
      revocationMs: directory.revocationMs?.(),
    }),
    close,
    [Symbol.dispose]: close,
  }
}

type Choosing = { readonly [Name in 'key' | 'headers' | 'contentType']?: SealOptions[Name] | undefined }

function recipientsOf(channel: Channel, { key, headers, contentType }: Choosing): readonly string[] {
  if (typeof channel.to !== 'function') return channel.to
  const names = channel.to({ channel: channel.name, ...(key !== undefined && { key }), ...(headers && { headers }), ...(contentType !== undefined && { contentType }) })
  checkRecipients(channel.name, names)
  return names
}

/** An opened message's own envelope, on its own channel, goes out as it came: no plaintext, no second seal. */
function passThrough(bytes: Buffer, channel: Channel): SealedMessage | undefined {
  const known = openedEnvelope(bytes)
  // The bytes are looked at again: whoever holds the buffer could have written into it.
  if (!known || !looksSealed(bytes)) return undefined
  if (known.channel !== channel.name) {
    throw new SealbusError('ERR_SEALBUS_CONTEXT_MISMATCH', `an envelope of channel ${JSON.stringify(known.channel)} cannot open on ${JSON.stringify(channel.name)}: add the destination to the first one's \`match\``)
  }
  return { bytes, contentType: envelopeContentType(bytes), id: known.id ?? '' }
}

function checkText(name: string, value: unknown): void {
  if (value !== undefined && !isText(value, LIMITS.idLength)) throw invalid(`\`${name}\` is a text of 1 to ${LIMITS.idLength} characters`)
}

const bytesOf = (plaintext: Uint8Array | string): Buffer => (typeof plaintext === 'string' ? Buffer.from(plaintext) : asBuffer(plaintext))

const OPTIONS: Record<keyof SealerOptions, true> = {
  directory: true,
  channels: true,
  enc: true,
  keyManagementAlgorithms: true,
  contentKeys: true,
  session: true,
  maxPayloadBytes: true,
  realm: true,
  serialization: true,
}

function checkOptions(options: SealerOptions): void {
  checkNames('a sealer', OPTIONS, options)
  checkParts('a sealer', { directory: ['peek', 'resolve'], channels: ['get'] }, options)
  const { contentKeys, serialization, realm, channels } = options
  if (contentKeys !== undefined && contentKeys !== 'session' && contentKeys !== 'per-message') throw invalid("`contentKeys` is 'session' or 'per-message'")
  if (serialization !== undefined && serialization !== 'general' && serialization !== 'compact') throw invalid("`serialization` is 'general' or 'compact'")
  if (realm !== undefined && !isText(realm, LIMITS.channelNameLength)) throw invalid(`\`realm\` is a text of 1 to ${LIMITS.channelNameLength} characters`)
  if (serialization !== 'compact') return
  for (const name of channels.names) {
    const channel = channels.get(name)
    if (!channel.plaintext && (typeof channel.to === 'function' || channel.to.length > 1)) throw invalid(`compact serialization is for one recipient, and channel ${JSON.stringify(name)} may have more`)
  }
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
const closedError = (): SealbusError => new SealbusError('ERR_SEALBUS_CLOSED', 'the sealer is closed')
const tooLarge = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_TOO_LARGE', reason)
