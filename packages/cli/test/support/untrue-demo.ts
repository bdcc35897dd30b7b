/** The demo on a broker that does what the demo claims cannot happen: the first argument says what. */
import type { DemoBroker } from '../../src/demo/brokers/broker.ts'
import { connectMemory } from '../../src/demo/brokers/memory.ts'
import { demoCommand } from '../../src/demo/command.ts'

const untruths: Record<string, (broker: DemoBroker) => Partial<DemoBroker>> = {
  twice: (broker) => ({
    subscribe: ({ onOrder, ...subscription }) => {
      let first = true
      return broker.subscribe({
        ...subscription,
        onOrder: (payload, facts) => {
          onOrder(payload, facts)
          if (first && subscription.service === 'billing') onOrder(payload, facts)
          first = false
        },
      })
    },
  }),
  altered: (broker) => ({
    subscribe: ({ onOrder, ...subscription }) => broker.subscribe({ ...subscription, onOrder: (payload, facts) => onOrder(Buffer.from(payload.toString().replace('"A-1002"', '"A-2001"')), facts) }),
  }),
  curious: (broker) => ({
    subscribe: (subscription) => {
      if (subscription.service === 'audit') subscription.onOrder(Buffer.from('{}'), undefined)
      return broker.subscribe(subscription)
    },
  }),
  leak: (broker) => ({
    stored: async () => (await broker.stored()).map((message, index) => (index === 5 ? { ...message, headers: { ...message.headers, trace: Buffer.from('to Ada Lovelace').toString('base64url') } } : message)),
  }),
  rewritten: (broker) => ({
    parked: async (service) => (await broker.parked(service)).map((message) => ({ ...message, bytes: Buffer.concat([message.bytes, Buffer.from(' ')]) })),
  }),
  broken: () => ({
    tamper: async () => {
      throw new Error('the broker went away')
    },
  }),
}

const untruth = untruths[process.argv[2] ?? '']
if (!untruth) throw new Error('which untruth?')
await demoCommand(async () => {
  const broker = await connectMemory()
  return { ...broker, ...untruth(broker) }
}).parseAsync(['--messages', '10'], { from: 'user' })
