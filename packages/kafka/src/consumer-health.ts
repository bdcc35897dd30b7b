import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import type { ConsumerState } from './consumer.ts'
import { keptBy } from './delegation.ts'

export interface ConsumerHealth {
  /** False while a message stops a partition. */
  readonly healthy: boolean
  /** Partitions that do not go on. */
  readonly halted: readonly {
    readonly topic: string
    readonly partition: number
    /** Of the message that it waits at. */
    readonly offset: string
    /** `holding`: waiting for a key or the parking place. `stopped`: waiting for an operator. */
    readonly state: 'holding' | 'stopped'
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
  if (!state?.holds) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'this consumer is not wrapped by Sealbus')
  const halted = state.holds.list().map(({ topic, partition, offset, state: halt, code, sinceMs }) => ({ topic, partition, offset, state: halt, code, sinceMs }))
  return { healthy: !halted.some((each) => each.state === 'stopped'), halted }
}
