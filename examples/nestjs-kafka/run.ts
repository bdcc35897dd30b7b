/** Two services over a Kafka at KAFKA_BROKERS: `shop` asks `billing` and tells it of an order; the broker sees neither. */
import { strict as assert } from 'node:assert'
import { generateKeyPairSync } from 'node:crypto'
import { createOpener, createSealer, createStaticDirectory, loadIdentities } from '@sealbus/core'
import type { SealKafkaOptions } from '@sealbus/kafka'
import { Kafka } from 'kafkajs'
import { firstValueFrom } from 'rxjs'
import { startBilling } from './billing.ts'
import { ordersOf } from './channels.ts'
import { SealedClientKafka } from './sealed-transport.ts'

const brokers = (process.env['KAFKA_BROKERS'] ?? 'localhost:9092').split(',')
const topics = ordersOf(`orders-${process.pid}`)
const { channels } = topics

const keys = { billing: generateKeyPairSync('ec', { namedCurve: 'P-256' }), shop: generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
const directory = createStaticDirectory({ billing: keys.billing.publicKey.export({ format: 'jwk' }), shop: keys.shop.publicKey.export({ format: 'jwk' }) })
const sealingOf = async (name: 'billing' | 'shop'): Promise<SealKafkaOptions> => ({
  sealer: createSealer({ directory, channels }),
  opener: createOpener({ name, identities: await loadIdentities({ keys: [keys[name].privateKey.export({ format: 'jwk' })] }), channels }),
  onStopped: ({ topic, offset, error }) => console.error(`${name} stopped at ${topic}/${offset}: ${error.code}`),
})

const admin = new Kafka({ brokers }).admin()
await admin.connect()
await admin.createTopics({ topics: channels.names.map((topic) => ({ topic, numPartitions: 1 })), waitForLeaders: true })
await admin.disconnect()

const { promise: placed, resolve: onPlaced } = Promise.withResolvers<unknown>()
const billing = await startBilling({ brokers, topics, sealing: await sealingOf('billing'), onPlaced })
const shop = new SealedClientKafka({ client: { brokers }, consumer: { groupId: `shop.${topics.total}`, maxWaitTimeInMs: 100 } }, await sealingOf('shop'))
shop.subscribeToResponseOf(topics.total)
try {
  await shop.connect()
  const reply = await firstValueFrom(shop.send<{ total: number }>(topics.total, { customer: 'Ada', prices: [4, 5] }))
  console.log('shop was answered:', reply)
  assert.deepEqual(reply, { total: 9 })
  await assert.rejects(firstValueFrom(shop.send(topics.total, { customer: 'Bob', prices: [] })), (error: { message?: string }) => error.message === 'Bob has ordered nothing')
  console.log('shop was told of an error, which was sealed too')
  await firstValueFrom(shop.emit(topics.placed, { key: 'Ada', value: { customer: 'Ada', prices: [4, 5] } }))
  console.log('billing was told:', await placed)
} finally {
  await shop.close()
  await billing.close()
}
