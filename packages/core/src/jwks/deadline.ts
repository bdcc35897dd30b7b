import type { Closing } from './closing.ts'

/** A signal that ends a step, and whether it was the time that ended it. */
export interface Deadline {
  readonly signal: AbortSignal
  readonly passed: boolean
}

/**
 * Runs a step that ends after so many milliseconds, or with the directory. The timer keeps the process alive, because somebody
 * may wait for nothing but this step. Nothing is left of it afterwards:
 * AbortSignal.timeout() keeps its timer, and AbortSignal.any() what hangs on it, until the time is over.
 */
export async function withDeadline<Value>(ms: number, closing: Closing | undefined, step: (deadline: Deadline) => Promise<Value>): Promise<Value> {
  const controller = new AbortController()
  const deadline = { signal: controller.signal, passed: false }
  const end = (): void => controller.abort()
  const timer = setTimeout(() => {
    deadline.passed = true
    end()
  }, ms)
  const forget = closing?.onClose(end)
  if (closing?.closed) end()
  try {
    return await step(deadline)
  } finally {
    clearTimeout(timer)
    forget?.()
  }
}
