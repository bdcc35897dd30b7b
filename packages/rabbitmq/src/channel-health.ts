import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import { isManagedChannel } from './client-shape.ts'
import type { ConsumingState } from './consuming-channel.ts'
import { wrappingOf } from './delegation.ts'
import type { ManagedState } from './managed-channel.ts'

/** What `channelHealth` returns: a snapshot. */
export interface ChannelHealth {
  /**
   * False while a message stops a consumer, or waits for a parking place that failed it more than once. True again when
   * the place has taken it, or the stopped consumer's queue is consumed anew. A wait for keys is no failure, however long.
   */
  readonly healthy: boolean
  /** Consumers that were started and not cancelled, in the order in which they started. */
  readonly consumers: readonly {
    readonly queue: string
    /** Undefined until the broker has answered `consume`. */
    readonly consumerTag: string | undefined
    /** `holding`: tried again by itself. `stopped`: until its queue is consumed anew. */
    readonly state: 'running' | 'holding' | 'stopped'
    /** Undefined while it runs. */
    readonly waitingFor: 'key' | 'parking place' | 'operator' | undefined
    /** Why the message that it waits at did not open. Undefined while it runs. */
    readonly code: SealbusErrorCode | undefined
  }[]
}

/**
 * The consumers of a channel that `openChannel` or `sealAmqp` wrapped, for health checks. A managed channel's are those
 * on its present connection.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION for any other object
 */
export function channelHealth(channel: object): ChannelHealth {
  const managed = isManagedChannel(channel) && (wrappingOf(channel)?.roles.get('publishing') as ManagedState | undefined)
  if (managed) return managed.channel ? channelHealth(managed.channel) : { healthy: true, consumers: [] }
  const state = wrappingOf(channel)?.roles.get('consuming') as ConsumingState | undefined
  if (!state) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'this channel is not wrapped for consuming')
  const lines = [...state.lines]
  const consumers = lines.flatMap(({ queue, tag, state, waitingFor, error }) => (state === 'ended' ? [] : [{ queue, consumerTag: tag, state, waitingFor, code: error?.code }]))
  return { healthy: lines.every(({ healthy }) => healthy), consumers }
}
