/** Leaves the wait with `reason()` when the signal aborts; what is awaited goes on for others. */
export async function abortable<Value>(promise: Promise<Value>, signal: AbortSignal, reason: () => Error): Promise<Value> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = (): void => reject(reason())
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
    // Nobody may be left to hear it.
    promise.catch(() => {})
  }
}
