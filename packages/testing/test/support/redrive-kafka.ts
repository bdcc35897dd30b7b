import { opened } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import { listParked, redrive, type RedrivenPayload } from '@sealbus/kafka'
import type { Kafka, KafkaMessage } from 'kafkajs'
import { expect } from 'vitest'
import { type RedriveHarness, redriveName, textOf } from './redrive-harness.ts'

/** `transactions`: whether the broker has them. */
export async function openKafkaHarness(kafka: Kafka, { transactions }: { readonly transactions: boolean }): Promise<RedriveHarness> {
  const by = redriveName()
  const [from, to] = [`${by}-parked`, `${by}-retry`]
  const admin = kafka.admin()
  const producer = kafka.producer()
  await Promise.all([admin.connect(), producer.connect()])
  await admin.createTopics({ topics: [{ topic: from, numPartitions: 2 }, { topic: to, numPartitions: 2 }], waitForLeaders: false })
  // kafkajs' own wait gives up where a broker has not heard of the topic yet.
  for (const topic of [from, to]) await expect.poll(() => admin.fetchTopicOffsets(topic).then((offsets) => offsets.length, () => 0), { timeout: 20_000 }).toBe(2)
  let offset = 0
  const redriven = { from, by, to, ...(!transactions && { transactions }) }

  return {
    features: { log: true, offsets: true },
    by,
    from,
    to,
    async park({ bytes, key, headers }, code, added = {}): Promise<void> {
      const origin = `orders/0/${offset++}`
      const own = { [PARK_HEADERS.id]: `${by}/${origin}`, [PARK_HEADERS.code]: code, [PARK_HEADERS.by]: by, [PARK_HEADERS.origin]: origin, [PARK_HEADERS.time]: new Date().toISOString() }
      await producer.send({ topic: from, messages: [{ key: key ?? null, value: bytes, headers: { ...headers, ...own, ...(added as Record<string, string>) } }] })
    },
    write: async ({ bytes, headers }) => void (await producer.send({ topic: from, messages: [{ value: bytes, headers: headers as Record<string, string> }] })),
    redrive: (options) => redrive(kafka, { ...redriven, ...options }),
    redriveTo(handler, options) {
      const eachMessage = async ({ message, parked }: RedrivenPayload): Promise<void> =>
        void (await handler({ text: textOf(message.value), id: opened(message)?.id, headers: Object.keys(message.headers ?? {}), parked }))
      return redrive(kafka, { ...redriven, channel: 'orders', ...options, to: eachMessage })
    },
    list: (options = {}) => listParked(kafka, { from, ...options }),
    async arrived() {
      const ends = await admin.fetchTopicOffsets(to)
      const left = new Map(ends.filter(({ high }) => Number(high) > 0).map(({ partition, high }) => [partition, Number(high)]))
      if (left.size === 0) return []
      const messages: KafkaMessage[] = []
      const reader = kafka.consumer({ groupId: redriveName(), maxWaitTimeInMs: 50 })
      const { promise: done, resolve } = Promise.withResolvers<void>()
      reader.on(reader.events.END_BATCH_PROCESS, ({ payload: { partition, lastOffset } }) => {
        if (Number(lastOffset) + 1 >= (left.get(partition) ?? 0)) left.delete(partition)
        if (left.size === 0) resolve()
      })
      await reader.connect()
      await reader.subscribe({ topic: to, fromBeginning: true })
      await reader.run({ autoCommit: false, eachMessage: async ({ message }) => void messages.push(message) })
      await done
      await reader.disconnect()
      return messages.map(({ value, headers }) => ({ bytes: value ?? Buffer.alloc(0), headers: headers ?? {} }))
    },
    async close(): Promise<void> {
      await Promise.all([admin.disconnect(), producer.disconnect()])
    },
  }
}
