import { EXIT } from '../exit-codes.ts'

/** A broker that does not answer must not keep the user waiting. */
const LONGEST_CLEAN_UP_MS = 4_000

/** Ctrl-C and SIGTERM as a signal to end; a second one ends at once. */
export interface Interruption {
  readonly signal: AbortSignal
  /** Rejects when the signal comes, so that nothing needs to be waited for. */
  orInterrupted<Result>(work: Promise<Result>): Promise<Result>
  dispose(): void
}

export function listenForInterruption(): Interruption {
  const controller = new AbortController()
  const interrupt = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted)
    controller.abort()
    setTimeout(() => process.exit(EXIT.interrupted), LONGEST_CLEAN_UP_MS).unref()
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  const interrupted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true })
  })
  interrupted.catch(() => {})
  return {
    signal: controller.signal,
    orInterrupted: (work) => {
      // What goes on behind an interruption fails when its broker goes, and nobody asks.
      work.catch(() => {})
      return Promise.race([work, interrupted])
    },
    dispose(): void {
      process.off('SIGINT', interrupt)
      process.off('SIGTERM', interrupt)
    },
  }
}
