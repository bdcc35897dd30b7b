/**
 * Every bound in one place, each with its reason. All of them hold before any private-key work.
 */
const KiB = 1024
const MiB = 1024 * KiB
const SECOND = 1_000
const MINUTE = 60 * SECOND

export const LIMITS = {
  /** Payload: Kafka and RabbitMQ are not for more, and sealing holds all of it in memory. */
  payloadBytes: 16 * MiB,
  /** Envelope: 16 MiB of payload, signed and base64url twice, is 29.8 MiB. Checked before any parsing. */
  envelopeBytes: 32 * MiB,
  /** Protected header, decoded: Nimbus stops at 20,000 characters. */
  protectedBytes: 16 * KiB,
  /** JSON nesting: ours needs 4. */
  jsonDepth: 8,
  /** Entries in one envelope, ours or others': jwx's default, after its denial-of-service report. */
  recipients: 100,
  /** An entry's `encrypted_key`, decoded: far above RSA-16384, and below what could hurt. */
  encryptedKeyBytes: 4 * KiB,
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
  /** Live content-key sessions of one sealer. */
  sessions: 1_000,
  /** Session bounds: where the amortised cost is within a few percent of the floor; and ceilings that no option passes. */
  session: { messages: 1_024, ageMs: 60 * SECOND, bytes: 256 * MiB },
  sessionCeiling: { messages: 2 ** 20, ageMs: 60 * MINUTE, bytes: 64 * 1024 * MiB },
  /** The opener's cache of content keys: ten minutes absolute, so that a destroyed key stops working. */
  cachedContentKeys: 1_000,
  cachedContentKeyMs: 10 * MINUTE,
  /** How long a wrapped key that did not unwrap is remembered, so that garbage does not cost a KMS call each. */
  failedUnwrapMs: MINUTE,
  failedUnwraps: 10_000,
  /** An asynchronous unwrap: a KMS that has not answered by then is down. */
  unwrapTimeoutMs: 5 * SECOND,
  /** A refresh of the identities for an unknown kid, at most this often. */
  identityRefreshMs: 30 * SECOND,
} as const
