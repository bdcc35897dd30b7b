import { abortable } from './abortable.ts'
import { one } from './bounds.ts'
import { SealbusError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { Sealer, SealOptions } from './seal.ts'

/** What waits for recipients' keys, each lane in its order and no lane for another: for clients whose publishing returns a promise. */
export interface KeyWait {
  /** Whether `inOrder` would run in this very call. */
  now(lanes: readonly string[], messages: readonly SealOptions[]): boolean
  /**
   * Runs `then` in this very call where the keys are in memory and nothing waits on these lanes; else behind what does,
   * when they are. Rejects with what `then` or `sealer.ready` rejects with, and with ERR_SEALBUS_KEYS_NOT_READY after
   * the time, waits behind earlier ones included, or `end()`.
   */
  inOrder<Value>(lanes: readonly string[], messages: readonly SealOptions[], then: () => Promise<Value>): Promise<Value>
  /** Ends all waits with an error. */
  end(): void
}

export function createKeyWait(sealer: Pick<Sealer, 'isReady' | 'ready'>, keyWaitMs: number): KeyWait {
  const waits = new Set<AbortController>()
  /** The last one that waits on each lane. */
  const last = new Map<string, Promise<void>>()
  const late = (): SealbusError => new SealbusError('ERR_SEALBUS_KEYS_NOT_READY', `the recipients' keys did not come within ${keyWaitMs} ms, or before the end of what publishes`)

  const keysOf = async (messages: readonly SealOptions[], earlier: Promise<unknown>): Promise<void> => {
    const wait = new AbortController()
    const { signal } = wait
    const timer = setTimeout(() => wait.abort(), keyWaitMs)
    timer.unref()
    waits.add(wait)
    try {
      // A directory may not heed the signal.
      await abortable(earlier.then(() => (messages.length > 0 ? sealer.ready({ messages, signal }) : undefined)), signal, late)
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      clearTimeout(timer)
      waits.delete(wait)
    }
    if (signal.aborted) throw late()
  }

  const wait = async <Value>(lanes: readonly string[], messages: readonly SealOptions[], then: () => Promise<Value>): Promise<Value> => {
    const earlier = Promise.all(lanes.flatMap((lane) => last.get(lane) ?? []))
    // The place in line is given up as soon as the client has the message: it keeps the order from there.
    const { promise: handedOver, resolve: handOver } = Promise.withResolvers<void>()
    for (const lane of lanes) last.set(lane, handedOver)
    /** Also one that gives up lets nobody past those that were before it. */
    const leave = async (): Promise<void> => {
      await earlier
      for (const lane of lanes) if (last.get(lane) === handedOver) last.delete(lane)
      handOver()
    }
    try {
      await keysOf(messages, earlier)
      // Not awaited here: an answer may take as long as the broker is away.
      return then()
    } finally {
      void leave()
    }
  }

  const now: KeyWait['now'] = (lanes, messages) => !lanes.some((lane) => last.has(lane)) && messages.every((message) => sealer.isReady(message))

  return {
    now,
    inOrder: (lanes, messages, then) => (now(lanes, messages) ? then() : wait(lanes, messages, then)),
    end(): void {
      for (const each of waits) each.abort()
    },
  }
}

/** @throws ERR_SEALBUS_INVALID_OPTION */
export const checkKeyWaitMs = (value?: number): number => one('keyWaitMs', LIMITS.keyWaitMs, value)
