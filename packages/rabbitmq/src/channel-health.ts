import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import { isManagedChannel } from './client-shape.ts'
import type { ConsumingState } from './consuming-channel.ts'
import { wrappingOf } from './delegation.ts'
import type { ManagedState } from './managed-channel.ts'

export interface ChannelHealth {
  /** False once a message stopped a consumer; true again when its queue is consumed anew. */
  readonly healthy: boolean
  readonly consumers: readonly {
    readonly queue: string
    readonly consumerTag: string | undefined
    /** `holding`: waiting for keys, or for the parking place. */
    readonly state: 'running' | 'holding' | 'stopped'
    /** Why it is holding or stopped. */
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
  const consumers = [...state.lines].flatMap(({ queue, tag, state, error }) => (state === 'ended' ? [] : [{ queue, consumerTag: tag, state, code: error?.code }]))
  return { healthy: !consumers.some(({ state }) => state === 'stopped'), consumers }
}
