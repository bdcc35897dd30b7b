import { type Channel, SealbusError, type Sealer } from '@sealbus/core'
import type { PublishingChannel, PublishOptions } from './client-shape.ts'
import { type RoleParts, wrap } from './delegation.ts'
import { toSealedOptions, toSealOptions } from './properties.ts'

export interface SealChannelOptions {
  readonly sealer: Sealer
  /** The largest sealed message that the broker takes, in bytes. Default 16 MiB, as RabbitMQ 4's `max_message_size`. */
  readonly maxMessageBytes?: number
}

/**
 * Wraps a channel, plain or confirming, so that what it publishes is sealed. `publish` and `sendToQueue` seal at once
 * and return the client's own boolean; confirms, `waitForConfirms` and `close` are the client's.
 *
 * They throw what `sealer.sealSync` throws, with nothing sent: ERR_SEALBUS_KEYS_NOT_READY (await `sealer.ready()`
 * first), ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_TOO_LARGE, ERR_SEALBUS_AMBIGUOUS_CHANNEL when copies by `CC` or
 * `BCC` would go to queues of another channel, and others.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED, ERR_SEALBUS_INVALID_OPTION
 */
export function sealChannel<C extends PublishingChannel>(channel: C, options: SealChannelOptions): C {
  const maxMessageBytes = checkMaxMessageBytes(options.maxMessageBytes)
  return wrap(channel, 'publishing', (target) => publishing(target, options.sealer, maxMessageBytes))
}

/** For a service that was given no sealer: publishing is refused, so that nothing goes out plain. */
export function refusePublishing<C extends PublishingChannel>(channel: C): C {
  const refuse = (): never => {
    throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'publishing needs a `sealer`: none was given')
  }
  return wrap(channel, 'publishing', () => ({ methods: { publish: refuse, sendToQueue: refuse } }))
}

export function checkMaxMessageBytes(value: number = 16 * 1024 * 1024): number {
  if (!Number.isInteger(value) || value < 1) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`maxMessageBytes` is an integer from 1')
  return value
}

function publishing(target: PublishingChannel, sealer: Sealer, maxMessageBytes: number): RoleParts {
  const seal = (channel: Channel, content: Buffer, options: PublishOptions): { content: Buffer; options: PublishOptions } => {
    // As amqplib says it; a string that was sealed here would arrive, and only here.
    if (!Buffer.isBuffer(content)) throw new TypeError('content is not a buffer')
    const sealed = sealer.sealSync(content, toSealOptions(channel.name, options))
    if (sealed.bytes.length > maxMessageBytes) {
      throw new SealbusError('ERR_SEALBUS_TOO_LARGE', `the message has ${sealed.bytes.length} bytes sealed (${content.length} before), and the broker takes ${maxMessageBytes}`)
    }
    return { content: sealed.bytes, options: toSealedOptions(options, sealed) }
  }
  return {
    methods: {
      // `rest` is a confirm channel's callback, and whatever a client may add.
      publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions | null, ...rest: []): boolean {
        const given = options ?? {}
        const channel = exchange === '' ? channelOfQueues(sealer, routingKey, given) : sealer.channels.at(exchange)
        if (channel.plaintext) return target.publish(exchange, routingKey, content, given, ...rest)
        const sealed = seal(channel, content, given)
        return target.publish(exchange, routingKey, sealed.content, sealed.options, ...rest)
      },
      sendToQueue(queue: string, content: Buffer, options?: PublishOptions | null, ...rest: []): boolean {
        const given = options ?? {}
        const channel = channelOfQueues(sealer, queue, given)
        if (channel.plaintext) return target.sendToQueue(queue, content, given, ...rest)
        const sealed = seal(channel, content, given)
        return target.sendToQueue(queue, sealed.content, sealed.options, ...rest)
      },
    },
  }
}

/** On the default exchange, `CC` and `BCC` name queues too: one that is sealed must not get a plain copy. */
function channelOfQueues(sealer: Sealer, queue: string, { CC, BCC, headers }: PublishOptions): Channel {
  const channel = sealer.channels.at(queue)
  for (const copies of [CC, BCC, headers?.['CC'], headers?.['BCC']]) {
    for (const copy of Array.isArray(copies) ? copies : [copies]) {
      if (copy === undefined || copy === null || sealer.channels.at(String(copy)) === channel) continue
      throw new SealbusError('ERR_SEALBUS_AMBIGUOUS_CHANNEL', `${JSON.stringify(queue)} and its copy to ${JSON.stringify(copy)} are of two channels: publish each by itself`)
    }
  }
  return channel
}
