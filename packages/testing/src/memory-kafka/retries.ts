import { setTimeout as pause } from 'node:timers/promises'
import { MemoryKafkaError, nonRetriable } from './errors.ts'
import type { MemoryConsumerConfig } from './shape.ts'

/** Errors of a program, which kafkajs does not try again. */
const PROGRAM_ERRORS: readonly string[] = ['RangeError', 'ReferenceError', 'SyntaxError', 'TypeError']

export interface Retries {
  /** Tries until it resolves, or the signal ends it. Rejects, as kafkajs, when all tries are used up, or none would help. */
  until(attempt: () => Promise<void>, signal: AbortSignal): Promise<void>
}

export function createRetries({ initialRetryTime = 10, maxRetryTime = 30_000, multiplier = 2, retries = 5 }: NonNullable<MemoryConsumerConfig['retry']>): Retries {
  return {
    async until(attempt, signal): Promise<void> {
      for (let tried = 0, wait = initialRetryTime; !signal.aborted; tried++, wait = Math.min(wait * multiplier, maxRetryTime)) {
        try {
          return await attempt()
        } catch (error) {
          if (signal.aborted) return
          if (!mayHelp(error)) throw nonRetriable(messageOf(error), error)
          if (tried >= retries) throw new MemoryKafkaError('KafkaJSNumberOfRetriesExceeded', messageOf(error), { retriable: true, cause: error })
        }
        await pause(wait, undefined, { signal }).catch(() => {})
      }
    },
  }
}

function mayHelp(error: unknown): boolean {
  if (!(error instanceof Error)) return true
  return !PROGRAM_ERRORS.includes(error.name) && !('retriable' in error && error.retriable === false)
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
