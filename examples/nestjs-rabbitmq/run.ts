/** Two services over a RabbitMQ at AMQP_URL: `shop` asks `billing` and tells it of an order; the broker sees neither. */
import { strict as assert } from 'node:assert'
import { generateKeyPairSync } from 'node:crypto'
import { createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities, type Opener, type Sealer } from '@sealbus/core'
import { firstValueFrom } from 'rxjs'
import { startBilling } from './billing.ts'
import { SealedClientRMQ } from './sealed-transport.ts'

const { AMQP_URL: url = 'amqp://localhost' } = process.env
const queue = `billing.${process.pid}`

// The replies come by the broker's pseudo-queue, under names that it makes.
const channels = defineChannels({ billing: { to: ['billing'], match: [queue] }, replies: { to: ['shop'], match: [/^amq\.rabbitmq\.reply-to/] } })
const keys = { billing: generateKeyPairSync('ec', { namedCurve: 'P-256' }), shop: generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
const directory = createStaticDirectory({ billing: keys.billing.publicKey.export({ format: 'jwk' }), shop: keys.shop.publicKey.export({ format: 'jwk' }) })
const partsOf = async (name: 'billing' | 'shop'): Promise<{ sealer: Sealer; opener: Opener; onStopped: (stopped: { queue: string }) => void }> => ({
  sealer: createSealer({ directory, channels }),
  opener: createOpener({ name, identities: await loadIdentities({ keys: [keys[name].privateKey.export({ format: 'jwk' })] }), channels }),
  onStopped: ({ queue: stopped }) => console.error(`stopped: ${stopped}`),
})

const { promise: placed, resolve: onPlaced } = Promise.withResolvers<{ total: number }>()
const billing = await startBilling({ url, queue, sealing: await partsOf('billing'), onPlaced })
const shop = new SealedClientRMQ({ urls: [url], queue, queueOptions: { durable: true } }, await partsOf('shop'))
try {
  const reply = await firstValueFrom(shop.send<{ total: number }>('total', [4, 5]))
  console.log('shop was answered:', reply)
  assert.deepEqual(reply, { total: 9 })
  await firstValueFrom(shop.emit('placed', reply))
  console.log('billing was told:', await placed)
} finally {
  await shop.close()
  await billing.close()
}
