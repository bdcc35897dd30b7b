import { type Opener, SealbusError, type Sealer } from '@sealbus/core'
import type { AmqpConnection, ConsumingChannel, PublishingChannel } from './client-shape.ts'
import { checkConsuming, type ConsumingState, openChannel, type OpenChannelOptions, refuseConsuming } from './consuming-channel.ts'
import { wrap, wrappingOf } from './delegation.ts'
import { checkMaxMessageBytes, refusePublishing, sealChannel } from './publishing-channel.ts'

/** A sealer, an opener, or both; the other options are those of `sealChannel` and `openChannel`. */
export interface SealAmqpOptions extends Omit<OpenChannelOptions, 'opener'> {
  /** Without one, `publish` and `sendToQueue` throw ERR_SEALBUS_INVALID_OPTION. */
  readonly sealer?: Sealer
  /** Without one, `consume` and `get` reject with ERR_SEALBUS_INVALID_OPTION. */
  readonly opener?: Opener
  /** The largest sealed message that the broker takes, in bytes. Default 16 MiB. */
  readonly maxMessageBytes?: number
}

/**
 * Wraps a connection: every channel that it creates seals what it publishes, and opens what it consumes; see
 * `sealChannel` and `openChannel`. The connection stays the caller's: it is closed by whoever made it.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED, ERR_SEALBUS_INVALID_OPTION
 */
export function sealAmqp<C extends AmqpConnection>(connection: C, options: SealAmqpOptions): C {
  const { sealer, opener, maxMessageBytes, ...consuming } = options
  if (!sealer && !opener) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'a `sealer`, an `opener`, or both are needed')
  checkMaxMessageBytes(maxMessageBytes)
  if (opener) checkConsuming({ opener, ...consuming })

  return wrap(connection, 'connection', (target) => {
    const open = new Set<ConsumingState>()
    const made = new WeakMap<AmqpConnection, AmqpConnection>()
    const both = <Channel extends PublishingChannel & ConsumingChannel>(channel: Channel): Channel => {
      const publishing = sealer ? sealChannel(channel, { sealer, ...(maxMessageBytes !== undefined && { maxMessageBytes }) }) : refusePublishing(channel)
      if (!opener) return refuseConsuming(publishing)
      const wrapped = openChannel(publishing, { opener, ...consuming })
      const state = wrappingOf(wrapped)?.roles.get('consuming') as ConsumingState
      open.add(state)
      channel.once('close', () => open.delete(state))
      return wrapped
    }
    return {
      methods: {
        createChannel: async (...given: []) => both(await target.createChannel(...given)),
        createConfirmChannel: async (...given: []) => both(await target.createConfirmChannel(...given)),
        close: (): Promise<void> => {
          for (const state of open) state.end()
          return target.close()
        },
      },
      // amqplib's recovering connection hands each connection that it makes to `connect` listeners.
      adopt(value: unknown): unknown {
        if (!isConnection(value) || wrappingOf(value)) return value
        const known = made.get(value) ?? sealAmqp(value, options)
        made.set(value, known)
        return known
      },
    }
  })
}

function isConnection(value: unknown): value is AmqpConnection {
  return typeof value === 'object' && value !== null && 'createChannel' in value && typeof value.createChannel === 'function'
}
