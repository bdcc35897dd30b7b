import { createMemoryKafka } from '@sealbus/testing'
import { flipCiphertextBit } from './bit-flip.ts'
import type { DemoBroker } from './broker.ts'
import { createKafkaBroker, toStored } from './kafka-broker.ts'
import { createRunName } from './run-name.ts'

/** A Kafka in this process, of `@sealbus/testing`: nothing to start, and nothing that outlives the run. */
export async function connectMemory(): Promise<DemoBroker> {
  const client = createMemoryKafka()
  return createKafkaBroker({
    title: 'one inside this process: nothing to install',
    run: createRunName(),
    client,
    store: {
      start: async () => {},
      records: async (topic) => client.records(topic).map(toStored),
      async tamper(topic) {
        const [oldest] = client.records(topic)
        if (!oldest?.value) throw new Error('there is nothing to tamper with')
        const before = oldest.value
        const after = flipCiphertextBit(before)
        const stop = client.tamper(topic, ({ value }) => (value?.equals(before) ? { value: after } : undefined))
        stop()
        return { reference: toStored(oldest).reference, before, after, replaced: true, how: 'The intruder owns the memory that it is stored in, and flips one bit.' }
      },
      remove: async () => {},
    },
  })
}
