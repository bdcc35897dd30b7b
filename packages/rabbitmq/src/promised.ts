import type { AmqpMessage, ConsumeOptions, ConsumingChannel } from './client-shape.ts'

/** For the last, optional argument of amqplib's callback API. */
export type Answer = (error: unknown, value?: unknown) => void

/** A channel of either of amqplib's APIs, asked by promises. */
export interface PromisedChannel {
  consume(queue: string, onMessage: (message: AmqpMessage | null) => void, options: ConsumeOptions): Promise<{ consumerTag: string }>
  cancel(consumerTag: string): Promise<unknown>
  get(queue: string, options: { noAck?: boolean }): Promise<AmqpMessage | false>
  recover(): Promise<unknown>
  close(): Promise<unknown>
  /** Answers the caller in the API that the channel is of: by a promise, or to `callback`, with the channel returned. */
  answer(callback: unknown, reply: Promise<unknown>): unknown
  /** What a settling method returns: the callback API's return the channel. */
  readonly chained: object | undefined
}

/**
 * The promise API ignores the callback that it is asked with, and the callback API returns no promise: which one a
 * channel is of shows in its first answer.
 */
export function promised(target: ConsumingChannel): PromisedChannel {
  let callbacks = false
  const ask = <Value>(call: (answer: Answer) => unknown): Promise<Value> =>
    new Promise((resolve, reject) => {
      const reply = call((error, value) => (error ? reject(error) : resolve(value as Value)))
      if (isPromise(reply)) resolve(reply as Promise<Value>)
      else callbacks = true
    })
  const channel = target as unknown as Record<'consume' | 'cancel' | 'get' | 'recover' | 'close', (...args: unknown[]) => unknown>
  return {
    consume: (queue, onMessage, options) => ask((answer) => channel.consume(queue, onMessage, options, answer)),
    cancel: (consumerTag) => ask((answer) => channel.cancel(consumerTag, answer)),
    get: (queue, options) => ask((answer) => channel.get(queue, options, answer)),
    recover: () => ask((answer) => channel.recover(answer)),
    close: () => ask((answer) => channel.close(answer)),
    answer(callback, reply): unknown {
      if (typeof callback !== 'function' && !callbacks) return reply
      void tell(typeof callback === 'function' ? (callback as Answer) : () => {}, reply)
      return target
    },
    get chained(): object | undefined {
      return callbacks ? target : undefined
    },
  }
}

export const isPromise = (value: unknown): value is Promise<unknown> => typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'

/** What the callback throws is nobody's to catch, as in the clients. */
export async function tell(callback: Answer, reply: Promise<unknown>): Promise<void> {
  let value: unknown
  try {
    value = await reply
  } catch (error) {
    callback(error)
    return
  }
  callback(null, value)
}
