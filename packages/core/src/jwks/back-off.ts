import { ageMs, type Clock, instant, type Instant } from '../clock.ts'
import type { SealbusError } from '../errors.ts'
import { DIRECTORY_LIMITS } from './limits.ts'

/** A failed attempt, and how long the next one waits. */
export interface Failure {
  readonly count: number
  readonly at: Instant
  readonly waitMs: number
  readonly error: SealbusError
}

/** The wait after so many failures in a row: doubled from one second to a minute, give or take a half, and never less than the source asks for. */
export function backOffMs(count: number, leastMs = 0): number {
  const backoff = Math.min(DIRECTORY_LIMITS.backoffFirstMs * 2 ** Math.min(count - 1, 10), DIRECTORY_LIMITS.backoffLongestMs)
  return Math.max(leastMs, backoff * (0.5 + Math.random()))
}

export function failureOf(clock: Clock, count: number, waitMs: number, error: SealbusError): Failure {
  return { count, at: instant(clock), waitMs, error }
}

/** Milliseconds until the next attempt; 0: now. */
export function nextTryMs(clock: Clock, failure: Failure | undefined): number {
  return failure ? Math.max(0, failure.waitMs - ageMs(clock, failure.at)) : 0
}
