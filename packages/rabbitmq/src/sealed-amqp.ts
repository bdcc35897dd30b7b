import { type Opener, SealbusError, type Sealer } from '@sealbus/core'
import { checkKeyWaitMs, checkNames } from '@sealbus/core/adapter'
import type { AmqpConnection, ConsumingChannel, PublishingChannel } from './client-shape.ts'
import { checkConsuming, type ConsumingState, openChannel, type OpenChannelOptions, refuseConsuming } from './consuming-channel.ts'
import { wrap, wrappingOf } from './delegation.ts'
import { isConnectionManager, managedParts } from './managed-connection.ts'
import { isPromise } from './promised.ts'
import { checkMaxMessageBytes, refusePublishing, sealChannel } from './publishing-channel.ts'

/** A sealer, an opener, or both; the other options are those of `sealChannel` and `openChannel`. */
export interface SealAmqpOptions extends Omit<OpenChannelOptions, 'opener'> {
  /** Without one, publishing is refused with ERR_SEALBUS_INVALID_OPTION. */
  readonly sealer?: Sealer
  /** Without one, `consume` and `get` are refused with ERR_SEALBUS_INVALID_OPTION. */
  readonly opener?: Opener
  /** The largest sealed message that the broker takes, in bytes; a larger one is ERR_SEALBUS_TOO_LARGE. Default 16 MiB; an integer from 1. */
  readonly maxMessageBytes?: number
  /**
   * How long a managed channel's `publish` and `sendToQueue` may wait for recipients' keys that are not in memory, in
   * milliseconds; then they reject with ERR_SEALBUS_KEYS_NOT_READY. Default 5,000; 0 to 2,147,483,647. amqplib's own return no promise, and never wait.
   */
  readonly keyWaitMs?: number
}

const OPTIONS: Record<keyof SealAmqpOptions, true> = {
  sealer: true,
  opener: true,
  maxMessageBytes: true,
  keyWaitMs: true,
  park: true,
  onStopped: true,
  onParked: true,
  dispositions: true,
  consumerTimeoutMs: true,
}

/**
 * Wraps a connection of amqplib (promise or callback API, recovering or not) or a connection manager of
 * amqp-connection-manager: every channel that it creates from now on seals what it publishes, and opens what it
 * consumes; see `sealChannel` and `openChannel`. The connection stays the caller's: it is closed by whoever made it.
 *
 * A managed channel seals before its own queue, so that no plaintext waits there for a connection, and each message
 * once. Its `publish` and `sendToQueue` reject with what sealing throws, with ERR_SEALBUS_KEYS_NOT_READY when keys do
 * not come within `keyWaitMs` or before it is closed, and with ERR_SEALBUS_UNROUTABLE for a `mandatory` message that
 * no queue took. Its `setup` functions are given wrapped channels.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED, ERR_SEALBUS_INVALID_OPTION
 */
export function sealAmqp<C extends AmqpConnection>(connection: C, options: SealAmqpOptions): C {
  checkNames('sealing a connection', OPTIONS, options)
  const { sealer, opener, maxMessageBytes, keyWaitMs, ...consuming } = options
  if (!sealer && !opener) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'a `sealer`, an `opener`, or both are needed')
  const checked = { maxMessageBytes: checkMaxMessageBytes(maxMessageBytes), keyWaitMs: checkKeyWaitMs(keyWaitMs) }
  if (opener) checkConsuming({ opener, ...consuming })

  return wrap(connection, 'connection', (target, self) => {
    const open = new Set<ConsumingState>()
    const made = new WeakMap<object, object>()
    /** The same wrapper for the same object. */
    const once = <Made extends object>(own: Made, make: () => Made): Made => {
      const known = (made.get(own) as Made | undefined) ?? make()
      made.set(own, known)
      return known
    }

    const sealed = (channel: PublishingChannel & ConsumingChannel): object => {
      const publishing = sealer ? sealChannel(channel, { sealer, maxMessageBytes: checked.maxMessageBytes }) : refusePublishing(channel)
      if (!opener) return refuseConsuming(publishing)
      const wrapped = openChannel(publishing, { opener, ...consuming })
      const state = wrappingOf(wrapped)?.roles.get('consuming') as ConsumingState
      open.add(state)
      channel.once('close', () => open.delete(state))
      return wrapped
    }

    /** What the client hands out, wrapped where it leads to messages. */
    const adopt = (value: unknown): unknown => {
      if (value === target) return self()
      if (typeof value !== 'object' || value === null || wrappingOf(value)) return value
      if (isChannel(value)) return once(value, () => sealed(value) as typeof value)
      if (isConnection(value)) return once(value, () => sealAmqp(value, options))
      return value
    }

    const end = (): void => {
      for (const state of open) state.end()
    }
    if (isConnectionManager(target)) return managedParts(target, { self, adopt, end, sealing: sealer && { sealer, ...checked } })

    type Call = (...args: unknown[]) => unknown
    const adopting = (given: unknown): unknown => (typeof given === 'function' ? (...args: unknown[]) => (given as Call)(...args.map(adopt)) : given)
    const handing = (method: 'createChannel' | 'createConfirmChannel' | 'waitForConnect'): Record<string, Call> => ({
      [method](...given: unknown[]): unknown {
        const reply: unknown = Reflect.apply(Reflect.get(target, method) as Call, target, given.map(adopting))
        return isPromise(reply) ? reply.then(adopt) : adopt(reply)
      },
    })
    return {
      methods: {
        ...handing('createChannel'),
        ...handing('createConfirmChannel'),
        ...('waitForConnect' in target && handing('waitForConnect')),
        close(...given: never[]): unknown {
          end()
          return target.close(...given)
        },
      },
      // amqplib's recovering connection hands each connection that it makes to `connect` listeners.
      adopt,
    }
  })
}

const isConnection = (value: object): value is AmqpConnection => 'createChannel' in value && typeof value.createChannel === 'function'

const isChannel = (value: object): value is PublishingChannel & ConsumingChannel => 'publish' in value && 'consume' in value
