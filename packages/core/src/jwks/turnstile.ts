/** Lets a few in at a time for each key, and the others wait in line. */
export interface Turnstile {
  pass<Value>(key: string, enter: () => Promise<Value>): Promise<Value>
}

export function createTurnstile(width: number): Turnstile {
  const lines = new Map<string, { inside: number; readonly waiting: (() => void)[] }>()
  return {
    async pass(key, enter) {
      const line = lines.get(key) ?? { inside: 0, waiting: [] }
      lines.set(key, line)
      // Whoever leaves hands the place over, so the count does not move.
      if (line.inside >= width) await new Promise<void>((resolve) => line.waiting.push(resolve))
      else line.inside++
      try {
        return await enter()
      } finally {
        const next = line.waiting.shift()
        if (next) next()
        else if (--line.inside === 0) lines.delete(key)
      }
    },
  }
}
