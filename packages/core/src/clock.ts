import { performance } from 'node:perf_hooks'

/** Milliseconds, injectable in tests. */
export interface Clock {
  /** Never steps, but may stand still while a machine is suspended. */
  monotonic(): number
  /** Epoch milliseconds; may step. */
  wall(): number
}

export const SYSTEM_CLOCK: Clock = { monotonic: () => performance.now(), wall: () => Date.now() }

/** A moment by both clocks. */
export interface Instant {
  readonly monotonic: number
  readonly wall: number
}

export function instant(clock: Clock): Instant {
  return { monotonic: clock.monotonic(), wall: clock.wall() }
}

/** Milliseconds since then: the greater of both clocks, so that neither a step back nor a suspend keeps a key alive. */
export function ageMs(clock: Clock, since: Instant): number {
  return Math.max(clock.monotonic() - since.monotonic, clock.wall() - since.wall)
}
