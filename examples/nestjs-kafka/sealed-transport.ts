import { ClientKafka, type IncomingResponse, KafkaHeaders, type KafkaOptions, type OutgoingResponse, ServerKafka } from '@nestjs/microservices'
import { sealKafka, type SealKafkaOptions } from '@sealbus/kafka'
import type { Kafka, Message, RecordMetadata } from 'kafkajs'

type TransportOptions = NonNullable<KafkaOptions['options']>

/** In the header where Nest writes errors, which everyone can read: the error itself is the sealed value. */
const SEALED = 'sealed'

/** Nest's Kafka server over a sealed client: `createMicroservice(AppModule, { strategy: new SealedServerKafka(…) })`. */
export class SealedServerKafka extends ServerKafka {
  readonly #sealing: SealKafkaOptions

  constructor(options: TransportOptions, sealing: SealKafkaOptions) {
    super(options)
    this.#sealing = sealing
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- NestJS has it so
  override createClient<Client>(): Client {
    return sealKafka(super.createClient<Client & Kafka>(), this.#sealing)
  }

  override assignErrorHeader({ err }: OutgoingResponse, message: Message): void {
    if (!err) return
    message.value = JSON.stringify(err)
    message.headers = { ...message.headers, [KafkaHeaders.NEST_ERR]: SEALED }
  }

  /** Nest lets a reply that cannot be sent end the process; the reply's topic is the sender's to choose. */
  override async sendMessage(...args: Parameters<ServerKafka['sendMessage']>): Promise<RecordMetadata[]> {
    try {
      return await super.sendMessage(...args)
    } catch (error) {
      this.logger.error(error)
      return []
    }
  }
}

/** Nest's Kafka client over a sealed client; make it in a `useFactory`. */
export class SealedClientKafka extends ClientKafka {
  readonly #sealing: SealKafkaOptions

  constructor(options: TransportOptions, sealing: SealKafkaOptions) {
    super(options)
    this.#sealing = sealing
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- NestJS has it so
  override createClient<Client>(): Client {
    return sealKafka(super.createClient<Client & Kafka>(), this.#sealing)
  }

  protected override initializeDeserializer(options: TransportOptions): void {
    super.initializeDeserializer(options)
    const { deserializer } = this
    this.deserializer = {
      async deserialize(message: { value: unknown }, context): Promise<IncomingResponse> {
        const response = await deserializer.deserialize(message, context)
        return response.err === SEALED ? { ...response, err: message.value } : response
      },
    }
  }
}
