import type { AmqpConnection, ManagedChannel } from './client-shape.ts'
import { type RoleParts, wrappingOf } from './delegation.ts'
import { type ManagedSealing, type ManagedState, refuseManagedPublishing, sealManagedChannel } from './managed-channel.ts'
import { createReturnedMessages } from './returned-messages.ts'

/** amqp-connection-manager's connection: it connects again by itself, and its channels with it. */
export interface ConnectionManager extends AmqpConnection {
  createChannel(options?: { readonly json?: boolean }): ManagedChannel
  isConnected(): boolean
  reconnect(): void
}

export const isConnectionManager = (connection: object): connection is ConnectionManager => 'isConnected' in connection && 'reconnect' in connection && 'createChannel' in connection

export interface ManagedOptions {
  readonly self: () => object
  /** Wraps amqplib's own connections and channels. */
  readonly adopt: (value: unknown) => unknown
  /** Ends what the amqplib channels wait for. */
  readonly end: () => void
  /** Undefined: nothing may be published. */
  readonly sealing: Omit<ManagedSealing, 'returns'> | undefined
}

/**
 * The manager's channels see the wrapped manager as theirs: the connections that it has and announces are wrapped, and so
 * are the amqplib channels that they make there, use, and hand to `setup` functions.
 */
export function managedParts(target: ConnectionManager, { self, adopt, end, sealing }: ManagedOptions): RoleParts {
  const returns = createReturnedMessages()
  const open = new Set<ManagedState>()
  const create: (options: object) => ManagedChannel = Reflect.get(target, 'createChannel')
  return {
    methods: {
      createChannel(options: { readonly json?: boolean } = {}): ManagedChannel {
        // Encoded before it is sealed; the manager's channel then gets bytes.
        const { json = false, ...rest } = options
        const channel = Reflect.apply(create, self(), [rest])
        const sealed = sealing ? sealManagedChannel(channel, json, { ...sealing, returns }) : refuseManagedPublishing(channel)
        const state = wrappingOf(sealed)?.roles.get('publishing') as ManagedState
        open.add(state)
        channel.once('close', () => open.delete(state))
        return sealed
      },
      close(...given: never[]): unknown {
        for (const state of open) state.end()
        end()
        return target.close(...given)
      },
    },
    adopt(value: unknown): unknown {
      // `connect` listeners are given { connection, url }.
      if (typeof value === 'object' && value !== null && 'connection' in value && 'url' in value) return { ...value, connection: adopt(value.connection) }
      return adopt(value)
    },
  }
}
