import { LRUCache } from 'lru-cache'
import { ageMs, type Clock, instant, type Instant } from '../clock.ts'
import { DIRECTORY_LIMITS } from './limits.ts'

/** How often a source may be read on demand. */
export interface RefreshLimit {
  /** Takes one refresh of a source; otherwise says in how many milliseconds there is one. */
  take(key: string): number
}

/** A token bucket for each source: two at once, then one each half minute. */
export function createRefreshLimit(clock: Clock): RefreshLimit {
  const buckets = new LRUCache<string, { readonly tokens: number; readonly at: Instant }>({ max: DIRECTORY_LIMITS.entries })
  const { forcedRefreshBurst: burst, forcedRefreshRefillMs: refillMs } = DIRECTORY_LIMITS
  return {
    take(key): number {
      const last = buckets.get(key)
      const tokens = last ? Math.min(burst, last.tokens + ageMs(clock, last.at) / refillMs) : burst
      if (tokens < 1) return Math.max(1, Math.round((1 - tokens) * refillMs))
      buckets.set(key, { tokens: tokens - 1, at: instant(clock) })
      return 0
    },
  }
}
