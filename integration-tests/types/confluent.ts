/**
 * Nothing here runs: that it compiles is the assertion. `npm run types` compiles it against the declaration beside it,
 * and `npm run check:confluent` against what the package itself declares.
 */
import { KafkaJS } from '@confluentinc/kafka-javascript'
import { opened, type Opener, type Sealer } from '@sealbus/core'
import { consumerHealth, openConsumer, sealKafka, sealProducer } from '@sealbus/kafka'
import { expectTypeOf } from 'vitest'

export async function keepsTheTypes(sealer: Sealer, opener: Opener): Promise<void> {
  const client = new KafkaJS.Kafka({ kafkaJS: { brokers: ['localhost:9092'] } })
  const kafka = sealKafka(client, { sealer, opener, park: { topic: 'parked', producer: client.producer() } })
  expectTypeOf(kafka).toEqualTypeOf<KafkaJS.Kafka>()

  const producer = kafka.producer({ kafkaJS: { transactionalId: 'tx' } })
  expectTypeOf(producer).toEqualTypeOf<KafkaJS.Producer>()
  const sealed = sealProducer(client.producer(), { sealer })
  expectTypeOf(sealed).toEqualTypeOf<KafkaJS.Producer>()
  const metadata = await producer.send({ topic: 'orders', messages: [{ key: 'k', value: Buffer.from('x'), headers: { a: ['b'] } }] })
  expectTypeOf(metadata).toEqualTypeOf<KafkaJS.RecordMetadata[]>()
  await producer.flush({ timeout: 1_000 })

  const consumer = kafka.consumer({ kafkaJS: { groupId: 'billing', fromBeginning: true } })
  expectTypeOf(consumer).toEqualTypeOf<KafkaJS.Consumer>()
  expectTypeOf(openConsumer(client.consumer({}), { opener, groupId: 'billing', onStopped: () => {} })).toEqualTypeOf<KafkaJS.Consumer>()
  await consumer.run({ eachMessage: async ({ message }) => {
    expectTypeOf(message).toEqualTypeOf<KafkaJS.KafkaMessage>()
    expectTypeOf(opened(message)?.envelope).toEqualTypeOf<Buffer | undefined>()
  } })
  await consumer.run({ eachBatch: async ({ batch }) => {
    expectTypeOf(batch).toEqualTypeOf<KafkaJS.Batch>()
  } })
  expectTypeOf(consumerHealth(consumer).healthy).toEqualTypeOf<boolean>()
  const transaction = await producer.transaction()
  await transaction.sendOffsets({ consumer, topics: [] })
  // @ts-expect-error what the client does not have, the wrapped one does not have either
  void producer.on
}
