/**
 * An application that consumes orders and produces invoices, each batch in one transaction with its place, as a process
 * of its own that is killed. It stands still at a stage of one transaction when it is told to.
 */
import { createJwksDirectory, createOpener, createSealer, defineChannels, loadIdentities, opened } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { Kafka, logLevel } from 'kafkajs'
import { canary } from './canaries.ts'
import './kafkajs-noise.ts'
import { assignment, listen, report as write } from './reporting.ts'

/** Where it stands still: `committing` has sent its commit, and does not know what became of it. */
export const STAGES = ['begun', 'sent', 'offsets sent', 'committing', 'committed'] as const
export type Stage = (typeof STAGES)[number]

export const exactlyOnceChannels = defineChannels({ orders: { to: ['biller'] }, invoices: { to: ['ledger'] }, metrics: 'plaintext' })

/** The variable of the environment that has its private keys. */
export const KEYS = 'EXACTLY_ONCE_PRIVATE_KEYS'

export interface Application {
  readonly bootstrap: string[]
  readonly recipients: Record<string, string>
  readonly marks: { readonly order: string; readonly invoice: string }
  /** Undefined: it goes on until it is told to end. */
  readonly standStill: { readonly transaction: number; readonly stage: Stage } | undefined
}

export type ApplicationReport =
  | { readonly kind: 'stands still'; readonly stage: Stage }
  | { readonly kind: 'committed'; readonly invoices: number }
  /** None of these may happen. */
  | { readonly kind: 'failed'; readonly reason: string }

if (process.argv[1] === import.meta.filename) await run(assignment() as Application)

async function run({ bootstrap, recipients, marks, standStill }: Application): Promise<void> {
  const report: (what: ApplicationReport) => void = write
  const fail = (reason: string): never => {
    report({ kind: 'failed', reason })
    // What its transaction has done is undone when the next process takes its name.
    process.exit(1)
  }
  const directory = createJwksDirectory({ recipients, allowInsecureLoopback: true })
  const sealer = createSealer({ directory, channels: exactlyOnceChannels })
  await sealer.ready()
  const opener = createOpener({ name: 'biller', identities: await loadIdentities({ env: KEYS }), channels: exactlyOnceChannels })
  const kafka = sealKafka(new Kafka({ clientId: 'biller', brokers: bootstrap, logLevel: logLevel.NOTHING }), { sealer, opener, onStopped: ({ error }) => fail(`stopped: ${error.code}`) })

  // One name for the one process that there is: whoever takes it ends what its predecessor left, committed or not, and
  // only then may the places of the group be read. kafkajs takes it with the first transaction, not on connecting.
  const producer = kafka.producer({ transactionalId: 'biller', idempotent: true, maxInFlightRequests: 1, retry: { retries: 20 } })
  await producer.connect()
  await (await producer.transaction()).abort()

  let transactions = 0
  const pass = async (stage: Stage): Promise<void> => {
    if (standStill?.transaction !== transactions || standStill.stage !== stage) return
    report({ kind: 'stands still', stage })
    await new Promise(() => {})
  }

  /** By partition: what is in a committed transaction. The broker may show it later than it confirms it. */
  const done = new Map<number, bigint>()
  const consumer = kafka.consumer({ groupId: 'biller', sessionTimeout: 6_000, rebalanceTimeout: 2_000, heartbeatInterval: 500, maxWaitTimeInMs: 100, maxBytesPerPartition: 20_000 })
  await consumer.connect()
  await consumer.subscribe({ topic: 'orders', fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch: { topic, partition, messages } }) => {
      const orders = messages.filter(({ offset }) => BigInt(offset) >= (done.get(partition) ?? 0n))
      if (orders.length === 0) return
      const invoices = orders.map((order) => {
        const number = Number(/"number":(\d+)}$/.exec(String(order.value))?.[1])
        if (String(order.value) !== canary(marks.order, number) || !opened(order)) fail('an order that was not sealed')
        // To the partition of its order, and so to one in each send: when kafkajs 2 repeats a send to several, which it
        // does after nearly every commit, a part may be there twice. docs/KAFKA.md says more.
        return { key: order.key, partition, value: canary(marks.invoice, number) }
      })
      const next = BigInt(orders.at(-1)?.offset ?? 0) + 1n
      try {
        transactions++
        const transaction = await producer.transaction()
        await pass('begun')
        await transaction.send({ topic: 'invoices', messages: invoices })
        await pass('sent')
        await transaction.sendOffsets({ consumerGroupId: 'biller', topics: [{ topic, partitions: [{ partition, offset: `${next}` }] }] })
        await pass('offsets sent')
        const committing = transaction.commit()
        await pass('committing')
        await committing
        await pass('committed')
      } catch (error) {
        fail(String(error))
      }
      done.set(partition, next)
      report({ kind: 'committed', invoices: invoices.length })
    },
  })
  listen(() => {
    Promise.all([consumer.disconnect(), producer.disconnect()]).then(
      () => process.exit(0),
      (error: unknown) => fail(String(error)),
    )
  })
}
