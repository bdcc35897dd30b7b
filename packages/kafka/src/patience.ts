/** How long a batch may wait for a key source or a parking place: longer, and the other partitions would feel it. */
export const PATIENCE_MS = 250

export const LATE: unique symbol = Symbol('late')

/** What `promise` settles with, or LATE when that takes longer. A later rejection is nobody's. */
export async function within<Value>(ms: number, promise: Promise<Value>): Promise<Value | typeof LATE> {
  const { promise: late, resolve } = Promise.withResolvers<typeof LATE>()
  const timer = setTimeout(resolve, ms, LATE)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
    promise.catch(() => {})
  }
}
