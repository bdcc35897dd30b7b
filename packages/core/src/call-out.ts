/**
 * Calls the application back where what it throws must not come between a message and its settlement: it becomes an
 * uncaught exception, as from any event listener, instead of being swallowed.
 */
export function callOut(call: () => void): void {
  try {
    call()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
