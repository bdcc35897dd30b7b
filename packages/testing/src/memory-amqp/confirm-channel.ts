import { MemoryChannel, type ChannelOptions } from './channel.ts'
import type { Confirmed, MemoryAmqpConfirmChannel, PublishOptions } from './shape.ts'

/** A channel whose broker says of each message that it has it. */
export class MemoryConfirmChannel extends MemoryChannel implements MemoryAmqpConfirmChannel {
  /** By delivery tag. */
  readonly #unconfirmed = new Map<number, (error: Error | null) => void>()
  #lastTag = 0
  #lost = false

  constructor(options: ChannelOptions) {
    super(options)
    this.on('close', () => {
      this.#lost = this.#unconfirmed.size > 0
      const waiting = [...this.#unconfirmed.values()]
      this.#unconfirmed.clear()
      for (const confirmed of waiting) confirmed(new Error('channel closed'))
    })
  }

  override publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions | null, callback?: Confirmed): boolean {
    const confirmed = callback as ((error: unknown) => void) | undefined
    const deliveryTag = this.#lastTag + 1
    this.send(exchange, routingKey, content, options ?? {}, () => {
      const waiting = this.#unconfirmed.get(deliveryTag)
      this.#unconfirmed.delete(deliveryTag)
      this.emit('ack', { deliveryTag, multiple: false })
      waiting?.(null)
    })
    this.#lastTag = deliveryTag
    this.#unconfirmed.set(deliveryTag, (error) => confirmed?.(error))
    return true
  }

  override sendToQueue(queue: string, content: Buffer, options?: PublishOptions | null, confirmed?: Confirmed): boolean {
    return this.publish('', queue, content, options, confirmed)
  }

  async waitForConfirms(): Promise<void> {
    if (this.#lost) throw new Error('channel closed')
    const waiting = [...this.#unconfirmed].map(([tag, before]) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      this.#unconfirmed.set(tag, (error) => {
        before(error)
        if (error) reject(error)
        else resolve()
      })
      return promise
    })
    await Promise.all(waiting)
  }
}
