import { opened, type Opener } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import { redrive, type RedrivenPayload, sealKafka } from '@sealbus/kafka'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { describeRedrive } from '../../packages/testing/test/support/redrive-behaviours.ts'
import { openKafkaHarness } from '../../packages/testing/test/support/redrive-kafka.ts'
import { createTopics, describeWithKafka, uniqueName } from '../support/brokers.ts'
import { describeParkedCommand } from '../support/parked-cli.ts'
import { changed, createLateKey, killedRedrive, type LateKey } from '../support/redrive-story.ts'

const TIMEOUT = { timeout: 60_000, interval: 100 }

describeWithKafka('Kafka redrive', ({ bootstrap }) => {
  const kafka = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100 } })

  // The unit tests run the same on the broker in memory.
  describeRedrive('Kafka', () => openKafkaHarness(kafka, { transactions: true }))
  describeRedrive('Kafka, without transactions', () => openKafkaHarness(kafka, { transactions: false }))

  describeParkedCommand('Kafka', (from) => ['--topic', from, '--kafka-brokers', bootstrap.join(',')], () => openKafkaHarness(kafka, { transactions: true }))

  it('a topic that is not there is not made: the error names it', async () => {
    const [from, to] = [uniqueName('parked'), uniqueName('retry')]
    await createTopics(bootstrap, [{ topic: from, numPartitions: 1 }])
    await expect(redrive(kafka, { from, by: 'billing', to, dryRun: false })).rejects.toThrow(`there is no topic "${to}"`)
  })

  it('large messages of one key, from a parking topic that holds them compressed, go out in calls that the destination takes, in their order', async () => {
    const by = uniqueName('billing')
    const [from, to] = [`${by}-parked`, `${by}-retry`]
    await createTopics(bootstrap, [{ topic: from, numPartitions: 1, configEntries: [{ name: 'compression.type', value: 'gzip' }] }, { topic: to, numPartitions: 1 }])
    const raw = kafka.producer()
    await raw.connect()
    const numbers = Array.from({ length: 12 }, (_, n) => `${n}`)
    const headers = (n: string): Record<string, string> => ({ [PARK_HEADERS.id]: `${by}/orders/0/${n}`, [PARK_HEADERS.code]: 'ERR_SEALBUS_NOT_SEALED', [PARK_HEADERS.by]: by })
    for (const n of numbers) await raw.send({ topic: from, messages: [{ key: 'large', value: Buffer.alloc(100_000, `${n} `), headers: headers(n) }] })
    await raw.disconnect()
    expect(await redrive(kafka, { from, by, to, dryRun: false })).toMatchObject({ ended: 'complete', delivered: 12 })

    const arrived: string[] = []
    const reader = kafka.consumer({ groupId: uniqueName('reader'), maxWaitTimeInMs: 100 })
    await reader.connect()
    await reader.subscribe({ topic: to, fromBeginning: true })
    await reader.run({ eachMessage: async ({ message: { value } }) => void arrived.push(`${value?.length} ${value?.toString('utf8', 0, 4).trim().split(' ')[0]}`) })
    await expect.poll(() => arrived.length, TIMEOUT).toBe(12)
    await reader.disconnect()
    expect(arrived).toEqual(numbers.map((n) => `100000 ${n}`))
  })

  describe('a key that was deployed late', () => {
    const MESSAGES = 500
    let key: LateKey
    let raw: Producer
    let by: string
    let topics: { orders: string; parked: string; retry: string }

    beforeAll(async () => {
      key = await createLateKey()
      raw = kafka.producer()
      await raw.connect()
    })
    afterAll(() => raw?.disconnect())
    beforeEach(async () => {
      by = uniqueName('billing')
      topics = { orders: uniqueName('orders'), parked: `${by}-parked`, retry: `${by}-retry` }
      await createTopics(bootstrap, Object.values(topics).map((topic) => ({ topic, numPartitions: 2 })))
    })

    /** Runs a consumer of a group until it has parked, or handled, so many messages. */
    const consume = async (groupId: string, opener: Opener, topic: string, count: number): Promise<string[]> => {
      const handled: string[] = []
      let parked = 0
      const wrapped = sealKafka(kafka, { opener, park: { topic: topics.parked, producer: raw }, onParked: () => void parked++, dispositions: { keyMissingHoldMs: 0 } })
      const consumer = wrapped.consumer({ groupId, maxWaitTimeInMs: 100 })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({ eachMessage: async ({ message }) => void handled.push(opened(message)?.id ?? 'plain') })
      await expect.poll(() => parked + handled.length, TIMEOUT).toBeGreaterThanOrEqual(count)
      await consumer.disconnect()
      return handled
    }
    /** Orders of three fates, parked by two groups in one parking topic. */
    const park = async (count: number): Promise<string[]> => {
      const messages = Array.from({ length: count }, (_, n) => key.sealer.sealSync(`${n}`, { channel: 'orders', key: `${n}` }))
      // One partition in each call: kafkajs may double what goes to several.
      for (const partition of [0, 1]) await raw.send({ topic: topics.orders, messages: messages.flatMap(({ bytes }, n) => (n % 2 === partition ? { key: `${n}`, value: bytes, partition } : [])) })
      const other = key.sealer.sealSync('x', { channel: 'orders', key: 'x' }).bytes
      await raw.send({ topic: topics.orders, messages: [{ key: 'x', value: changed(other) }, { key: 'x', value: '{"plain":1}' }] })
      await consume(by, key.early, topics.orders, count + 2)
      await consume(`${by}-other`, key.early, topics.orders, count + 2)
      return messages.map(({ id }) => id)
    }
    const ends = async (topic: string): Promise<number> => {
      const admin = kafka.admin()
      await admin.connect()
      const offsets = await admin.fetchTopicOffsets(topic)
      await admin.disconnect()
      return offsets.reduce((sum, { high }) => sum + Number(high), 0)
    }

    it('a dry run says what the key opens, a redrive brings it, and what still fails stays: nobody else gets a message', async () => {
      const ids = await park(20)
      const options = { from: topics.parked, by, to: topics.retry, opener: key.late }
      const dry = await redrive(kafka, options)
      expect(dry).toMatchObject({ dryRun: true, delivered: 20, kept: 2, others: 22 })
      expect(dry.groups).toContainEqual({ parkedWith: 'ERR_SEALBUS_KEY_MISSING', kids: ['billing-2'], outcome: 'delivered', reason: undefined, messages: 20 })
      expect(dry.groups).toContainEqual({ parkedWith: 'ERR_SEALBUS_NOT_SEALED', kids: [], outcome: 'kept', reason: 'ERR_SEALBUS_NOT_SEALED', messages: 1 })
      // Without its key, the changed one could not be told from the others.
      expect(dry.groups).toContainEqual({ parkedWith: 'ERR_SEALBUS_KEY_MISSING', kids: ['billing-2'], outcome: 'kept', reason: 'ERR_SEALBUS_DECRYPT_FAILED', messages: 1 })
      expect(await ends(topics.retry)).toBe(0)

      expect(await redrive(kafka, { ...options, dryRun: false })).toMatchObject({ delivered: 20, kept: 2, others: 22 })
      expect((await consume(by, key.late, topics.retry, 20)).toSorted()).toEqual(ids.toSorted())
      expect(await ends(topics.orders), 'nothing came back to the origin').toBe(22)
      expect(await redrive(kafka, { ...options, by: `${by}-other` })).toMatchObject({ delivered: 20, kept: 2 })
    })

    it('killed inside a transaction and resumed: every message once', async () => {
      const ids = await park(MESSAGES)
      const assignment = { broker: { kind: 'kafka', bootstrap, transactions: true }, from: topics.parked, by, key: key.jwk } as const
      await killedRedrive({ ...assignment, to: topics.retry, killed: { before: 'note', steps: 2 } })
      const resumed = await redrive(kafka, { from: topics.parked, by, to: topics.retry, opener: key.late, dryRun: false })
      expect(resumed).toMatchObject({ ended: 'complete', kept: 2 })
      expect(resumed.earlier).toBeGreaterThan(0)
      expect(resumed.earlier + resumed.delivered).toBe(MESSAGES)
      expect((await consume(by, key.late, topics.retry, MESSAGES)).toSorted()).toEqual(ids.toSorted())
      expect(await ends(topics.orders)).toBe(MESSAGES + 2)
    })

    it('killed between sending and marking, without transactions: none lost, at most 100 twice', async () => {
      const ids = await park(MESSAGES)
      const assignment = { broker: { kind: 'kafka', bootstrap, transactions: false }, from: topics.parked, by, key: key.jwk } as const
      await killedRedrive({ ...assignment, to: topics.retry, killed: { before: 'note', steps: 2 } })
      await redrive(kafka, { from: topics.parked, by, to: topics.retry, opener: key.late, dryRun: false, transactions: false })
      const arrived = await ends(topics.retry)
      expect(arrived).toBeGreaterThan(MESSAGES)
      expect(arrived).toBeLessThanOrEqual(MESSAGES + 100)
      expect(new Set(await consume(by, key.late, topics.retry, arrived))).toEqual(new Set(ids))
    })

    it('killed in its handler and resumed: every message handled, one of them twice', async () => {
      const ids = await park(MESSAGES)
      const assignment = { broker: { kind: 'kafka', bootstrap, transactions: true }, from: topics.parked, by, key: key.jwk } as const
      const handled = await killedRedrive({ ...assignment, to: undefined, killed: { before: 'handle', steps: 150 } })
      expect(handled).toHaveLength(151)
      const eachMessage = async ({ message }: RedrivenPayload): Promise<void> => void handled.push(opened(message)?.id ?? '')
      const resumed = await redrive(kafka, { from: topics.parked, by, to: eachMessage, channel: 'orders', opener: key.late, dryRun: false })
      expect(resumed).toMatchObject({ ended: 'complete', earlier: 150, delivered: MESSAGES - 150, kept: 2 })
      expect(handled).toHaveLength(MESSAGES + 1)
      expect(new Set(handled)).toEqual(new Set(ids))
    })

    it('a second redrive of the same group ends with an error, or ends the first: no message is delivered by both', async () => {
      await park(MESSAGES)
      const handled: string[] = []
      const eachMessage = async ({ message }: RedrivenPayload): Promise<void> => {
        handled.push(opened(message)?.id ?? '')
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      const run = (): Promise<string> => redrive(kafka, { from: topics.parked, by, to: eachMessage, channel: 'orders', opener: key.late, dryRun: false }).then(({ ended }) => ended, (error: { code?: string; message: string }) => error.code ?? error.message)
      const outcomes = await Promise.all([run(), run()])
      for (const each of outcomes) expect(['complete', 'ERR_SEALBUS_INVALID_OPTION']).toContain(each)
      expect(await run()).toBe('complete')
      expect(new Set(handled).size).toBe(MESSAGES)
      // One handler may have been under way when the partition changed hands.
      expect(handled.length).toBeLessThanOrEqual(MESSAGES + 2)
    })

    it('a redrive that takes over from another in its midst delivers nothing that the other had', async () => {
      await park(MESSAGES)
      const handled: string[] = []
      const eachMessage = async ({ message }: RedrivenPayload): Promise<void> => {
        handled.push(opened(message)?.id ?? '')
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      const run = (): Promise<string> => redrive(kafka, { from: topics.parked, by, to: eachMessage, channel: 'orders', opener: key.late, dryRun: false }).then(({ ended }) => ended, (error: { code?: string; message: string }) => error.code ?? error.message)
      const first = run()
      await expect.poll(() => handled.length, TIMEOUT).toBeGreaterThan(50)
      const outcomes = await Promise.all([first, run()])
      expect(await run()).toBe('complete')
      expect(new Set(handled).size).toBe(MESSAGES)
      expect(handled.length).toBeLessThanOrEqual(MESSAGES + 2)
      for (const each of outcomes) expect(['complete', 'ERR_SEALBUS_INVALID_OPTION']).toContain(each)
    })
  })
})
