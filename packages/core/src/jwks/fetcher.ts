import { LRUCache } from 'lru-cache'
import { type Closing, pauseUnlessClosed } from './closing.ts'
import { type Fetch, fetchKeySet, type FetchOptions, type FetchResult } from './fetch.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import { createTurnstile } from './turnstile.ts'

export interface FetcherOptions {
  readonly fetch: Fetch
  /** Of one attempt. */
  readonly timeoutMs: number
  /** Further attempts after the first. */
  readonly retries: number
  /** Ends everything: the directory was closed. */
  readonly closing: Closing
  /** A replacement for waiting, for tests. */
  readonly pause?: (ms: number, closing: Closing) => Promise<unknown>
}

export type Fetcher = (url: string, options: Pick<FetchOptions, 'validators' | 'maxBytes'>) => Promise<FetchResult>

/**
 * Fetches that are tried again after a failure that may pass: a broken connection, a time-out, 5xx, 429. All attempts of one, with the
 * wait for a free connection, take at most twice the time-out, counted from the host's last good answer where others had one
 * meanwhile: a long line at a host that answers is no outage, and a host that hangs holds nobody for longer.
 */
export function createFetcher({ fetch, timeoutMs, retries, closing, pause = pauseUnlessClosed }: FetcherOptions): Fetcher {
  const answered = new LRUCache<string, number>({ max: DIRECTORY_LIMITS.entries })
  /** Hosts whose last attempt failed: they get one connection, so that many of them together do not take all. */
  const troubled = new LRUCache<string, true>({ max: DIRECTORY_LIMITS.entries })
  const turnstile = createTurnstile({ perKey: (host) => (troubled.has(host) ? 1 : DIRECTORY_LIMITS.connectionsPerHost), total: DIRECTORY_LIMITS.connections })
  const budgetMs = timeoutMs * DIRECTORY_LIMITS.budgetTimeouts

  return async (url, options) => {
    const { host } = new URL(url)
    const start = performance.now()
    const leftMs = (): number => Math.max(start, answered.get(host) ?? 0) + budgetMs - performance.now()
    const once = async (): Promise<FetchResult> => {
      const result = await fetchKeySet(url, { ...options, fetch, closing, timeoutMs: Math.max(1, Math.min(timeoutMs, Math.ceil(leftMs()))) })
      if (result.kind === 'unavailable') troubled.set(host, true)
      else {
        troubled.delete(host)
        answered.set(host, performance.now())
      }
      return result
    }
    let result: FetchResult = { kind: 'unavailable', reason: `could not be asked: no connection to its host was free for ${budgetMs} ms`, passing: true }
    for (let attempt = 0; attempt <= retries; attempt++) {
      try {
        result = await turnstile.pass(host, { closing, leftMs }, once)
        if (result.kind !== 'unavailable' || !result.passing) return result
        // Full jitter, so that a fleet that failed together does not come back together.
        const pauseMs = Math.max(result.retryAfterMs ?? 0, DIRECTORY_LIMITS.retryFirstMs + Math.random() * (DIRECTORY_LIMITS.retryLongestMs - DIRECTORY_LIMITS.retryFirstMs))
        if (attempt === retries || pauseMs >= leftMs()) return result
        await pause(pauseMs, closing)
        if (closing.closed) return result
      } catch {
        // The time is over, or the directory closed: what the last attempt said stands.
        return result
      }
    }
    return result
  }
}
