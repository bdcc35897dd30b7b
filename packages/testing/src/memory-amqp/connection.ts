import { EventEmitter } from 'node:events'
import type { MissingInAmqp } from '../features.ts'
import { rejecting } from '../not-simulated.ts'
import type { Broker } from './broker.ts'
import { type ChannelOptions, MemoryChannel } from './channel.ts'
import { MemoryConfirmChannel } from './confirm-channel.ts'
import { IllegalOperationError } from './failure.ts'
import type { ConnectionFacts, MemoryAmqpConnection } from './shape.ts'
import { createWire, type Wire } from './wire.ts'

const FACTS: ConnectionFacts = Object.freeze({ serverProperties: { host: 'memory', product: 'Sealbus', version: '', platform: 'Node.js', information: 'a broker in memory' } })
const SECRET: MissingInAmqp = 'updateSecret'

export class MemoryConnection extends EventEmitter implements MemoryAmqpConnection {
  readonly connection: ConnectionFacts = FACTS
  readonly updateSecret: (...args: unknown[]) => Promise<never> = rejecting(SECRET, 'connection.updateSecret')
  readonly #broker: Broker
  readonly #wire: Wire = createWire()
  readonly #channels = new Set<MemoryChannel>()
  /** As a socket would, it keeps the process. */
  readonly #alive: NodeJS.Timeout = setInterval(() => {}, 2 ** 30)
  #state: 'open' | 'closing' | 'closed' = 'open'

  constructor(broker: Broker) {
    super()
    this.#broker = broker
  }

  async createChannel(_options?: object): Promise<MemoryChannel> {
    return this.#open((options) => new MemoryChannel(options))
  }

  async createConfirmChannel(_options?: object): Promise<MemoryConfirmChannel> {
    return this.#open((options) => new MemoryConfirmChannel(options))
  }

  async close(): Promise<void> {
    this.#checkOpen()
    this.#state = 'closing'
    return new Promise((resolve) => {
      this.#wire.send(() => {
        resolve()
        clearInterval(this.#alive)
        this.#state = 'closed'
        for (const channel of this.#channels) channel.connectionClosed()
        this.#broker.disconnect(this)
        this.emit('close')
      })
    })
  }

  #open<Channel extends MemoryChannel>(make: (options: ChannelOptions) => Channel): Promise<Channel> {
    this.#checkOpen()
    const channel = make({ broker: this.#broker, wire: this.#wire, connection: this.connection, user: this })
    this.#channels.add(channel)
    channel.once('close', () => this.#channels.delete(channel))
    return new Promise((resolve) => this.#wire.send(() => resolve(channel)))
  }

  #checkOpen(): void {
    if (this.#state !== 'open') throw new IllegalOperationError(`Connection ${this.#state}`)
  }
}
