const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

/** Bounds of the directory, each with its reason. */
export const DIRECTORY_LIMITS = {
  /** A set is fresh for this long when the endpoint does not say: what OIDC and SPIFFE clients use. */
  freshMs: 5 * MINUTE,
  /** Cache-Control is followed within these: `no-cache` must not mean a fetch per message, `max-age=1y` no rotation. */
  freshFloorMs: MINUTE,
  freshCeilingMs: HOUR,
  /** Refreshed on access after this share of the fresh time, so that no message waits. */
  refreshAheadShare: 0.8,
  /** Served this long past the last success while the endpoint fails; then closed: the worst case for a revocation. */
  maxStaleMs: HOUR,
  maxStaleCeilingMs: 24 * HOUR,
  /** Connect, headers and body together. */
  timeoutMs: 5 * SECOND,
  /** Decoded bytes: a content-length may lie, and gzip inflates. */
  bodyBytes: 256 * 1024,
  keys: 100,
  kidLength: 256,
  /** Failures: 1 s, doubled up to 60 s, ±50 %. */
  backoffFirstMs: SECOND,
  backoffLongestMs: MINUTE,
  /** A forced refresh, at most this often per recipient. */
  forcedRefreshMs: 5 * SECOND,
  /** An endpoint that answers 404 is believed for this long. */
  unknownMs: 30 * SECOND,
  /** Cached recipients: about 7 KB each at the worst. */
  entries: 1_000,
} as const
