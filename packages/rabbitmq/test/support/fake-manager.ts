import { EventEmitter } from 'node:events'
import type { PublishOptions } from '../../src/client-shape.ts'
import { FakeConfirmChannel } from './fake-channel.ts'

type Setup = ((channel: FakeConfirmChannel) => unknown) | ((channel: FakeConfirmChannel, done: (error?: Error) => void) => void)

interface Queued {
  readonly exchange: string
  readonly routingKey: string
  readonly content: Buffer
  readonly options: PublishOptions | undefined
  resolve(value: boolean): void
  reject(error: unknown): void
}

/** amqp-connection-manager's habits: it goes on by itself, and so do its channels. The test connects it. */
export class FakeManager extends EventEmitter {
  readonly connections: FakeBrokerConnection[] = []
  readonly channels: FakeManagedChannel[] = []
  connection: FakeBrokerConnection | undefined
  closed = false

  createChannel(options: { json?: boolean; setup?: Setup } = {}): FakeManagedChannel {
    const channel = new FakeManagedChannel(this, options)
    this.channels.push(channel)
    return channel
  }

  isConnected(): boolean {
    return this.connection !== undefined
  }

  reconnect(): void {}

  /** A connection, announced as the manager does it. */
  async arrive(): Promise<FakeBrokerConnection> {
    this.connection = new FakeBrokerConnection()
    this.connections.push(this.connection)
    this.emit('connect', { connection: this.connection, url: 'amqp://localhost' })
    await new Promise((resolve) => setImmediate(resolve))
    return this.connection
  }

  async close(): Promise<void> {
    this.closed = true
  }
}

export class FakeBrokerConnection extends EventEmitter {
  readonly made: FakeConfirmChannel[] = []

  async createConfirmChannel(): Promise<FakeConfirmChannel> {
    const channel = new FakeConfirmChannel()
    this.made.push(channel)
    return channel
  }

  async createChannel(): Promise<FakeConfirmChannel> {
    return await this.createConfirmChannel()
  }

  async close(): Promise<void> {}
}

export class FakeManagedChannel extends EventEmitter {
  /** What waits for a connection, as the manager keeps it. */
  readonly queued: Queued[] = []
  readonly json: boolean
  /** What was sent and not answered; it is sent again on the next connection. */
  readonly #unconfirmed = new Set<Queued>()
  readonly #setups: Setup[] = []
  #channel: FakeConfirmChannel | undefined

  constructor(manager: FakeManager, { json = false, setup }: { json?: boolean; setup?: Setup }) {
    super()
    this.json = json
    if (setup) this.#setups.push(setup)
    const connected = ({ connection }: { connection: FakeBrokerConnection }): void => void this.#connected(connection)
    if (manager.connection) connected({ connection: manager.connection })
    manager.on('connect', connected)
  }

  async #connected(connection: FakeBrokerConnection): Promise<void> {
    const channel = await connection.createConfirmChannel()
    for (const setup of this.#setups) {
      if (setup.length > 1) await new Promise<void>((resolve, reject) => setup(channel, (error) => (error ? reject(error) : resolve())))
      else await (setup as (channel: FakeConfirmChannel) => unknown)(channel)
    }
    this.#channel = channel
    for (const each of [...this.#unconfirmed, ...this.queued.splice(0)]) this.#send(each)
  }

  #send(message: Queued): void {
    this.#unconfirmed.add(message)
    this.#channel?.publish(message.exchange, message.routingKey, message.content, message.options, (error) => {
      this.#unconfirmed.delete(message)
      if (error) message.reject(error)
      else message.resolve(true)
    })
  }

  publish(exchange: string, routingKey: string, content: unknown, options?: PublishOptions & { timeout?: number }): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const { timeout, ...own } = options ?? {}
      const message = { exchange, routingKey, content: this.json ? Buffer.from(JSON.stringify(content)) : (content as Buffer), options: options && own, resolve, reject }
      if (timeout) {
        setTimeout(() => {
          const index = this.queued.indexOf(message)
          if (index !== -1) this.queued.splice(index, 1)
          reject(new Error('timeout'))
        }, timeout).unref()
      }
      if (this.#channel) this.#send(message)
      else this.queued.push(message)
    })
  }

  sendToQueue(queue: string, content: unknown, options?: PublishOptions): Promise<boolean> {
    return this.publish('', queue, content, options)
  }

  async addSetup(setup: Setup): Promise<void> {
    await Promise.resolve()
    this.#setups.push(setup)
    if (this.#channel) await (setup as (channel: FakeConfirmChannel) => unknown)(this.#channel)
  }

  async close(): Promise<void> {
    this.emit('close')
  }
}
