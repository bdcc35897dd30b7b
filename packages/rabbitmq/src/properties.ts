import type { OpenedMessage, SealedMessage, SealOptions } from '@sealbus/core'
import { SealbusError } from '@sealbus/core'
import { markOpened } from '@sealbus/core/adapter'
import type { AmqpMessage, PublishOptions } from './client-shape.ts'

/**
 * What of the properties goes inside: `contentType`, `contentEncoding`, and `messageId` as the message's id.
 * RabbitMQ has no record keys, so none is bound.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION
 */
export function toSealOptions(channel: string, options: PublishOptions, inReplyTo?: string): SealOptions {
  const contentType = text('contentType', options.contentType)
  const contentEncoding = text('contentEncoding', options.contentEncoding)
  const id = text('messageId', options.messageId)
  return {
    channel,
    ...(contentType !== undefined && { contentType }),
    ...(contentEncoding !== undefined && { contentEncoding }),
    ...(id !== undefined && { id }),
    ...(inReplyTo !== undefined && { inReplyTo }),
    ...(options.headers && { headers: options.headers }),
  }
}

/** The properties that stay outside: all others, as they are, in fresh objects that instrumentation may write into. */
export function toSealedOptions({ contentType: _type, contentEncoding: _encoding, ...rest }: PublishOptions, sealed: SealedMessage): PublishOptions {
  return { ...rest, ...(rest.headers && { headers: toSealedHeaders(rest.headers) }), contentType: sealed.contentType }
}

type Headers = Readonly<Record<string, unknown>>

/** Less what a stream said of a message that is forwarded: a consumer of the queue that it comes to would take that for a stream. */
function toSealedHeaders(headers: Headers): Headers {
  if (headers['x-stream-offset'] === undefined) return { ...headers }
  const { 'x-stream-offset': _offset, ...others } = headers
  return others
}

/** The message as its handler sees it: plaintext, and the properties as they were before sealing. */
export function toOpenedMessage<Message extends AmqpMessage>(message: Message, opened: OpenedMessage): Message {
  const { plaintext, contentType, contentEncoding } = opened
  return markOpened(
    {
      ...message,
      content: plaintext,
      fields: { ...message.fields },
      // amqplib's own messages have these members, undefined where the property is absent.
      properties: { ...message.properties, contentType, contentEncoding },
    },
    opened,
  )
}

/** amqplib encodes all properties into 64 KiB; releases before 2.3.1 cut them off there, and the broker closes the connection. */
export const PROPERTIES_BYTES = 61_440

/** @throws ERR_SEALBUS_TOO_LARGE for headers that the client could not encode; all other properties together have 4 KiB at most */
export function checkProperties({ headers, CC, BCC }: PublishOptions): void {
  if (!headers && !CC && !BCC) return
  const bytes = sizeOf(headers) + sizeOf(CC) + sizeOf(BCC)
  if (bytes > PROPERTIES_BYTES) throw new SealbusError('ERR_SEALBUS_TOO_LARGE', `the headers have ${bytes} bytes, and the client takes ${PROPERTIES_BYTES}`)
}

/** As AMQP encodes a value, at most: names and lengths included. */
export function sizeOf(value: unknown): number {
  if (typeof value === 'string' || Buffer.isBuffer(value)) return 5 + Buffer.byteLength(value)
  if (typeof value === 'number') return 9
  if (typeof value !== 'object' || value === null) return value === undefined ? 0 : 2
  if (Array.isArray(value)) return value.reduce<number>((sum, each) => sum + sizeOf(each), 5)
  let sum = 5
  for (const [name, each] of Object.entries(value)) if (each !== undefined) sum += 1 + Buffer.byteLength(name) + sizeOf(each)
  return sum
}

/** An empty string is an absent property: brokers and clients do not tell them apart. */
function text(name: string, value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', `\`${name}\` is a string`)
  return value
}
