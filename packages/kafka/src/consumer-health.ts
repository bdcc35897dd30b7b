import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import type { ConsumerState } from './consumer.ts'
import { keptBy } from './delegation.ts'

/** What `consumerHealth` tells, of the moment when it is asked. */
export interface ConsumerHealth {
  /** False while a message stops a partition, or waits for a parking place that failed it more than once. */
  readonly healthy: boolean
  /** Partitions that do not go on. */
  readonly halted: readonly {
    readonly topic: string
    readonly partition: number
    /** Of the message that it waits at: the next that will be tried. */
    readonly offset: string
    /** `holding`: tried again by itself. `stopped`: until somebody seeks, or starts the consumer anew. */
    readonly state: 'holding' | 'stopped'
    /** `key`: or the key source. `parking place`: the copy was not acknowledged yet. `operator`: stopped. */
    readonly waitingFor: 'key' | 'parking place' | 'operator'
    /** Why the message did not open. */
    readonly code: SealbusErrorCode
    /** Since when it is tried, or stopped, in epoch milliseconds. */
    readonly sinceMs: number
  }[]
}

/**
 * The halted partitions of a consumer that `openConsumer` or `sealKafka` wrapped, for health checks.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION for any other object
 */
export function consumerHealth(consumer: object): ConsumerHealth {
  const state = keptBy(consumer) as Partial<ConsumerState> | undefined
  if (!state?.halts) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'this consumer is not wrapped by Sealbus')
  const halts = state.halts()
  const halted = halts.map(({ topic, partition, offset, state: halt, waitingFor, code, sinceMs }) => ({ topic, partition, offset, state: halt, waitingFor, code, sinceMs }))
  const failing = halts.some(({ waitingFor, attempts }) => waitingFor === 'operator' || (waitingFor === 'parking place' && attempts > 1))
  return { healthy: !failing, halted }
}
