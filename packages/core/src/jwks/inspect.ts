import { createClosing } from './closing.ts'
import { readDocument } from './document.ts'
import { type Answer, type Fetch, fetchKeySet, type FetchResult } from './fetch.ts'
import { createGuardedFetch } from './guarded-fetch.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import type { RejectedKey, SetKey } from './parse.ts'
import { selectKey } from './select.ts'
import { checkSource, type RecipientTrust } from './source.ts'

export interface InspectOptions extends Pick<RecipientTrust, 'pins' | 'signedBy' | 'requireThumbprintKids'> {
  /** The recipient's name, for what a signed set says of it. Default: the URL. */
  readonly name?: string
  /** Milliseconds for connect, headers and body together. Default 5,000. */
  readonly timeoutMs?: number
  /** As a directory's: an IP address must stand here. */
  readonly hosts?: readonly string[]
  /** Allows loopback hosts, and http for them. Default false. */
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
  const { name = url, timeoutMs = DIRECTORY_LIMITS.timeoutMs, allowInsecureLoopback = false, hosts, signal, pins, signedBy, requireThumbprintKids } = options
  const trust = { ...(pins && { pins }), ...(signedBy && { signedBy }), ...(requireThumbprintKids !== undefined && { requireThumbprintKids }) }
  const source = checkSource(name, { url, ...trust }, { maxStaleMs: 0, allowInsecureLoopback, hosts })
  const guarded = createGuardedFetch({ allowLoopback: allowInsecureLoopback })
  try {
    const closing = createClosing()
    signal?.addEventListener('abort', () => closing.close(), { once: true })
    if (signal?.aborted) closing.close()
    const result = await fetchKeySet(url, { fetch: options.fetch ?? guarded.fetch, timeoutMs, closing })
    const seen = { kind: result.kind, ...(result.answer && { answer: result.answer }), keys: [], rejected: [] }
    switch (result.kind) {
      case 'set': {
        const now = Date.now()
        const document = await readDocument(name, source, result.body, now)
        if (typeof document === 'string') return { ...seen, freshMs: result.freshMs, problem: `it is no key set: ${document}` }
        const set = document.sets.get(name)
        return { ...seen, ...set, freshMs: result.freshMs, chosen: selectKey(set?.keys ?? [], now) }
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
  } finally {
    guarded.close()
  }
}
