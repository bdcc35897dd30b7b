import { isSealbusError } from '@sealbus/core'
import { EXIT } from './exit-codes.ts'

/** Why a command does not do what was asked for, in a sentence for its user. */
export class Refusal extends Error {
  readonly exitCode: number

  constructor(reason: string, exitCode: number = EXIT.failed) {
    super(reason)
    this.exitCode = exitCode
  }
}

/** An action whose refusals are lines on stderr and exit codes. Any other error is a fault of ours, and shows where. */
export function refusing<Args extends readonly unknown[]>(action: (...args: Args) => Promise<void>): (...args: Args) => Promise<void> {
  return async (...args) => {
    try {
      await action(...args)
    } catch (error) {
      if (!(error instanceof Refusal) && !isSealbusError(error)) throw error
      console.error(`error: ${error.message}`)
      process.exitCode = error instanceof Refusal ? error.exitCode : EXIT.failed
    }
  }
}

/** What the system calls an error, such as ENOENT: its message may quote what it should not. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
}
