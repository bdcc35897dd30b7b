import { type Answer, type Fetch, fetchKeySet, type FetchResult } from './fetch.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import { parseKeySet, type RejectedKey, type SetKey } from './parse.ts'
import { selectKey } from './select.ts'
import { checkSource } from './source.ts'

export interface InspectOptions {
  /** Milliseconds for connect, headers and body together. Default 5,000. */
  readonly timeoutMs?: number
  /** Allows http for loopback hosts. Default false. */
  readonly allowInsecureLoopback?: boolean
  readonly fetch?: Fetch
  readonly signal?: AbortSignal
}

/** What a directory makes of an endpoint. */
export interface Inspection {
  /** `set` is an answer with a document; the others are as a directory takes them: an outage, an unknown recipient, a revocation. */
  readonly kind: FetchResult['kind']
  /** Why there is no key set, in words. */
  readonly problem?: string
  readonly answer?: Answer
  /** Milliseconds that the set counts as fresh, from Cache-Control within its bounds; undefined: the directory's own. */
  readonly freshMs?: number | undefined
  /** Usable now or at another time, in the document's order. */
  readonly keys: readonly SetKey[]
  readonly rejected: readonly RejectedKey[]
  /** The key that a sealer would take now. */
  readonly chosen?: SetKey | undefined
}

/**
 * Fetches one key set as a directory does, once, and says what it would make of it: for operators' tools.
 * @throws ERR_SEALBUS_INVALID_OPTION for a URL that a directory refuses
 */
export async function inspectKeySet(url: string, options: InspectOptions = {}): Promise<Inspection> {
  const { timeoutMs = DIRECTORY_LIMITS.timeoutMs, allowInsecureLoopback = false, fetch = globalThis.fetch, signal } = options
  checkSource(url, url, { maxStaleMs: 0, allowInsecureLoopback })
  const result = await fetchKeySet(url, { fetch, timeoutMs, signal })
  const seen = { kind: result.kind, ...(result.answer && { answer: result.answer }), keys: [], rejected: [] }
  switch (result.kind) {
    case 'set': {
      const set = parseKeySet(result.body)
      if (typeof set === 'string') return { ...seen, freshMs: result.freshMs, problem: `it is no JWK Set: ${set}` }
      return { ...seen, ...set, freshMs: result.freshMs, chosen: selectKey(set.keys, Date.now()) }
    }
    case 'unavailable':
      return { ...seen, problem: `it ${result.reason}` }
    case 'unknown':
      return { ...seen, problem: 'it answered 404: it does not know this recipient' }
    case 'gone':
      return { ...seen, problem: 'it answered 410: its keys are revoked' }
    case 'unchanged':
      // Nothing is sent that could be unchanged.
      return seen
  }
}
