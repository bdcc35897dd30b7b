/**
 * The bounds of sealing, opening and identities, each with its reason; those of directories are in jwks/limits.ts. What an
 * envelope may have is checked before any private-key work, but for the size that only decompression shows.
 */
export const LIMITS = {
  /** Payload, before compression: Kafka and RabbitMQ are not for more, and sealing holds all of it in memory. An option can only lower it. */
  payloadBytes: 16_777_216,
  /** Envelope: 16 MiB of payload, signed and base64url twice, is 29.8 MiB. Checked before any parsing. */
  envelopeBytes: 33_554_432,
  /** Window of a zstd frame, as a power of two: a larger one cannot help a payload of 16 MiB, and takes memory before the first byte. */
  zstdWindowLog: 24,
  /** The most that padding adds to a payload: one block of AES-CBC. */
  paddingBytes: 16,
  /** Protected header, decoded: Nimbus stops at 20,000 characters. */
  protectedBytes: 16_384,
  /** JSON nesting: ours needs 4. */
  jsonDepth: 8,
  /** JSON values in one text: a registry's thousand services have 10,000, and no protected header can have so many. Millions of tiny ones take seconds to read. */
  jsonValues: 16_384,
  /** Those in an envelope: 100 entries have 1,100. So many members of one object take V8 three milliseconds, and anyone may send them. */
  envelopeValues: 4_096,
  /** Entries in one envelope, ours or others': jwx's default, after its denial-of-service report. */
  recipients: 100,
  /** An entry's `encrypted_key`, decoded: far above RSA-16384, and below what could hurt. */
  encryptedKeyBytes: 4_096,
  /** Entries with our kid that are tried: a kid is unique only within one set. */
  triedEntries: 4,
  /** `apu` and `apv`, decoded: they enter the KDF. */
  partyInfoBytes: 512,
  /** Message id, characters. */
  idLength: 128,
  /** Channel name, characters. */
  channelNameLength: 255,
  /** Destinations remembered by `Channels.at`. */
  resolvedDestinations: 10_000,
  /** An adapter's wait for keys; Node's timers end longer ones at once. */
  keyWaitMs: { default: 5_000, least: 0, most: 2_147_483_647 },
  /** Session bounds: where the amortised cost is within a few percent of the floor; and ceilings that no option passes. */
  session: {
    messages: { default: 1_024, least: 1, most: 1_048_576 },
    ageMs: { default: 60_000, least: 1, most: 3_600_000 },
    bytes: { default: 268_435_456, least: 1, most: 68_719_476_736 },
    /** Channels and sets of recipients that have one at a time. */
    live: { default: 1_000, least: 1, most: 1_000_000 },
  },
  /** The opener's cache of content keys: the age is absolute, so that a destroyed key stops working. */
  contentKeyCache: {
    entries: { default: 1_000, least: 1, most: 1_000_000 },
    ageMs: { default: 600_000, least: 1_000, most: 600_000 },
  },
  /** Characters of envelope forms that an opener remembers: a thousand of 10 recipients are 3 million, one of 100 with RSA keys is 70,000. */
  knownFormsSize: 16_777_216,
  /** How long a wrapped key that did not unwrap is remembered, so that garbage does not cost a KMS call each. */
  failedUnwrapMs: 60_000,
  failedUnwraps: 10_000,
  /** Asynchronous unwraps, per key: a KMS that has not answered in five seconds is down, and each call costs. */
  unwrap: {
    timeoutMs: { default: 5_000, least: 100, most: 60_000 },
    concurrency: { default: 16, least: 1, most: 1_000 },
    perSecond: { default: 100, least: 1, most: 10_000 },
  },
  /** Waits for a key, in milliseconds: without an end where its source is down, with a budget where only the message says that there is one. */
  hold: {
    backoffMs: { first: { default: 100, least: 1, most: 60_000 }, longest: { default: 5_000, least: 1, most: 60_000 } },
    missingKeyMs: { default: 300_000, least: 0, most: 1_800_000 },
    budgetWindowMs: 1_800_000,
    unavailableMs: { default: 604_800_000, least: 1, most: 604_800_000 },
  },
  /** A private JWK Set, bytes: 100 RSA keys of 4,096 bits are 350,000. */
  identityFileBytes: 1_048_576,
  /** How often a file of identities is looked at: reading a few kilobytes costs nothing, and a revocation should not wait. */
  identityReloadMs: { default: 1_000, least: 100, most: 3_600_000 },
  /** A refresh of the identities for an unknown kid, at most this often; and what has not ended by then has failed, as for `unwrap`. */
  identityRefreshMs: 30_000,
  identityRefreshTimeoutMs: 5_000,
} as const
