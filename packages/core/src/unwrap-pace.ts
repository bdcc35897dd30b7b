import type { Clock } from './clock.ts'

/** Bounds of the calls to one key source. */
export interface UnwrapBounds {
  /** A call that has not answered by then has failed; waiting in line counts. Default 5,000 ms; 100 to 60,000. */
  readonly timeoutMs: number
  /** Calls under way at a time, per key. Default 16; 1 to 1,000. */
  readonly concurrency: number
  /** Calls per second, per key, after a burst of as many. Default 100; 1 to 10,000. */
  readonly perSecond: number
}

/**
 * Paces the calls to the sources of private keys. Whoever can write to the broker chooses how many wrapped keys there
 * are to ask for, and a KMS bills and throttles each.
 */
export interface UnwrapPace {
  /** Takes a place if there is one now. */
  tryEnter(key: string): boolean
  /** Takes a place when it is this caller's turn, in the order of arrival. Rejects when the signal aborts. */
  enter(key: string, signal: AbortSignal): Promise<void>
  /** Gives the place back; `unused` when nothing was asked after all. */
  leave(key: string, unused?: 'unused'): void
}

interface Line {
  inside: number
  tokens: number
  filledAt: number
  readonly waiting: Set<() => void>
  timer: NodeJS.Timeout | undefined
}

export function createUnwrapPace({ concurrency, perSecond }: Pick<UnwrapBounds, 'concurrency' | 'perSecond'>, clock: Clock): UnwrapPace {
  /** One per key of ours, so their number is bounded. */
  const lines = new Map<string, Line>()

  const lineOf = (key: string): Line => {
    let line = lines.get(key)
    if (!line) lines.set(key, (line = { inside: 0, tokens: perSecond, filledAt: clock.monotonic(), waiting: new Set(), timer: undefined }))
    return line
  }

  const takePlace = (line: Line): boolean => {
    const now = clock.monotonic()
    line.tokens = Math.min(perSecond, line.tokens + ((now - line.filledAt) / 1_000) * perSecond)
    line.filledAt = now
    if (line.inside >= concurrency || line.tokens < 1) return false
    line.inside++
    line.tokens--
    return true
  }

  const letIn = (line: Line): void => {
    for (const enter of line.waiting) {
      if (!takePlace(line)) break
      line.waiting.delete(enter)
      enter()
    }
    if (line.waiting.size === 0 || line.inside >= concurrency) return
    line.timer ??= setTimeout(() => {
      line.timer = undefined
      letIn(line)
    }, Math.ceil(((1 - line.tokens) / perSecond) * 1_000)).unref()
  }

  return {
    tryEnter(key): boolean {
      const line = lineOf(key)
      return line.waiting.size === 0 && takePlace(line)
    },
    async enter(key, signal): Promise<void> {
      const line = lineOf(key)
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const abort = (): void => {
        line.waiting.delete(resolve)
        reject(new Error('aborted'))
      }
      signal.addEventListener('abort', abort, { once: true })
      line.waiting.add(resolve)
      letIn(line)
      await promise.finally(() => signal.removeEventListener('abort', abort))
    },
    leave(key, unused): void {
      const line = lineOf(key)
      line.inside--
      if (unused) line.tokens++
      letIn(line)
    },
  }
}
