import { createHash } from 'node:crypto'
import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import { checkNames, PARK_HEADERS } from '@sealbus/core/adapter'
import { type AmqpMessage, type ConfirmingChannel, isManagedChannel, type ManagedChannel, onEachInner, type PublishOptions } from './client-shape.ts'
import { copiedProperties } from './copied-properties.ts'
import { wrappingOf } from './delegation.ts'
import type { Address } from './outgoing.ts'
import { createReturnedMessages, type ReturnedMessages } from './returned-messages.ts'

/** Where messages go that cannot be opened: a parking exchange, or the queue's own dead-letter exchange. */
export type ParkingPlace = ParkingExchange | DeadLettering

/** A copy goes out by an exchange, and is confirmed by the broker before the message is acknowledged. */
export interface ParkingExchange {
  /**
   * A confirm channel of the client itself, not wrapped: copies go out byte for byte. A channel of a connection manager
   * goes on after its connection was lost; with amqplib's, messages wait for their parking place from then on.
   */
  readonly channel: ConfirmingChannel | ManagedChannel
  /** An exchange that routes to a queue: a copy that no queue takes counts as not parked, and is tried again. */
  readonly exchange: string
  /** Default: the name of the queue that parks. Required where `exchange` is '', because that would be the queue itself. */
  readonly routingKey?: string
}

/** The message is rejected without requeue, and the broker moves it. */
export interface DeadLettering {
  /**
   * That every queue consumed has a dead-letter exchange, with a queue behind it. Nobody can look that up: a queue
   * without one drops the message. The copy does not say why it was parked, but `onParked` does.
   */
  readonly deadLetter: true
}

/** A message that was parked: its copy is confirmed, or it was rejected to its dead-letter exchange. */
export interface ParkedMessage {
  /** The queue that it was consumed from, which `redrive` calls `by`. */
  readonly queue: string
  /** Why it did not open. */
  readonly code: SealbusErrorCode
  /** Of the copy, in its `sealbus-park-id` header: the same for the same message, however often it is parked. */
  readonly id: string
}

export interface Parking {
  /** How the message leaves its queue once it is parked: acknowledged, or rejected to where it is parked. */
  readonly leaves: 'acknowledged' | 'rejected'
  /** Resolves once the broker has confirmed the copy; rejects when it was refused, returned, or not confirmed in time. */
  park(message: AmqpMessage, queue: string, code: SealbusErrorCode): Promise<ParkedMessage>
  /** @throws ERR_SEALBUS_INVALID_OPTION where the parking place is the queue itself */
  check(queue: string): void
}

/** A broker that has not confirmed by then is blocked, or the channel is stuck. */
const CONFIRM_TIMEOUT_MS = 30_000

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function createParking(place: ParkingPlace): Parking {
  if ('deadLetter' in place) return deadLettering(place)
  const { channel, exchange, routingKey } = place
  if (wrappingOf(channel)) throw invalid('`park.channel` is a channel of the client itself, not a wrapped one')
  if (!confirms(channel)) throw invalid('`park.channel` is a confirm channel')
  checkNames('`park`', { channel: true, exchange: true, routingKey: true }, place)
  if (typeof exchange !== 'string') throw invalid('`park.exchange` is the name of an exchange')
  if (exchange === '' && !routingKey) throw invalid("`park.routingKey` names a queue where `park.exchange` is ''")
  const returns = returnsOf(channel)
  return {
    leaves: 'acknowledged',
    check(queue): void {
      if (exchange === '' && routingKey === queue) throw invalid(`the parking place of the queue ${JSON.stringify(queue)} is the queue itself`)
    },
    async park(message, queue, code): Promise<ParkedMessage> {
      const id = parkIdOf(message, queue)
      const address = { exchange, routingKey: routingKey ?? queue }
      const options = parkedOptions(message, { id, code, queue })
      const { returned } = await returns.watch(address, message.content, () => inTime(publish(channel, address, message.content, options)))
      if (returned) throw new Error('no queue took the copy')
      return { queue, code, id }
    },
  }
}

function deadLettering(place: DeadLettering): Parking {
  checkNames('`park`', { deadLetter: true }, place)
  const { deadLetter }: { deadLetter: boolean } = place
  if (!deadLetter) throw invalid('`park.deadLetter` is true: every queue consumed has a dead-letter exchange')
  return {
    leaves: 'rejected',
    check: () => {},
    park: async (message, queue, code) => ({ queue, code, id: parkIdOf(message, queue) }),
  }
}

export const parkIdOf = ({ content }: AmqpMessage, queue: string): string => createHash('sha256').update(queue).update('\0').update(content).digest('base64url')

function confirms(channel: ParkingExchange['channel']): boolean {
  if (typeof channel?.publish !== 'function') return false
  // The manager's own names: one that does not confirm, or encodes as JSON, looks the same from outside.
  if (isManagedChannel(channel)) return Reflect.get(channel, '_confirm') !== false && Reflect.get(channel, '_json') !== true
  return typeof channel.waitForConfirms === 'function'
}

function publish(channel: ParkingExchange['channel'], { exchange, routingKey }: Address, content: Buffer, options: PublishOptions): Promise<unknown> {
  // The manager gives a copy up when we do: those of one message would pile up in its queue while it is offline.
  if (isManagedChannel(channel)) return channel.publish(exchange, routingKey, content, { ...options, timeout: CONFIRM_TIMEOUT_MS })
  return new Promise((resolve, reject) => channel.publish(exchange, routingKey, content, options, (error) => (error ? reject(error) : resolve(undefined))))
}

async function inTime(confirmed: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, CONFIRM_TIMEOUT_MS, new Error('no confirm in time'))
    timer.unref()
  })
  try {
    await Promise.race([confirmed, late])
  } finally {
    clearTimeout(timer)
  }
}

function parkedOptions(message: AmqpMessage, { id, code, queue }: { id: string; code: SealbusErrorCode; queue: string }): PublishOptions {
  const { options } = copiedProperties(message)
  const { exchange, routingKey } = message.fields
  return {
    ...options,
    headers: {
      ...options.headers,
      [PARK_HEADERS.id]: id,
      [PARK_HEADERS.code]: code,
      [PARK_HEADERS.by]: queue,
      [PARK_HEADERS.origin]: `${exchange}/${routingKey}`,
      [PARK_HEADERS.time]: new Date().toISOString(),
    },
    deliveryMode: 2,
    mandatory: true,
  }
}

const returnsByChannel = new WeakMap<object, ReturnedMessages>()

/** One listener for each channel, however many connections park on it. */
function returnsOf(channel: ParkingExchange['channel']): ReturnedMessages {
  const known = returnsByChannel.get(channel)
  if (known) return known
  const returns = createReturnedMessages()
  returnsByChannel.set(channel, returns)
  if (isManagedChannel(channel)) onEachInner(channel, (inner) => returns.listen(inner))
  else returns.listen(channel)
  return returns
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
