import type { AmqpMessage, ConsumeOptions } from './client-shape.ts'

/**
 * A quorum queue counts deliveries, and drops a message at its limit; a stream does not take messages back. There the
 * consumer is cancelled until the hold is over. Elsewhere it stays: a queue may be deleted with its last consumer.
 */
export function goesWithoutConsumer({ properties: { headers } }: AmqpMessage): boolean {
  return headers?.['x-delivery-count'] !== undefined || headers?.['x-stream-offset'] !== undefined
}

/** The same consumer again; on a stream, from the message that was held. */
export function resumed(options: ConsumeOptions, tag: string | undefined, { properties: { headers } }: AmqpMessage): ConsumeOptions {
  const offset = headers?.['x-stream-offset']
  return {
    ...options,
    ...(tag !== undefined && { consumerTag: tag }),
    ...(offset !== undefined && { arguments: { ...options.arguments, 'x-stream-offset': offset } }),
  }
}
