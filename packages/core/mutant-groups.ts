/** Sources that are mutated together, and the tests that have to notice: the quickest and nearest first, as the first red one ends a mutant. */
export interface MutantGroup {
  /** Paths below `src`, without `.ts`. A source stands in exactly one group. */
  readonly sources: readonly string[]
  /** Paths below `test`, without `.test.ts`. */
  readonly tests: readonly string[]
  /** How many are tested at once; by default one for each core. More where the tests mostly wait. */
  readonly concurrency?: number
}

/**
 * Every mutant runs against its group's tests only. That is the harder measure, and the one that ends: against all tests of
 * the package, each survivor takes all of their time.
 */
export const MUTANT_GROUPS: Readonly<Record<string, MutantGroup>> = {
  'parts-of-an-envelope': {
    sources: ['base64url', 'bytes', 'entry', 'json', 'malformed', 'opened', 'text'],
    tests: ['opened', 'entry', 'base64url', 'json', 'seal', 'vectors/own', 'open', 'attacks'],
  },
  envelope: {
    sources: ['context', 'envelope', 'json-members', 'known-forms', 'public-parts'],
    tests: ['public-parts', 'context', 'json-members', 'seal', 'messages', 'envelope', 'vectors/own', 'known-forms', 'attacks', 'fuzz-findings'],
  },
  'content-keys': {
    sources: ['algorithms', 'bounds', 'clock', 'compression', 'content', 'content-key', 'content-key-cache', 'random', 'wrap'],
    tests: ['bounds', 'random', 'content-key-cache', 'content-key', 'disposition', 'messages', 'tracing', 'unwrapping', 'compression', 'seal', 'iv-reuse', 'same-work', 'entry', 'wrap', 'open', 'vectors/own', 'attacks'],
  },
  messages: {
    sources: ['abortable', 'adapter', 'call-out', 'channel-counts', 'channels', 'disposition', 'errors', 'identity-refresh', 'index', 'key-wait', 'limits', 'open', 'open-later', 'private-mark', 'seal', 'tools', 'tracing', 'unwrap-pace', 'unwrapping'],
    tests: ['errors', 'open-later', 'call-out', 'abortable', 'unwrap-pace', 'channels', 'channel-counts', 'disposition', 'key-wait', 'messages', 'tracing', 'unwrapping', 'key-source', 'public-parts', 'seal', 'same-work', 'entry', 'open', 'identities-reload'],
  },
  identities: {
    sources: ['first-of', 'identities', 'identity', 'identity-set', 'identity-source', 'list-parked', 'parked', 'recipient', 'redrive', 'static-directory'],
    tests: ['parked', 'static-directory', 'redrive', 'identities', 'first-of', 'key-source', 'identities-reload'],
  },
  'key-sets': {
    sources: ['address', 'address-refused', 'back-off', 'closing', 'deadline', 'document', 'entry', 'events', 'fetch', 'guarded-fetch', 'handler', 'inspect', 'key-file', 'limits', 'parse', 'public-key', 'refresh-limit', 'select', 'signature', 'thumbprint', 'turnstile', 'url-policy'].map((each) => `jwks/${each}`),
    tests: ['refresh-limit', 'back-off', 'entry', 'deadline', 'address', 'url-policy', 'turnstile', 'public-key', 'parse', 'guarded-fetch', 'fetch', 'events', 'key-file', 'inspect', 'signature', 'snapshot', 'handler'].map((each) => `jwks/${each}`),
  },
  directory: {
    sources: ['directory', 'fetcher', 'reader', 'snapshot', 'source', 'sources'].map((each) => `jwks/${each}`),
    tests: ['events', 'snapshot', 'signature', 'fetch', 'directory', 'fetcher', 'sources'].map((each) => `jwks/${each}`),
    concurrency: 4,
  },
}
