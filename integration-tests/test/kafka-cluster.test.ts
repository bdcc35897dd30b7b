import { generateKeyPairSync } from 'node:crypto'
import { createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities, type Opener, type Sealer } from '@sealbus/core'
import { consumerHealth, type ParkedMessage, sealKafka } from '@sealbus/kafka'
import { type Admin, type Consumer, Kafka, logLevel, type Producer } from 'kafkajs'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { describeWithLocalKafka, uniqueName } from '../support/brokers.ts'
import { type KafkaCluster, startKafkaCluster } from '../support/kafka-cluster.ts'
import { tamper } from '../support/kafka-fixture.ts'

// The numbers are those of the list of pitfalls in docs/KAFKA.md. Here brokers die, so the cluster is this file's own.
const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] } })
const WAIT = { timeout: 60_000, interval: 100 }

describeWithLocalKafka('Kafka pitfalls: three brokers', () => {
  let cluster: KafkaCluster
  let kafka: Kafka
  let admin: Admin
  let sealer: Sealer
  let opener: Opener
  /** How often something was sealed. */
  let seals = 0
  /** Whether the key source answers. */
  let keys = true
  const closing: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    cluster = await startKafkaCluster({ brokers: 3 })
    kafka = new Kafka({ brokers: cluster.bootstrap, logLevel: logLevel.NOTHING, connectionTimeout: 1_000, requestTimeout: 5_000, retry: { initialRetryTime: 100, retries: 30, maxRetryTime: 1_000 } })
    admin = kafka.admin()
    await admin.connect()
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
    const local = await loadIdentities({ keys: [{ ...jwk, kid: 'billing-1' }] })
    const [identity] = local.list()
    if (!identity) throw new Error('no identity')
    const made = createSealer({ directory: createStaticDirectory({ billing: { ...identity.publicJwk, kid: 'billing-1' } }), channels, contentKeys: 'per-message' })
    sealer = { ...made, sealSync: (...args) => {
      seals++
      return made.sealSync(...args)
    } }
    const remote = { ...identity, unwrap: async (request: Parameters<typeof identity.unwrap>[0]) => keys ? identity.unwrap(request) : Promise.reject(new Error('down')) }
    opener = createOpener({ name: 'billing', channels, identities: { find: () => remote, list: () => [remote] } })
  })
  afterEach(async () => {
    keys = true
    await Promise.all(closing.splice(0).map((close) => close().catch(() => {})))
    // Every test begins with three.
    const alive = new Set((await admin.describeCluster()).brokers.map(({ nodeId }) => nodeId))
    await Promise.all([1, 2, 3].filter((node) => !alive.has(node)).map((node) => cluster.restart(node)))
  })
  afterAll(async () => {
    await admin?.disconnect()
    await cluster?.stop()
  })

  /** What brokers tell that have just come back may be behind. */
  const settled = <Value>(ask: () => Promise<Value>): Promise<Value> => vi.waitFor(ask, { timeout: 30_000, interval: 200 })
  const createTopic = async (partitions = 3, channel = 'orders'): Promise<string> => {
    const topic = uniqueName(channel)
    await settled(() => admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 3 }], waitForLeaders: true }))
    return topic
  }
  const leaderOf = async (topic: string, partition: number): Promise<number> => {
    const { topics } = await settled(() => admin.fetchTopicMetadata({ topics: [topic] }))
    return topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)?.leader ?? 0
  }
  /** The leader of the partition of offsets that a group's name falls in, by Java's hash of a string. */
  const coordinatorOf = async (groupId: string): Promise<number> => {
    const hash = Buffer.from(groupId).reduce((sum, letter) => (Math.imul(31, sum) + letter) | 0, 0)
    const { topics } = await admin.fetchTopicMetadata({ topics: ['__consumer_offsets'] })
    return leaderOf('__consumer_offsets', (hash & 0x7fffffff) % (topics[0]?.partitions.length ?? 1))
  }
  const producing = async (config: Parameters<Kafka['producer']>[0]): Promise<Producer> => {
    const producer = sealKafka(kafka, { sealer }).producer(config)
    closing.push(() => producer.disconnect())
    await producer.connect()
    return producer
  }
  const consuming = async (topic: string, groupId: string, options: object = {}): Promise<Consumer> => {
    const consumer = sealKafka(kafka, { opener, onStopped: () => {}, dispositions: { holdBackoffMs: { first: 50, longest: 200 } }, ...options }).consumer({ groupId, sessionTimeout: 10_000, heartbeatInterval: 500, maxWaitTimeInMs: 200 })
    closing.push(() => consumer.disconnect())
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    return consumer
  }
  const committed = async (groupId: string, topic: string): Promise<number> => {
    const [offsets] = await admin.fetchOffsets({ groupId, topics: [topic] })
    return (offsets?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
  }

  it('pitfall 29: a leader dies while an idempotent producer sends: each message is sealed once, however often it is retried, and is there once and in order', { timeout: 180_000 }, async () => {
    const topic = await createTopic()
    const producer = await producing({ idempotent: true, maxInFlightRequests: 1 })
    const before = seals
    const count = 150
    const victim = await leaderOf(topic, 0)
    for (let number = 0; number < count; number++) {
      if (number === 50) void cluster.kill(victim)
      // One partition in each call: of several, kafkajs can lose one (docs/KAFKA.md).
      for (const partition of [0, 1, 2]) expect(await producer.send({ topic, acks: -1, timeout: 10_000, messages: [{ value: `${number}`, partition }] })).toHaveLength(1)
    }
    expect(seals - before).toBe(3 * count)
    const seen: string[][] = [[], [], []]
    const consumer = await consuming(topic, uniqueName('group'))
    await consumer.run({ partitionsConsumedConcurrently: 3, eachMessage: async ({ partition, message }) => void seen[partition]?.push(String(message.value)) })
    await expect.poll(() => seen.map(({ length }) => length), WAIT).toEqual([count, count, count])
    const inOrder = Array.from({ length: count }, (_, number) => `${number}`)
    expect(seen).toEqual([inOrder, inOrder, inOrder])
  })

  it('pitfall 6: a transaction whose coordinator or leader dies is whole or not there at all, and sealed', { timeout: 180_000 }, async () => {
    const topic = await createTopic()
    const producer = await producing({ transactionalId: uniqueName('tx'), idempotent: true, maxInFlightRequests: 1, transactionTimeout: 30_000 })
    const outcomes: boolean[] = []
    for (let number = 0; number < 6; number++) {
      const transaction = await producer.transaction()
      try {
        for (const partition of [0, 1, 2]) await transaction.send({ topic, messages: [{ value: `${number}`, partition }] })
        if (number === 2) await cluster.kill(await leaderOf(topic, 1))
        for (const partition of [0, 1, 2]) await transaction.sendBatch({ topicMessages: [{ topic, messages: [{ value: `${number}`, partition }] }] })
        if (number % 2 === 1) await transaction.abort()
        else await transaction.commit()
        outcomes.push(number % 2 === 0)
      } catch {
        outcomes.push(false)
        await transaction.abort().catch(() => {})
      }
    }
    const expected = outcomes.flatMap((kept, number) => (kept ? Array.from({ length: 6 }, () => `${number}`) : []))
    expect(expected.length).toBeGreaterThanOrEqual(12)
    const seen: string[] = []
    const consumer = await consuming(topic, uniqueName('group'))
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen.length, WAIT).toBe(expected.length)
    expect(seen.toSorted()).toEqual(expected)
  })

  it('pitfall 13: the coordinator of a group dies while a message is held: the hold, the place and the others outlast it', { timeout: 180_000 }, async () => {
    const topic = await createTopic(2)
    const groupId = uniqueName('group')
    const producer = await producing({ idempotent: true, maxInFlightRequests: 1 })
    const seen: string[] = []
    const consumer = await consuming(topic, groupId)
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    keys = false
    await producer.send({ topic, messages: [{ value: 'held', partition: 0 }, { value: 'behind', partition: 0 }] })
    await expect.poll(() => consumerHealth(consumer).halted.length, WAIT).toBe(1)
    await cluster.kill(await coordinatorOf(groupId))
    await producer.send({ topic, messages: [{ key: 't', value: null, partition: 1 }] })
    await expect.poll(() => seen, WAIT).toContain('null')
    keys = true
    await expect.poll(() => seen.filter((value) => value !== 'null'), WAIT).toEqual(['held', 'behind'])
    await expect.poll(() => committed(groupId, topic), WAIT).toBe(3)
  })

  it('pitfall 7: parking goes on when the leader of the parking topic dies: what is acknowledged is there once, and the place moves only then', { timeout: 180_000 }, async () => {
    const topic = await createTopic(1)
    const parkTopic = await createTopic(1, 'parked')
    const groupId = uniqueName('group')
    const parking = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    closing.push(() => parking.disconnect())
    await parking.connect()
    const bad = tamper(sealer.sealSync('x', { channel: 'orders', key: null }).bytes)
    const parked: ParkedMessage[] = []
    const consumer = await consuming(topic, groupId, { park: { topic: parkTopic, producer: parking }, onParked: (each: ParkedMessage) => void parked.push(each) })
    const [early, commits] = [[] as string[], [] as number[]]
    consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload }) => {
      const offset = Number(payload.topics[0]?.partitions[0]?.offset)
      const acknowledged = new Set(parked.map((each) => Number(each.offset)))
      for (let each = 0; each < offset; each++) if (!acknowledged.has(each)) early.push(`${each} before ${offset}`)
      commits.push(offset)
    })
    await consumer.run({ autoCommitThreshold: 1, eachMessage: async () => expect.unreachable('none of them opens') })
    for (let number = 0; number < 30; number++) {
      if (number === 10) void cluster.kill(await leaderOf(parkTopic, 0))
      await parking.send({ topic, acks: -1, messages: [{ value: bad }] })
    }
    await expect.poll(() => committed(groupId, topic), WAIT).toBe(30)
    expect(new Set(parked.map(({ id }) => id)).size).toBe(30)
    expect(commits.length).toBeGreaterThan(5)
    expect(early).toEqual([])
    const ids: string[] = []
    const reader = kafka.consumer({ groupId: uniqueName('reader'), maxWaitTimeInMs: 200 })
    closing.push(() => reader.disconnect())
    await reader.connect()
    await reader.subscribe({ topic: parkTopic, fromBeginning: true })
    await reader.run({ eachMessage: async ({ message }) => void ids.push(String(message.headers?.['sealbus-park-id'])) })
    // A copy may be made again after a rebalance; each that was acknowledged is there, and no other.
    await expect.poll(() => ids.toSorted(), WAIT).toEqual(parked.map(({ id }) => id).toSorted())
  })

  it('pitfall 33: acks and time-outs are the client\'s: without enough replicas the client\'s own error comes through, and later the send succeeds', { timeout: 180_000 }, async () => {
    const topic = await createTopic(1)
    const impatient = sealKafka(new Kafka({ brokers: cluster.bootstrap, logLevel: logLevel.NOTHING, connectionTimeout: 1_000, requestTimeout: 5_000, retry: { initialRetryTime: 100, retries: 2 } }), { sealer }).producer()
    closing.push(() => impatient.disconnect())
    await impatient.connect()
    const message = { value: 'needs two replicas' }
    for (const acks of [0, 1, -1]) await impatient.send({ topic, acks, messages: [message] })
    await expect.poll(async () => (await admin.fetchTopicOffsets(topic))[0]?.high, WAIT).toBe('3')
    const leader = await leaderOf(topic, 0)
    const victim = (leader % 3) + 1
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries: [{ name: 'min.insync.replicas', value: '3' }] }] })
    await cluster.kill(victim)
    await expect.poll(() => impatient.send({ topic, acks: -1, timeout: 2_000, messages: [message] }).then(() => 'sent', (error: { type?: string; cause?: { type?: string } }) => error.type ?? error.cause?.type), WAIT).toMatch(/NOT_ENOUGH_REPLICAS/)
    await cluster.restart(victim)
    await expect.poll(() => impatient.send({ topic, acks: -1, messages: [message] }).then(() => 'sent', () => 'not yet'), WAIT).toBe('sent')
  })
})
