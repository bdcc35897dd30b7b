import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { afterEach, expect, it } from 'vitest'
import { createTopics, describeWithKafka, describeWithRabbit, uniqueName } from '../support/brokers.ts'
import { type CountedRequest, startCountedEndpoint } from '../support/counted-endpoint.ts'
import { type ReportingProcess, startReporting } from '../support/reporting-process.ts'
import type { ConsumerAssignment, ConsumerReport, RotationBroker } from '../support/rotation-consumer.ts'
import type { Batch, ProducerAssignment } from '../support/rotation-producer.ts'
import { sealbus, startServing } from '../support/sealbus-cli.ts'

const MESSAGES = 50_000
const BATCH = 250
/** 50,000 messages in 40 s. */
const PAUSE_MS = 200
const FRESH_MS = 2_000
const KIDS = ['billing-1', 'billing-2', 'billing-3']
const PATIENCE = { timeout: 120_000, interval: 100 }

const CONSUMER = new URL('../support/rotation-consumer.ts', import.meta.url)
const PRODUCER = new URL('../support/rotation-producer.ts', import.meta.url)
const clean: (() => unknown)[] = []
afterEach(async () => {
  for (const step of clean.splice(0).toReversed()) await step()
})

/** A consuming process, and what it reported. */
interface Member {
  readonly process: ReportingProcess
  readonly handled: Extract<ConsumerReport, { kind: 'handled' }>[]
  readonly failures: string[]
  partitions: number | undefined
  states: Readonly<Record<string, string>>
}

function startMember(assignment: ConsumerAssignment): Member {
  const onReport = (report: ConsumerReport): void => {
    if (report.kind === 'handled') member.handled.push(report)
    else if (report.kind === 'joined') member.partitions = report.partitions
    else if (report.kind === 'keys') member.states = report.states
    else member.failures.push(report.reason)
  }
  const process = startReporting<ConsumerReport>({ script: CONSUMER, assignment, onReport })
  clean.push(() => process.running() && process.end('SIGKILL'))
  const member: Member = { process, handled: [], failures: [], partitions: undefined, states: {} }
  return member
}

interface Course {
  readonly batches: readonly Batch[]
  readonly requests: readonly CountedRequest[]
  readonly members: readonly Member[]
}

/** The whole story; `joined` says when both consumers are at work. */
async function rotateTwice(broker: RotationBroker, joined: (members: readonly Member[]) => boolean): Promise<Course> {
  const folder = await mkdtemp(join(tmpdir(), 'sealbus-rotation-'))
  clean.push(() => rm(folder, { recursive: true }))
  const identities = join(folder, 'billing.private.jwks.json')
  await sealbus('keys', 'generate', identities, '--kid', 'billing-1')

  const serving = await startServing(identities)
  clean.push(() => serving.end('SIGKILL'))
  const endpoint = await startCountedEndpoint(serving.url)
  clean.push(() => endpoint.close())
  const members = [startMember({ broker, identities }), startMember({ broker, identities })]
  await expect.poll(() => joined(members), PATIENCE).toBe(true)

  const batches: Batch[] = []
  const assignment: ProducerAssignment = { broker, endpoint: endpoint.url, freshMs: FRESH_MS, messages: MESSAGES, batch: BATCH, pauseMs: PAUSE_MS }
  const ended = Promise.withResolvers<number | NodeJS.Signals | null>()
  const producer = startReporting<Batch>({ script: PRODUCER, assignment, onReport: (batch) => batches.push(batch), onEnd: ended.resolve })
  clean.push(() => producer.running() && producer.end('SIGKILL'))
  const sent = (): number => batches.length * BATCH
  for (const [index, kid] of ['billing-2', 'billing-3'].entries()) {
    await expect.poll(sent, PATIENCE).toBeGreaterThanOrEqual((MESSAGES / 4) * (index + 1))
    await sealbus('keys', 'generate', identities, '--kid', kid, ...(index === 0 ? [] : ['--type', 'RSA']))
    // The rule of a rotation: on every instance first, then published.
    await expect.poll(() => members.map(({ states }) => states[kid]), PATIENCE).toEqual(['pending', 'pending'])
    expect(await sealbus('keys', 'rotate', identities)).toMatchObject({ sealedFor: kid, changes: [{ from: 'active', to: 'retiring' }, { kid, from: 'pending', to: 'active' }] })
    await expect.poll(() => batches.at(-1)?.kids[1], PATIENCE).toBe(kid)
  }
  producer.tell('finish')
  expect(await ended.promise).toBe(0)
  expect(sent()).toBeGreaterThanOrEqual(MESSAGES)
  await expect.poll(() => members.reduce((sum, { handled }) => sum + handled.length, 0), PATIENCE).toBeGreaterThanOrEqual(sent())
  for (const { process } of members) expect(await process.end('SIGTERM')).toBe(0)
  expect(await serving.end('SIGTERM')).toBe(0)
  return { batches, requests: endpoint.requests, members }
}

