import { constants } from 'node:os'

/** A broker that does not answer must not keep the user waiting. */
const LONGEST_CLEAN_UP_MS = 4_500

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Ctrl-C and its like as a reason to end and clean up; a second one ends at once. */
export interface Interruption {
  readonly signal: AbortSignal
  /** 128 and the signal's number; undefined while there was none. */
  readonly exitCode: number | undefined
  /** Rejects when the signal comes, so that nothing needs to be waited for. */
  orInterrupted<Result>(work: Promise<Result>): Promise<Result>
  dispose(): void
}

export function listenForInterruption(): Interruption {
  const controller = new AbortController()
  const { promise: interrupted, reject } = Promise.withResolvers<never>()
  interrupted.catch(() => {})
  let exitCode: number | undefined

  const interrupt = (signal: (typeof SIGNALS)[number] | 'SIGPIPE'): void => {
    // The rest of a pipe may be gone for every line that is still written.
    if (exitCode !== undefined && signal === 'SIGPIPE') return
    if (exitCode !== undefined) process.exit(exitCode)
    exitCode = 128 + constants.signals[signal]
    setTimeout(() => process.exit(exitCode), LONGEST_CLEAN_UP_MS).unref()
    controller.abort()
    reject(new Error('interrupted'))
  }
  const readerLeft = (): void => interrupt('SIGPIPE')
  for (const signal of SIGNALS) process.on(signal, interrupt)
  process.stdout.on('error', readerLeft)

  return {
    signal: controller.signal,
    get exitCode() {
      return exitCode
    },
    orInterrupted(work) {
      // What goes on behind an interruption fails when its broker goes, and nobody asks.
      work.catch(() => {})
      return Promise.race([work, interrupted])
    },
    dispose(): void {
      for (const signal of SIGNALS) process.off(signal, interrupt)
    },
  }
}
