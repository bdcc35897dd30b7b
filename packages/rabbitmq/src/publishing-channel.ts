import { SealbusError, type Sealer } from '@sealbus/core'
import { checkNames } from '@sealbus/core/adapter'
import { isManagedChannel, type PublishingChannel, type PublishOptions } from './client-shape.ts'
import { type RoleParts, wrap } from './delegation.ts'
import { createOutgoingSeal, type OutgoingSeal, sealedAhead } from './outgoing.ts'

/** What `sealChannel` is given. A name that is none of these is ERR_SEALBUS_INVALID_OPTION. */
export interface SealChannelOptions {
  /** Seals what is published. It stays the caller's, and may serve many channels; its declared channels say where may be published to. */
  readonly sealer: Sealer
  /** The largest sealed message that the broker takes, in bytes; a larger one is ERR_SEALBUS_TOO_LARGE. Default 16 MiB, as RabbitMQ 4's `max_message_size`; an integer from 1. */
  readonly maxMessageBytes?: number
}

/**
 * Wraps a channel of amqplib, plain or confirming, so that what it publishes is sealed. `publish` and `sendToQueue`
 * seal at once and return the client's own boolean; confirms, `waitForConfirms` and `close` are the client's. For the
 * channels of a connection manager, wrap the manager with `sealAmqp`.
 *
 * They throw what `sealer.sealSync` throws, with nothing sent: ERR_SEALBUS_KEYS_NOT_READY (await `sealer.ready()`
 * first), ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_TOO_LARGE, ERR_SEALBUS_AMBIGUOUS_CHANNEL when copies by `CC` or
 * `BCC` would go to queues of another channel, and others.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED, ERR_SEALBUS_INVALID_OPTION
 */
export function sealChannel<C extends PublishingChannel>(channel: C, options: SealChannelOptions): C {
  checkNames('sealing a channel', { sealer: true, maxMessageBytes: true }, options)
  checkUnmanaged(channel)
  const seal = createOutgoingSeal(options.sealer, checkMaxMessageBytes(options.maxMessageBytes))
  return wrap(channel, 'publishing', (target) => publishing(target, seal))
}

/** For a service that was given no sealer: publishing is refused, so that nothing goes out plain. */
export function refusePublishing<C extends PublishingChannel>(channel: C): C {
  const refuse = (): never => {
    throw noSealer()
  }
  return wrap(channel, 'publishing', () => ({ methods: { publish: refuse, sendToQueue: refuse } }))
}

export const noSealer = (): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'publishing needs a `sealer`: none was given')

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkMaxMessageBytes(value: number = 16 * 1024 * 1024): number {
  if (!Number.isInteger(value) || value < 1) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`maxMessageBytes` is an integer from 1')
  return value
}

/** A managed channel alone hands the client's own channels to its `setup`. @throws ERR_SEALBUS_INVALID_OPTION */
export function checkUnmanaged(channel: object): void {
  if (isManagedChannel(channel)) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'this channel belongs to a connection manager: wrap that, with `sealAmqp`')
}

function publishing(target: PublishingChannel, seal: OutgoingSeal): RoleParts {
  const prepared = (exchange: string, routingKey: string, content: Buffer, options: PublishOptions): { content: Buffer; options: PublishOptions } => {
    // As amqplib says it; a string that was sealed here would arrive, and only here.
    if (!Buffer.isBuffer(content)) throw new TypeError('content is not a buffer')
    return sealedAhead.of(content) ? { content, options } : seal.seal({ exchange, routingKey }, content, options)
  }
  return {
    methods: {
      // `rest` is a confirm channel's callback, and whatever a client may add.
      publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions | null, ...rest: []): boolean {
        const sealed = prepared(exchange, routingKey, content, options ?? {})
        return target.publish(exchange, routingKey, sealed.content, sealed.options, ...rest)
      },
      sendToQueue(queue: string, content: Buffer, options?: PublishOptions | null, ...rest: []): boolean {
        const sealed = prepared('', queue, content, options ?? {})
        return target.sendToQueue(queue, sealed.content, sealed.options, ...rest)
      },
    },
  }
}
