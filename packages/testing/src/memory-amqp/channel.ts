import { EventEmitter } from 'node:events'
import type { MissingInAmqp } from '../features.ts'
import { rejecting } from '../not-simulated.ts'
import { checkBindingArguments, checkConsumeOptions, checkExchangeOptions, checkPublishOptions, checkQueueOptions } from './arguments.ts'
import type { Broker } from './broker.ts'
import { ChannelFailure, clientError, IllegalOperationError } from './failure.ts'
import { copyProperties, toProperties } from './properties.ts'
import type { Queue, QueuedMessage } from './queue.ts'
import { createRequests, type Requests } from './requests.ts'
import { createServerChannel, type ServerChannel } from './server-channel.ts'
import type { AmqpMessage, AssertExchangeOptions, AssertQueueOptions, ConnectionFacts, ConsumedAmqpMessage, ConsumeOptions, FetchedAmqpMessage, MemoryAmqpChannel, PublishOptions, QueueState } from './shape.ts'
import type { Wire } from './wire.ts'

type Handler = (message: ConsumedAmqpMessage | null) => unknown
type Table = Readonly<Record<string, unknown>>
type Tagged = { fields: { deliveryTag: number } }

const BINDINGS: MissingInAmqp = 'exchangeBindings'
/** AMQP's INTERNAL_ERROR: what amqplib closes a channel with whose handler throws. */
const INTERNAL_ERROR = 541

export interface ChannelOptions {
  readonly broker: Broker
  readonly wire: Wire
  readonly connection: ConnectionFacts
  /** The connection, as the broker knows it. */
  readonly user: object
}

/** The client's side of a channel, with the habits of amqplib's. */
export class MemoryChannel extends EventEmitter implements MemoryAmqpChannel {
  readonly connection: ConnectionFacts
  readonly #broker: Broker
  readonly #user: object
  readonly #wire: Wire
  readonly #server: ServerChannel
  readonly #requests: Requests
  readonly #handlers = new Map<string, Handler>()
  #state: 'open' | 'closing' | 'closed' = 'open'

