import { SealbusError, type Sealer, type SealOptions } from '@sealbus/core'

/** What waits for recipients' keys, in its order: for clients whose publishing returns a promise. */
export interface KeyWait {
  /** Whether `inOrder` would run in this very call. */
  now(message: SealOptions | undefined): boolean
  /** Runs `then` in this very call where the keys are in memory and nothing waits; else behind what waits, when they are. */
  inOrder<Value>(message: SealOptions | undefined, then: () => Value | Promise<Value>): Promise<Value>
  /** Ends all waits with an error. */
  end(): void
}

export function createKeyWait(sealer: Sealer, keyWaitMs: number): KeyWait {
  const waits = new Set<AbortController>()
  /** The last one that waits; undefined when nothing does. */
  let last: Promise<void> | undefined

  const keysOf = async (message: SealOptions | undefined, earlier: Promise<void> | undefined): Promise<void> => {
    const wait = new AbortController()
    const ended = new Promise<void>((resolve) => wait.signal.addEventListener('abort', () => resolve()))
    const timer = setTimeout(() => wait.abort(), keyWaitMs)
    timer.unref()
    waits.add(wait)
    const ready = Promise.resolve(earlier).then(() => message && sealer.ready({ messages: [message], signal: wait.signal }))
    try {
      // A directory may not heed the signal.
      await Promise.race([ready, ended])
    } catch (error) {
      if (!wait.signal.aborted) throw error
    } finally {
      clearTimeout(timer)
      waits.delete(wait)
      ready.catch(() => {})
    }
    if (wait.signal.aborted) throw new SealbusError('ERR_SEALBUS_KEYS_NOT_READY', `the recipients' keys did not come within ${keyWaitMs} ms, or before the channel was closed`)
  }

  /** Also one that gives up lets nobody past those that were before it. */
  const leave = async (earlier: Promise<void> | undefined, handOver: () => void): Promise<void> => {
    await earlier
    handOver()
  }

  const now: KeyWait['now'] = (message) => last === undefined && (message === undefined || sealer.isReady(message))

  return {
    now,
    async inOrder(message, then) {
      if (now(message)) return await then()
      const earlier = last
      // The place in line is given up as soon as the client has the message: it keeps the order from there.
      const { promise: handedOver, resolve: handOver } = Promise.withResolvers<void>()
      last = handedOver
      try {
        await keysOf(message, earlier)
        // Not awaited here: an answer may take as long as the broker is away.
        return then()
      } finally {
        void leave(earlier, () => {
          if (last === handedOver) last = undefined
          handOver()
        })
      }
    },
    end(): void {
      for (const wait of waits) wait.abort()
    },
  }
}

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkKeyWaitMs(value: number = 5_000): number {
  if (!Number.isInteger(value) || value < 0) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`keyWaitMs` is an integer from 0')
  return value
}
