import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import type { ConsumerState } from './consumer.ts'
import { keptBy } from './delegation.ts'

export interface ConsumerHealth {
  /** False while a message stops a partition, or waits for a parking place that failed it more than once. */
  readonly healthy: boolean
  /** Partitions that do not go on. */
  readonly halted: readonly {
    readonly topic: string
    readonly partition: number
    /** Of the message that it waits at. */
    readonly offset: string
    /** `holding`: tried again by itself. `stopped`: until somebody seeks, or starts the consumer anew. */
    readonly state: 'holding' | 'stopped'
    readonly waitingFor: 'key' | 'parking place' | 'operator'
    readonly code: SealbusErrorCode
    /** Epoch milliseconds. */
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
