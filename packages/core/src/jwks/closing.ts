/** The end of a directory, for any number of those who wait: the listeners of an AbortSignal are a list that is searched at every change. */
export interface Closing {
  readonly closed: boolean
  /** Calls at the end; returns what forgets it. */
  onClose(call: () => void): () => void
}

export function createClosing(): Closing & { close(): void } {
  const calls = new Set<() => void>()
  let closed = false
  return {
    get closed(): boolean {
      return closed
    },
    onClose(call): () => void {
      calls.add(call)
      return () => calls.delete(call)
    },
    close(): void {
      closed = true
      for (const call of calls) call()
      calls.clear()
    },
  }
}

/** A wait that closing ends. It keeps the process alive: at a start, somebody waits for nothing else. */
export function pauseUnlessClosed(ms: number, closing: Closing): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, ms)
  const forget = closing.onClose(resolve)
  return promise.finally(() => {
    clearTimeout(timer)
    forget()
  })
}
