import type { AmqpMessage, ConsumeOptions } from './client-shape.ts'

/**
 * A stream does not take messages back, and the broker closes the connection of whoever refuses one. Its messages come
 * to consumers only, and never a second time on one channel; the header alone may have been forwarded with a message.
 */
export function isOfStream({ fields, properties: { headers } }: AmqpMessage): boolean {
  return headers?.['x-stream-offset'] !== undefined && fields.consumerTag !== undefined && !fields.redelivered
}

/** A quorum queue counts how often a message came back, and drops it at its limit; it tells from the second delivery on. */
export function isCounted({ properties: { headers } }: AmqpMessage): boolean {
  return headers?.['x-delivery-count'] !== undefined
}

/** There the consumer is cancelled until the hold is over. Elsewhere it stays: a queue may be deleted with its last consumer. */
export const goesWithoutConsumer = (message: AmqpMessage): boolean => isCounted(message) || isOfStream(message)

/** The same consumer again; on a stream, from the message that was held. */
export function resumed(options: ConsumeOptions, tag: string | undefined, held: AmqpMessage): ConsumeOptions {
  return {
    ...options,
    ...(tag !== undefined && { consumerTag: tag }),
    ...(isOfStream(held) && { arguments: { ...options.arguments, 'x-stream-offset': held.properties.headers?.['x-stream-offset'] } }),
  }
}
