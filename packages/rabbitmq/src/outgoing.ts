import { type Channel, SealbusError, type Sealer } from '@sealbus/core'
import { createPrivateMark, type PrivateMark } from '@sealbus/core/adapter'
import type { PublishOptions } from './client-shape.ts'
import { correspondenceOf } from './correspondence.ts'
import { checkProperties, toSealedOptions, toSealOptions } from './properties.ts'

/** A message on its way out, sealed or declared plain: the same for every client. */
export interface Outgoing {
  readonly content: Buffer
  readonly options: PublishOptions
}

export interface Address {
  /** '' is the default exchange: the routing key is the name of a queue. */
  readonly exchange: string
  readonly routingKey: string
}

export interface OutgoingSeal {
  /** @throws ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_AMBIGUOUS_CHANNEL */
  channelOf(address: Address, options: PublishOptions): Channel
  /** Seals now. @throws what `sealer.sealSync` throws, and ERR_SEALBUS_TOO_LARGE */
  seal(address: Address, content: Buffer, options: PublishOptions): Outgoing
}

/** On content that was sealed before it came to a channel, by the client's own queue in front of it. */
export const sealedAhead: PrivateMark<true> = createPrivateMark<true>()

export function createOutgoingSeal(sealer: Sealer, maxMessageBytes: number): OutgoingSeal {
  const correspondence = correspondenceOf(sealer.channels)
  const channelOf: OutgoingSeal['channelOf'] = ({ exchange, routingKey }, options) => (exchange === '' ? channelOfQueues(sealer, routingKey, options) : sealer.channels.at(exchange))
  return {
    channelOf,
    seal(address, content, options): Outgoing {
      const channel = channelOf(address, options)
      if (channel.plaintext) {
        sealer.countPlain(channel.name)
        return { content, options }
      }
      checkProperties(options)
      const sealed = sealer.sealSync(content, toSealOptions(channel.name, options, correspondence.answered(address, options)))
      if (sealed.bytes.length > maxMessageBytes) {
        throw new SealbusError('ERR_SEALBUS_TOO_LARGE', `the message has ${sealed.bytes.length} bytes sealed (${content.length} before), and the broker takes ${maxMessageBytes}`)
      }
      correspondence.asks(options, sealed.id)
      return { content: sealed.bytes, options: toSealedOptions(options, sealed) }
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