  constructor({ broker, wire, connection, user }: ChannelOptions) {
    super()
    this.connection = connection
    this.#broker = broker
    this.#user = user
    this.#wire = wire
    this.#requests = createRequests(wire, (failure) => this.#closedByBroker(failure))
    this.#server = createServerChannel(broker, user, {
      delivered: (consumerTag, deliveryTag, message) => this.#accept('delivery', toMessage(message, { consumerTag, deliveryTag, redelivered: message.redelivered })),
      returned: (message) => this.#accept('return', toMessage(message, { replyCode: 312, replyText: 'NO_ROUTE' })),
      cancelled: (consumerTag) => this.#accept('cancel', { consumerTag }),
    })
    this.on('delivery', (message: ConsumedAmqpMessage) => this.#handle(message.fields.consumerTag, message))
    this.on('cancel', ({ consumerTag }: { consumerTag: string }) => {
      this.#handle(consumerTag, null)
      this.#handlers.delete(consumerTag)
    })
  }

  async assertQueue(queue: string = '', options: AssertQueueOptions | null = {}): Promise<QueueState> {
    checkQueueOptions(options ?? {})
    return this.#ask('QueueDeclare', () => stateOf(this.#broker.declareQueue(queue, options ?? {}, this.#user)))
  }

  async checkQueue(queue: string): Promise<QueueState> {
    return this.#ask('QueueDeclare', () => stateOf(this.#broker.queue(queue, this.#user)))
  }

  async deleteQueue(queue: string, options: { ifUnused?: boolean; ifEmpty?: boolean } = {}): Promise<{ messageCount: number }> {
    return this.#ask('QueueDelete', () => ({ messageCount: this.#broker.deleteQueue(queue, options, this.#user) }))
  }

  async purgeQueue(queue: string): Promise<{ messageCount: number }> {
    return this.#ask('QueuePurge', () => ({ messageCount: this.#broker.queue(queue, this.#user).purge() }))
  }

  async bindQueue(queue: string, source: string, pattern: string, args?: Table): Promise<object> {
    checkBindingArguments(args)
    return this.#ask('QueueBind', () => done(this.#broker.bind(queue, source, pattern, this.#user)))
  }

  async unbindQueue(queue: string, source: string, pattern: string, args?: Table): Promise<object> {
    checkBindingArguments(args)
    return this.#ask('QueueUnbind', () => done(this.#broker.unbind(queue, source, pattern)))
  }

  async assertExchange(exchange: string, type: string, options: AssertExchangeOptions = {}): Promise<{ exchange: string }> {
    checkExchangeOptions(type, options)
    return this.#ask('ExchangeDeclare', () => {
      this.#broker.declareExchange(exchange, type, options)
      return { exchange }
    })
  }

  async checkExchange(exchange: string): Promise<object> {
    return this.#ask('ExchangeDeclare', () => done(void this.#broker.exchange(exchange)))
  }

  async deleteExchange(exchange: string, { ifUnused = false }: { ifUnused?: boolean } = {}): Promise<object> {
    return this.#ask('ExchangeDelete', () => done(this.#broker.deleteExchange(exchange, ifUnused)))
  }

  readonly bindExchange: (...args: unknown[]) => Promise<never> = rejecting(BINDINGS, 'channel.bindExchange')
  readonly unbindExchange: (...args: unknown[]) => Promise<never> = rejecting(BINDINGS, 'channel.unbindExchange')

  publish(exchange: string, routingKey: string, content: Buffer, options: PublishOptions | null = {}): boolean {
    this.send(exchange, routingKey, content, options ?? {})
    return true
  }

  sendToQueue(queue: string, content: Buffer, options?: PublishOptions): boolean {
    return this.publish('', queue, content, options)
  }

  async consume(queue: string, onMessage: Handler, options: ConsumeOptions | null = {}): Promise<{ consumerTag: string }> {
    const { consumerTag: tag = '', noAck = false, exclusive = false, ...rest } = options ?? {}
    checkConsumeOptions(rest)
    return this.#ask('BasicConsume', () => {
      let consumerTag = tag
      this.#server.consume(queue, { tag, noAck, exclusive }, (given) => {
        consumerTag = given
        this.#handlers.set(given, onMessage)
      })
      return { consumerTag }
    })
  }

  async cancel(consumerTag: string): Promise<{ consumerTag: string }> {
    return this.#ask('BasicCancel', () => {
      this.#server.cancel(consumerTag)
      this.#handlers.delete(consumerTag)
      return { consumerTag }
    })
  }

  async get(queue: string, { noAck = false }: { noAck?: boolean } = {}): Promise<FetchedAmqpMessage | false> {
    return this.#ask('BasicGet', () => {
      const got = this.#server.get(queue, noAck)
      return got ? toMessage(got.message, { deliveryTag: got.deliveryTag, redelivered: got.message.redelivered, messageCount: got.messageCount }) : false
    })
  }

  ack({ fields }: Tagged, allUpTo = false): void {
    this.#settle(fields.deliveryTag, allUpTo, 'done')
  }

  ackAll(): void {
    this.#settle(0, true, 'done')
  }

  nack({ fields }: Tagged, allUpTo = false, requeue = true): void {
    this.#settle(fields.deliveryTag, allUpTo, requeue ? 'requeue' : 'done')
  }

  nackAll(requeue = true): void {
    this.#settle(0, true, requeue ? 'requeue' : 'done')
  }

  reject({ fields }: Tagged, requeue = true): void {
    this.#settle(fields.deliveryTag, false, requeue ? 'requeue' : 'done')
  }

  async prefetch(count: number, global = false): Promise<object> {
    return this.#ask('BasicQos', () => done(this.#server.prefetch(count, global)))
  }

  async recover(): Promise<object> {
    return this.#ask('BasicRecover', () => done(this.#server.recover()))
  }

  async close(): Promise<void> {
    return new Promise((resolve) => this.#close(resolve))
  }

  /** amqplib's answer to a handler that throws; not for applications. */
  closeWithError(_method: undefined, _reason: string, code: number, error: Error): void {
    this.#close(() => this.#emit('error', Object.assign(error, { code })))
  }

  /** The connection is closed: nothing is answered any more. */
  connectionClosed(): void {
    if (this.#state === 'closed') return
    this.#server.close()
    this.#toClosed()
  }

  /** What was published is read by the broker in its turn, and `taken` is called then. */
  protected send(exchange: string, routingKey: string, content: Buffer, options: PublishOptions, taken: () => void = () => {}): void {
    this.#checkOpen()
    checkPublishOptions(options)
    if (!Buffer.isBuffer(content)) throw new TypeError('content is not a buffer')
    const message: QueuedMessage = { exchange: toName('exchange', exchange), routingKey: toName('routingKey', routingKey), content: Buffer.from(content), properties: toProperties(options), redelivered: false }
    this.#tell(() => {
      this.#server.publish(message, options.mandatory ?? false)
      taken()
    })
  }

  #settle(deliveryTag: number, upTo: boolean, end: 'done' | 'requeue'): void {
    this.#checkOpen()
    this.#tell(() => this.#server.settle(deliveryTag, upTo, end))
  }

  /** For what the broker does not answer, unless it fails. */
  #tell(operation: () => void): void {
    this.#wire.send(() => {
      if (this.#state === 'closed') return
      try {
        operation()
      } catch (error) {
        if (!(error instanceof ChannelFailure)) throw error
        this.#requests.fail(error)
        this.#closedByBroker(error)
      }
    })
  }

  #ask<Answer>(method: string, operation: () => Answer): Promise<Answer> {
    this.#checkOpen()
    return this.#requests.ask(method, operation)
  }

  #close(closed: () => void): void {
    this.#checkOpen()
    this.#state = 'closing'
    this.#wire.send(() => {
      // Meanwhile the broker, or the connection, may have closed it.
      if (this.#state === 'closed') return closed()
      this.#server.close()
      try {
        closed()
      } finally {
        this.#toClosed()
      }
    })
  }

  #closedByBroker(failure: ChannelFailure): void {
    if (this.#state === 'closed') return
    const wasOpen = this.#state === 'open'
    this.#server.close()
    try {
      if (wasOpen) this.#emit('error', clientError(failure))
    } finally {
      this.#toClosed()
    }
  }

  #toClosed(): void {
    this.#state = 'closed'
    this.#requests.end()
    this.#emit('close')
  }

  #checkOpen(): void {
    if (this.#state !== 'open') throw new IllegalOperationError(`Channel ${this.#state}`)
  }

  /** What the broker sends. A channel that is closing takes nothing any more. */
  #accept(event: 'delivery' | 'return' | 'cancel', sent: unknown): void {
    if (this.#state !== 'open') return
    try {
      this.#emit(event, sent)
    } catch (error) {
      if (event === 'cancel') {
        // Uncaught, as in amqplib; whoever deleted the queue has no part in it.
        setImmediate(() => {
          throw error
        })
        return
      }
      this.closeWithError(undefined, 'Error while processing message', INTERNAL_ERROR, error instanceof Error ? error : new Error(String(error)))
    }
  }

  #handle(consumerTag: string, message: ConsumedAmqpMessage | null): void {
    const handler = this.#handlers.get(consumerTag)
    if (!handler) throw new Error(`Unknown consumer: ${consumerTag}`)
    handler(message)
  }

  /** A listener that throws is told of where somebody listens for that. */
  #emit(event: string, ...args: unknown[]): void {
    try {
      this.emit(event, ...args)
    } catch (error) {
      if (this.listenerCount('handler-error') === 0) throw error
      setImmediate(() => this.emit('handler-error', error, event))
    }
  }
}

function toMessage<Fields extends object>({ exchange, routingKey, properties, content }: QueuedMessage, fields: Fields): Omit<AmqpMessage, 'fields'> & { fields: Fields & { exchange: string; routingKey: string } } {
  return { fields: { ...fields, exchange, routingKey }, properties: copyProperties(properties), content: Buffer.from(content) }
}

const stateOf = (queue: Queue): QueueState => ({ queue: queue.name, messageCount: queue.ready().length, consumerCount: queue.consumers.length })

/** As amqplib's encoder has it: what is left out is empty. */
function toName(field: string, name: unknown = ''): string {
  if (typeof name !== 'string' || Buffer.byteLength(name) > 255) throw new TypeError(`Field '${field}' is the wrong type; must be a string (up to 255 chars)`)
  return name
}

/** Most answers are empty. */
const done = (_: void): object => ({})
