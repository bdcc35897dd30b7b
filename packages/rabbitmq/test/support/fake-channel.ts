import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AmqpMessage, ConsumeOptions, PublishOptions } from '../../src/client-shape.ts'

export interface Published {
  readonly exchange: string
  readonly routingKey: string
  readonly content: Buffer
  readonly options: PublishOptions | undefined
}

type Handler = (message: AmqpMessage | null) => unknown
type Confirmed = (error: unknown) => void

/** A channel with the shape and the habits of amqplib's; the test is its broker. */
export class FakeChannel extends EventEmitter {
  readonly published: Published[] = []
  /** Settlements as they went out: `ack 1`, `ack 3 multiple`, `nack 2 requeue`. */
  readonly settled: string[] = []
  readonly consumers = new Map<string, { queue: string; handler: Handler; options: ConsumeOptions | undefined }>()
  readonly fetchable: AmqpMessage[] = []
  cancelled: string[] = []
  closed = false
  full = false
  #lastTag = 0

  publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions): boolean {
    if (this.closed) throw new Error('Channel closed')
    this.published.push({ exchange, routingKey, content, options })
    return !this.full
  }

  sendToQueue(queue: string, content: Buffer, options?: PublishOptions): boolean {
    return this.publish('', queue, content, options)
  }

  async consume(queue: string, handler: Handler, options?: ConsumeOptions): Promise<{ consumerTag: string }> {
    const consumerTag = options?.consumerTag ?? `consumer-${this.consumers.size + this.cancelled.length}`
    this.consumers.set(consumerTag, { queue, handler, options })
    return { consumerTag }
  }

  async cancel(consumerTag: string): Promise<{ consumerTag: string }> {
    this.cancelled.push(consumerTag)
    this.consumers.delete(consumerTag)
    return { consumerTag }
  }

  async get(_queue: string, _options?: { noAck?: boolean }): Promise<AmqpMessage | false> {
    return this.fetchable.shift() ?? false
  }

  ack({ fields }: AmqpMessage, allUpTo?: boolean): void {
    this.#settle(`ack ${fields.deliveryTag}${allUpTo ? ' multiple' : ''}`)
  }

  ackAll(): void {
    this.#settle('ack all')
  }

  nack({ fields }: AmqpMessage, allUpTo?: boolean, requeue = true): void {
    this.#settle(`nack ${fields.deliveryTag}${allUpTo ? ' multiple' : ''}${requeue ? ' requeue' : ''}`)
  }

  nackAll(_requeue?: boolean): void {
    this.#settle('nack all')
  }

  reject({ fields }: AmqpMessage, requeue = true): void {
    this.#settle(`reject ${fields.deliveryTag}${requeue ? ' requeue' : ''}`)
  }

  #settle(what: string): void {
    if (this.closed) throw new Error('Channel closed')
    this.settled.push(what)
  }

  async recover(): Promise<object> {
    return {}
  }

  async close(): Promise<void> {
    this.closed = true
    await sleep(30)
    this.emit('close')
  }

  /** A message as amqplib makes it from what was published. */
  message({ exchange, routingKey, content, options = {} }: Published, consumerTag?: string): AmqpMessage {
    const { contentType, contentEncoding, headers = {}, ...rest } = options
    const fields = { deliveryTag: ++this.#lastTag, redelivered: false, exchange, routingKey, ...(consumerTag !== undefined && { consumerTag }) }
    return { content, fields, properties: { ...rest, contentType, contentEncoding, headers } }
  }

  /** Delivers to the first consumer of the queue, in this very call, as amqplib does; the delivery tag. */
  deliver(queue: string, published: Published): number {
    for (const [tag, consumer] of this.consumers) {
      if (consumer.queue !== queue) continue
      consumer.handler(this.message(published, tag))
      return this.#lastTag
    }
    throw new Error(`no consumer on ${queue}`)
  }

  cancelByBroker(consumerTag: string): void {
    const consumer = this.consumers.get(consumerTag)
    this.consumers.delete(consumerTag)
    consumer?.handler(null)
  }
}

export class FakeConfirmChannel extends FakeChannel {
  /** What the broker says to each publish; `return` and then a confirm for a copy that no queue takes. */
  answer: 'confirm' | 'nack' | 'return' | 'nothing' = 'confirm'
  readonly confirmed: Confirmed[] = []

  override publish(exchange: string, routingKey: string, content: Buffer, options?: PublishOptions, confirmed?: Confirmed): boolean {
    const { answer } = this
    const result = super.publish(exchange, routingKey, content, options)
    if (confirmed) this.confirmed.push(confirmed)
    setImmediate(() => {
      if (answer === 'return') this.emit('return', this.message({ exchange, routingKey, content, options }))
      if (answer !== 'nothing') confirmed?.(answer === 'nack' ? new Error('message nacked') : null)
    })
    return result
  }

  override sendToQueue(queue: string, content: Buffer, options?: PublishOptions, confirmed?: Confirmed): boolean {
    return this.publish('', queue, content, options, confirmed)
  }

  async waitForConfirms(): Promise<void> {}
}
