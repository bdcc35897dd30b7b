/** Bounds of the directory, each with its reason. */
export const DIRECTORY_LIMITS = {
  /** A set is fresh for this long when the endpoint does not say: what OIDC and SPIFFE clients use. */
  freshMs: 300_000,
  /** Cache-Control is followed within these: `no-cache` must not mean a fetch per message, `max-age=1y` no rotation. */
  freshFloorMs: 60_000,
  freshCeilingMs: 3_600_000,
  /** Refreshed on access after this share of the fresh time, so that no message waits. */
  refreshAheadShare: 0.8,
  /** Served this long past the last success while the endpoint fails; then closed: the worst case for a revocation. */
  maxStaleMs: 3_600_000,
  maxStaleCeilingMs: 86_400_000,
  /** Connect, headers and body together. */
  timeoutMs: 5_000,
  /** Retry-After is honoured up to this: an endpoint must not switch itself off for a day. */
  retryAfterLongestMs: 60_000,
  /** Characters of an ETag or another header that is kept. */
  validatorLength: 1_024,
  /** Further tries within one fetch, after full jitter: a lost packet or a pod that goes away is no outage. */
  retries: 2,
  retryFirstMs: 100,
  retryLongestMs: 1_000,
  /** All tries of one fetch and the wait for a connection, in time-outs: 10 s with the default one. */
  budgetTimeouts: 2,
  /** Fetches under way at one host, and at all: a host that hangs must not use up all connections. */
  connectionsPerHost: 6,
  connections: 32,
  /** A connection without a request is closed after this: sets are read minutes apart. */
  idleConnectionMs: 4_000,
  /** Decoded bytes: a content-length may lie, and gzip inflates. A registry has the sets of all. */
  bodyBytes: 262_144,
  registryBytes: 1_048_576,
  keys: 100,
  kidLength: 256,
  /** Failures: 1 s, doubled up to 60 s, ±50 %. */
  backoffFirstMs: 1_000,
  backoffLongestMs: 60_000,
  /** A forced refresh of a source: two, then one more each half minute, and never within five seconds of the last attempt. */
  forcedRefreshBurst: 2,
  forcedRefreshRefillMs: 30_000,
  forcedRefreshFloorMs: 5_000,
  /** An endpoint that answers 404, or a function that knows no source, is believed for this long. */
  unknownMs: 30_000,
  /** Recipients without keys that are remembered: apart from the others, so that a flood of names evicts no key. */
  keyless: 1_000,
  /** How often a watched file is looked at. */
  fileWatchMs: 1_000,
  /** A snapshot is written at most this often, and not read when it is larger. */
  snapshotEveryMs: 1_000,
  snapshotBytes: 67_108_864,
  /** A stored fetch time may be this far ahead of the clock; beyond, it is not believed. */
  clockSkewMs: 300_000,
  /** Cached recipients: 4 to 5 KB each, with one key (`npm run bench -- keys`). */
  entries: 1_000,
} as const
