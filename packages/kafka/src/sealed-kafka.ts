import { type Opener, SealbusError, type Sealer } from '@sealbus/core'
import { checkNames } from '@sealbus/core/adapter'
import type { ConsumerLike, KafkaLike, ProducerLike } from './client-shape.ts'
import { CONSUMER_OPTIONS, checkConsuming, openConsumer, type OpenConsumerOptions } from './consumer.ts'
import { wrap } from './delegation.ts'
import { PRODUCER_OPTIONS, sealProducer, type SealProducerOptions } from './producer.ts'

/** A sealer, an opener, or both; the other options are those of `sealProducer` and `openConsumer`. */
export interface SealKafkaOptions extends Omit<SealProducerOptions, 'sealer'>, Omit<OpenConsumerOptions, 'opener' | 'groupId'> {
  /** Without one, `producer()` throws ERR_SEALBUS_INVALID_OPTION. */
  readonly sealer?: Sealer
  /** Without one, `consumer()` throws ERR_SEALBUS_INVALID_OPTION. */
  readonly opener?: Opener
}

/**
 * Wraps a Kafka client: every producer that it makes seals, and every consumer opens; see `sealProducer` and
 * `openConsumer`. What it makes is the caller's to connect and disconnect, as before.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED, ERR_SEALBUS_INVALID_OPTION
 */
export function sealKafka<Kafka extends KafkaLike>(kafka: Kafka, options: SealKafkaOptions): Kafka {
  checkNames('sealKafka', { ...PRODUCER_OPTIONS, ...CONSUMER_OPTIONS } satisfies Record<keyof SealKafkaOptions, unknown>, options)
  const { sealer, opener, keyWaitMs, maxMessageBytes, ...consuming } = options
  if (!sealer && !opener) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'a `sealer`, an `opener`, or both are needed')
  if (opener) checkConsuming({ opener, ...consuming })
  return wrap(kafka, {
    producer(...config: never[]): ProducerLike {
      if (!sealer) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'a producer needs a `sealer`: none was given, so nothing would be sealed')
      return sealProducer(kafka.producer(...config), { sealer, ...(keyWaitMs !== undefined && { keyWaitMs }), ...(maxMessageBytes !== undefined && { maxMessageBytes }) })
    },
    consumer(config: { readonly groupId?: string; readonly kafkaJS?: { readonly groupId?: string }; readonly 'group.id'?: string }): ConsumerLike {
      if (!opener) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'a consumer needs an `opener`: none was given')
      // Confluent's client has the configuration one level down, or librdkafka's beside it.
      const groupId = config?.groupId ?? config?.kafkaJS?.groupId ?? config?.['group.id'] ?? ''
      return openConsumer(kafka.consumer(config as never), { opener, groupId, ...consuming })
    },
  })
}
