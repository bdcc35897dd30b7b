/** NestJS's RabbitMQ transport, sealed: both sides make their connection in `createClient()`, and everything else comes out of it. */
import { ClientRMQ, type RmqOptions, ServerRMQ } from '@nestjs/microservices'
import { sealAmqp, type SealAmqpOptions } from '@sealbus/rabbitmq'
import type { AmqpConnectionManager } from 'amqp-connection-manager'

type Options = NonNullable<RmqOptions['options']>

export class SealedServerRMQ extends ServerRMQ {
  readonly #sealing: SealAmqpOptions

  constructor(options: Options, sealing: SealAmqpOptions) {
    super(options)
    this.#sealing = sealing
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- NestJS has it so
  override createClient<Client>(): Client {
    return sealAmqp(super.createClient<Client & AmqpConnectionManager>(), this.#sealing)
  }
}

export class SealedClientRMQ extends ClientRMQ {
  readonly #sealing: SealAmqpOptions

  constructor(options: Options, sealing: SealAmqpOptions) {
    super(options)
    this.#sealing = sealing
  }

  override createClient(): AmqpConnectionManager {
    return sealAmqp(super.createClient() as AmqpConnectionManager, this.#sealing)
  }
}
