import type { ConsumingChannel } from './client-shape.ts'
import { promised } from './promised.ts'

interface AmqplibChannel {
  listenerCount?(event: string): number
  emit?(event: string, ...args: unknown[]): unknown
  /** amqplib's own answer to a handler that throws. */
  closeWithError?(method: undefined, reason: string, code: number, error: Error): void
}

/** AMQP's INTERNAL_ERROR. */
const INTERNAL_ERROR = 541

/**
 * A handler threw after its message had waited, so the client did not see it. It is answered as amqplib answers: by
 * `handler-error` where somebody listens, otherwise the channel is closed with the error.
 */
export function closeLikeClient(target: ConsumingChannel, thrown: unknown, closing: () => void): void {
  const channel = target as AmqplibChannel
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  if (channel.listenerCount?.('handler-error')) {
    setImmediate(() => channel.emit?.('handler-error', error, 'delivery'))
    return
  }
  closing()
  try {
    if (channel.closeWithError) channel.closeWithError(undefined, 'Error while processing message', INTERNAL_ERROR, error)
    else void promised(target).close().catch(() => {}).finally(() => channel.emit?.('error', error))
  } catch {
    // The channel is closed already, as it would be now.
  }
}
