import { createHash } from 'node:crypto'
import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import type { AmqpMessage, ConfirmingChannel, PublishOptions } from './client-shape.ts'
import { wrappingOf } from './delegation.ts'

/** Where messages go that cannot be opened. */
export interface ParkingPlace {
  /** A confirm channel of the client itself, not wrapped: copies go out byte for byte. */
  readonly channel: ConfirmingChannel
  /** An exchange that routes to a queue: a copy that no queue takes counts as not parked, and is tried again. */
  readonly exchange: string
  /** Default: the name of the queue that parks. Required where `exchange` is '', because that would be the queue itself. */
  readonly routingKey?: string
}

/** A message that was parked: its copy is confirmed. */
export interface ParkedMessage {
  readonly queue: string
  readonly code: SealbusErrorCode
  /** Of the copy, in its `sealbus-park-id` header: the same for the same message, however often it is parked. */
  readonly id: string
}

export interface Parking {
  /** Resolves once the broker has confirmed the copy; rejects when it was refused, returned, or not confirmed in time. */
  park(message: AmqpMessage, queue: string, code: SealbusErrorCode): Promise<ParkedMessage>
  /** @throws ERR_SEALBUS_INVALID_OPTION where the parking place is the queue itself */
  check(queue: string): void
}

/** A broker that has not confirmed by then is blocked, or the channel is stuck. */
const CONFIRM_TIMEOUT_MS = 30_000

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function createParking({ channel, exchange, routingKey }: ParkingPlace): Parking {
  if (wrappingOf(channel)) throw invalid('`park.channel` is a channel of the client itself, not a wrapped one')
  if (typeof channel?.publish !== 'function' || typeof channel.waitForConfirms !== 'function') throw invalid('`park.channel` is a confirm channel')
  if (typeof exchange !== 'string') throw invalid('`park.exchange` is the name of an exchange')
  if (exchange === '' && !routingKey) throw invalid("`park.routingKey` names a queue where `park.exchange` is ''")
  const returns = returnsOf(channel)

  const publish = (id: string, content: Buffer, key: string, options: PublishOptions): Promise<void> =>
    new Promise((resolve, reject) => {
      const settle = (failure: unknown): void => {
        clearTimeout(timer)
        returns.delete(entry)
        if (failure || entry.returned) reject(new Error('the copy was not taken'))
        else resolve()
      }
      const entry: Copy = { id, returned: false }
      const timer = setTimeout(settle, CONFIRM_TIMEOUT_MS, 'late')
      timer.unref()
      returns.add(entry)
      try {
        channel.publish(exchange, key, content, options, settle)
      } catch (error) {
        settle(error)
      }
    })

  return {
    check(queue): void {
      if (exchange === '' && routingKey === queue) throw invalid(`the parking place of the queue ${JSON.stringify(queue)} is the queue itself`)
    },
    async park(message, queue, code): Promise<ParkedMessage> {
      const id = createHash('sha256').update(queue).update('\0').update(message.content).digest('base64url')
      await publish(id, message.content, routingKey ?? queue, parkedOptions(message, { id, code, queue }))
      return { queue, code, id }
    },
  }
}

/**
 * The properties as they came, less those that would act on the copy: `expiration` would drop it, `userId` must be the
 * publisher's own, and a `CC` header would route it again.
 */
function parkedOptions({ properties, fields }: AmqpMessage, { id, code, queue }: { id: string; code: SealbusErrorCode; queue: string }): PublishOptions {
  const { expiration: _expiration, userId: _userId, headers, ...rest } = properties as AmqpMessage['properties'] & Record<string, unknown>
  const { CC: _cc, ...kept } = headers ?? {}
  return {
    ...rest,
    headers: {
      ...kept,
      [PARK_HEADERS.id]: id,
      [PARK_HEADERS.code]: code,
      [PARK_HEADERS.by]: queue,
      [PARK_HEADERS.origin]: `${fields.exchange}/${fields.routingKey}`,
      [PARK_HEADERS.time]: new Date().toISOString(),
    },
    deliveryMode: 2,
    mandatory: true,
  } as PublishOptions
}

interface Copy {
  readonly id: string
  returned: boolean
}

const copiesByChannel = new WeakMap<object, Set<Copy>>()

/** Copies under way on a channel. A mandatory copy that no queue takes is returned, and then confirmed all the same. */
function returnsOf(channel: ConfirmingChannel): Set<Copy> {
  const known = copiesByChannel.get(channel)
  if (known) return known
  const copies = new Set<Copy>()
  copiesByChannel.set(channel, copies)
  channel.on('return', (message) => {
    const { properties } = message as AmqpMessage
    // Two copies with one id are of one content: both are tried again, and either is as good.
    for (const copy of copies) if (copy.id === properties.headers?.[PARK_HEADERS.id]) copy.returned = true
  })
  return copies
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
