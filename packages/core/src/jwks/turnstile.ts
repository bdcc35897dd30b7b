import type { Closing } from './closing.ts'

/** Lets a few in at a time, for each key and in total; the others wait in line. */
export interface Turnstile {
  /** Rejects when it is closed while waiting, or when the time that is left for it is over. */
  readonly pass: <Value>(key: string, wait: Patience, enter: () => Promise<Value>) => Promise<Value>
}

export interface Patience {
  readonly closing: Closing
  /** Milliseconds; asked again when they are over, because there may be more by then. */
  readonly leftMs: () => number
}

export interface TurnstileWidth {
  readonly perKey: (key: string) => number
  readonly total: number
}

interface Waiting {
  readonly key: string
  readonly admit: () => void
}

export function createTurnstile({ perKey, total }: TurnstileWidth): Turnstile {
  const inside = new Map<string, number>()
  let count = 0
  const line = new Set<Waiting>()

  const hasRoom = (key: string): boolean => count < total && (inside.get(key) ?? 0) < perKey(key)
  const move = (key: string, by: 1 | -1): void => {
    count += by
    const left = (inside.get(key) ?? 0) + by
    if (left === 0) inside.delete(key)
    else inside.set(key, left)
  }
  /** The first in line for whom there is room, as many as there are places: one whose key is full holds nobody else up. */
  const admitNext = (): void => {
    for (const waiting of line) {
      if (count >= total) return
      if (!hasRoom(waiting.key)) continue
      line.delete(waiting)
      // The place is taken at once, so that nobody who comes meanwhile gets it too.
      move(waiting.key, 1)
      waiting.admit()
    }
  }
  const wait = async (key: string, { closing, leftMs }: Patience): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting: Waiting = { key, admit: resolve }
    const leave = (): void => {
      line.delete(waiting)
      reject(new Error('left the line'))
    }
    let timer: NodeJS.Timeout | undefined
    const look = (): void => {
      const left = leftMs()
      if (left <= 0) leave()
      else timer = setTimeout(look, left)
    }
    const forget = closing.onClose(leave)
    line.add(waiting)
    look()
    await promise.finally(() => {
      clearTimeout(timer)
      forget()
    })
  }

  return {
    async pass(key, patience, enter) {
      if (patience.closing.closed) throw new Error('closed')
      if (hasRoom(key)) move(key, 1)
      else await wait(key, patience)
      try {
        return await enter()
      } finally {
        move(key, -1)
        admitNext()
      }
    },
  }
}
