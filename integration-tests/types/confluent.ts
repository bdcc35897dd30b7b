/**
 * Nothing here runs: that it compiles is the assertion. `npm run types` compiles it against the declaration beside it,
 * and `npm run check:confluent` against what the package itself declares.
 */
import { KafkaJS } from '@confluentinc/kafka-javascript'
import { opened, type Opener, type Sealer } from '@sealbus/core'
import { consumerHealth, openConsumer, sealKafka, sealProducer } from '@sealbus/kafka'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <_Holds extends true>(): void => {}

export async function keepsTheTypes(sealer: Sealer, opener: Opener): Promise<void> {
  const client = new KafkaJS.Kafka({ kafkaJS: { brokers: ['localhost:9092'] } })
  const kafka = sealKafka(client, { sealer, opener, park: { topic: 'parked', producer: client.producer() } })
  same<Equal<typeof kafka, KafkaJS.Kafka>>()

  const producer = kafka.producer({ kafkaJS: { transactionalId: 'tx' } })
  same<Equal<typeof producer, KafkaJS.Producer>>()
  const sealed = sealProducer(client.producer(), { sealer })
  same<Equal<typeof sealed, KafkaJS.Producer>>()
  const metadata = await producer.send({ topic: 'orders', messages: [{ key: 'k', value: Buffer.from('x'), headers: { a: ['b'] } }] })
  same<Equal<typeof metadata, KafkaJS.RecordMetadata[]>>()
  await producer.flush({ timeout: 1_000 })

  const consumer = kafka.consumer({ kafkaJS: { groupId: 'billing', fromBeginning: true } })
  same<Equal<typeof consumer, KafkaJS.Consumer>>()
  same<Equal<ReturnType<typeof openConsumer<KafkaJS.Consumer>>, KafkaJS.Consumer>>()
  await consumer.run({ eachMessage: async ({ message }) => {
    same<Equal<typeof message, KafkaJS.KafkaMessage>>()
    opened(message)?.envelope satisfies Buffer | undefined
  } })
  await consumer.run({ eachBatch: async ({ batch }) => {
    same<Equal<typeof batch, KafkaJS.Batch>>()
  } })
  consumerHealth(consumer).healthy satisfies boolean
  const transaction = await producer.transaction()
  await transaction.sendOffsets({ consumer, topics: [] })
  // @ts-expect-error what the client does not have, the wrapped one does not have either
  void producer.on
}