/** What holds on every broker. */
function expectNothingLost({ batches, members }: Course): void {
  expect(members.flatMap(({ failures }) => failures)).toEqual([])
  const handled = members.flatMap((member) => member.handled)
  expect(handled.filter(({ redelivered }) => redelivered)).toEqual([])
  expect(members.every((member) => member.handled.length > MESSAGES / 10), 'both took part').toBe(true)
  const counts = new Map<number, number>()
  for (const { n } of handled) counts.set(n, (counts.get(n) ?? 0) + 1)
  const total = batches.length * BATCH
  expect(Array.from({ length: total }, (_, n) => n).filter((n) => counts.get(n) !== 1), 'numbers that were not handled exactly once').toEqual([])
  expect(handled).toHaveLength(total)
}

/** Each message was sealed for the one key that the directory had then, and the keys follow each other without going back. */
function expectKeysInTurn({ batches, members, requests }: Course): void {
  const kids = new Map(members.flatMap(({ handled }) => handled.map(({ n, kid }) => [n, kid])))
  const wrong = batches.flatMap(({ from, count, kids: possible }) => Array.from({ length: count }, (_, index) => from + index).filter((n) => !possible.includes(kids.get(n))))
  expect(wrong, 'numbers that were sealed for another key than the directory had').toEqual([])
  const inOrder = Array.from(kids).toSorted(([a], [b]) => a - b).map(([, kid]) => kid)
  expect(inOrder.filter((kid, index) => index === 0 || kid !== inOrder[index - 1])).toEqual(KIDS)
  // Once the directory was told of a key, nothing is sealed for the one before.
  const changes = requests.filter(({ status }) => status === 200)
  for (const [index, { at }] of changes.entries()) {
    const late = batches.filter(({ startedAt, kids: [before] }) => startedAt > at + 5_000 && before !== undefined && KIDS.indexOf(before) < index)
    expect(late, `batches for an older key than ${KIDS[index]}`).toEqual([])
  }
}

/** Refreshed ahead, at 80 % of the fresh time give or take a tenth of that: no more often, and not much less. */
function expectFetchesByTheClock({ requests, batches }: Course): void {
  expect(requests.filter(({ status }) => status === 200), 'one whole set for each key').toHaveLength(KIDS.length)
  expect(requests.filter(({ status }) => status !== 200 && status !== 304)).toEqual([])
  const [first, last] = [requests[0]?.at ?? NaN, requests.at(-1)?.at ?? NaN]
  const most = 2 + Math.floor((last - first) / (FRESH_MS * 0.8 * 0.9))
  const least = Math.floor((last - first) / (FRESH_MS * 1.5))
  console.info(`${batches.length * BATCH} messages in ${((last - first) / 1_000).toFixed(1)} s, ${requests.length} fetches; the clock allows ${most}`)
  expect(requests.length).toBeLessThanOrEqual(most)
  expect(requests.length).toBeGreaterThanOrEqual(least)
}

const TITLE = '§7.21 50,000 messages while the recipient rotates its key twice: each is handled once, none is parked, the directory asks no more than it may'

describeWithKafka('rotation: Kafka', ({ bootstrap }) => {
  it(TITLE, { timeout: 600_000 }, async () => {
    const [topic, group, parkTopic] = [uniqueName('orders'), uniqueName('billing'), uniqueName('parked')]
    await createTopics(bootstrap, [{ topic, numPartitions: 4 }, { topic: parkTopic, numPartitions: 1 }])
    const course = await rotateTwice({ kind: 'kafka', bootstrap, topic, group, parkTopic }, (members) => members.every(({ partitions }) => partitions === 2))
    expectNothingLost(course)
    expectKeysInTurn(course)
    expectFetchesByTheClock(course)
    const admin = new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    clean.push(() => admin.disconnect())
    const ends = (await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => `${partition}: ${high}`).toSorted()
    const [committed] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    expect(committed?.partitions.map(({ partition, offset }) => `${partition}: ${offset}`).toSorted()).toEqual(ends)
    expect((await admin.fetchTopicOffsets(parkTopic))[0]?.high).toBe('0')
  })
})

describeWithRabbit('rotation: RabbitMQ', ({ url }) => {
  it(TITLE, { timeout: 600_000 }, async () => {
    const [queue, parkQueue] = [uniqueName('orders'), uniqueName('parked')]
    const connection = await connect(url)
    clean.push(() => connection.close())
    const channel = await connection.createChannel()
    for (const each of [queue, parkQueue]) await channel.assertQueue(each, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
    const course = await rotateTwice({ kind: 'rabbitmq', url, queue, parkQueue }, (members) => members.every(({ partitions }) => partitions !== undefined))
    expectNothingLost(course)
    expectKeysInTurn(course)
    expectFetchesByTheClock(course)
    for (const each of [queue, parkQueue]) {
      expect((await channel.checkQueue(each)).messageCount).toBe(0)
      await channel.deleteQueue(each)
    }
  })
})
