/** Two services over a RabbitMQ at AMQP_URL: `shop` asks `billing` and tells it of an order; the broker sees neither. */
import { strict as assert } from 'node:assert'
import { generateKeyPairSync } from 'node:crypto'
import { AmqpConnection } from '@golevelup/nestjs-rabbitmq'
import { ConsoleLogger } from '@nestjs/common'
import { createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities } from '@sealbus/core'
import type { SealAmqpOptions } from '@sealbus/rabbitmq'
import { startBilling } from './billing.ts'
import { sealConnections } from './sealed-connections.ts'

const { AMQP_URL: url = 'amqp://localhost' } = process.env
const exchange = `shop.${process.pid}`

const channels = defineChannels({
  billing: { to: ['billing'], match: [exchange, `${exchange}.totals`, `${exchange}.placed`] },
  // The replies come by the broker's pseudo-queue, under names that it makes.
  replies: { to: ['shop', 'billing'], match: [/^amq\.rabbitmq\.reply-to/] },
})
const keys = { billing: generateKeyPairSync('ec', { namedCurve: 'P-256' }), shop: generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
const directory = createStaticDirectory({ billing: keys.billing.publicKey.export({ format: 'jwk' }), shop: keys.shop.publicKey.export({ format: 'jwk' }) })
const partsOf = async (name: 'billing' | 'shop'): Promise<SealAmqpOptions> => ({
  sealer: createSealer({ directory, channels }),
  opener: createOpener({ name, identities: await loadIdentities({ keys: [keys[name].privateKey.export({ format: 'jwk' })] }), channels }),
  onStopped: ({ queue }) => console.error(`stopped: ${queue}`),
})
const parts = { billing: await partsOf('billing'), shop: await partsOf('shop') }
sealConnections((name) => (name === 'billing' ? parts.billing : parts.shop))

const { promise: placed, resolve: onPlaced } = Promise.withResolvers<{ total: number }>()
const billing = await startBilling({ url, exchange, onPlaced })
const shop = new AmqpConnection({ name: 'shop', uri: url, logger: new ConsoleLogger({ logLevels: ['error', 'warn'] }) })
await shop.init()
try {
  const reply = await shop.request<{ total: number }>({ exchange, routingKey: 'total', payload: [4, 5], timeout: 10_000 })
  console.log('shop was answered:', reply)
  assert.deepEqual(reply, { total: 9 })
  await shop.publish(exchange, 'placed', reply)
  console.log('billing was told:', await placed)
} finally {
  await shop.close()
  await billing.close()
}
