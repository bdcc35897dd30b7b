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
  /** Fetches under way at one host: a host that hangs must not use up all connections. */
  connectionsPerHost: 6,
  /** Decoded bytes: a content-length may lie, and gzip inflates. */
  bodyBytes: 262_144,
  keys: 100,
  kidLength: 256,
  /** Failures: 1 s, doubled up to 60 s, ±50 %. */
  backoffFirstMs: 1_000,
  backoffLongestMs: 60_000,
  /** A forced refresh, at most this often per recipient. */
  forcedRefreshMs: 5_000,
  /** An endpoint that answers 404 is believed for this long. */
  unknownMs: 30_000,
  /** Cached recipients: about 7 KB each at the worst. */
  entries: 1_000,
} as const
