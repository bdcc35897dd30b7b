import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { generateKeyPairSync } from 'node:crypto'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createSealer, createStaticDirectory, defineChannels, loadIdentities, type Sealer } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { connect } from 'amqplib'
import type { JWK } from 'jose'
import { Kafka, logLevel } from 'kafkajs'
import { afterEach, expect, it } from 'vitest'
import { createTopics, describeWithKafka, describeWithRabbit, uniqueName } from '../support/brokers.ts'
import { type KeyServer, startKeyServer } from '../support/key-server.ts'
import type { Assignment, Handled, KafkaMode, Report } from '../support/outage-consumer.ts'

const OUTAGE_SECONDS = Number(process.env['SEALBUS_OUTAGE_SECONDS'] ?? 60)
const SCRIPT = fileURLToPath(new URL('../support/outage-consumer.ts', import.meta.url))
/** Of each RabbitMQ consumer. */
const PREFETCH = 50
const TIMEOUT = { timeout: 60_000, interval: 200 }

/** The parts that both brokers need: one key behind a key server, one that is at hand, and a sealer for both. */
async function prepare(): Promise<{ sealer: Sealer; keyServer: KeyServer; assignment: Omit<Assignment, 'broker'> }> {
  const jwk = (kid: string): JWK => ({ ...(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as JWK), kid })
  const [far, local] = [jwk('far'), jwk('near')]
  const [remote, near] = (await loadIdentities({ keys: [far, local] })).list()
  if (!remote || !near) return expect.fail('no identities')
  const keyServer = await startKeyServer(remote)
  const { kid, thumbprint, alg, publicJwk, state } = remote
  // The key of a message says for which of the two it is sealed; without keys, its header does.
  const to = ({ key, headers }: { key?: Buffer | string | null; headers?: Readonly<Record<string, unknown>> }): readonly string[] => (String(key ?? headers?.['kind']).startsWith('near') ? NEAR : FAR)
  const sealer = createSealer({
    directory: createStaticDirectory({ far: remote.publicJwk, near: near.publicJwk }),
    channels: defineChannels({ orders: { to, match: [/^orders/] } }),
    // Short sessions: the key source is needed all the time, and most batches hold messages of two sessions.
    session: { messages: 7 },
  })
  return { sealer, keyServer, assignment: { remote: { kid, thumbprint, alg, publicJwk, state }, keyServer: keyServer.url, local } }
}
const FAR = ['far']
const NEAR = ['near']

/** A consuming process, and what it reported. */
class Member {
  readonly #child: ChildProcess
  readonly handled: Handled[] = []
  /** Crashes, cancelled consumers, parked messages: none of them may happen. */
  readonly failures: string[] = []
  /** The partitions of its last rebalance; undefined until it consumes. */
  partitions: readonly number[] | undefined

  constructor(assignment: Assignment, running: Member[]) {
    this.#child = spawn(process.execPath, ['--conditions=@sealbus/source', SCRIPT, JSON.stringify(assignment)], { stdio: ['pipe', 'pipe', 'inherit'] })
    if (this.#child.stdout) createInterface(this.#child.stdout).on('line', (line) => this.#note(JSON.parse(line) as Report))
    running.push(this)
  }

  #note(report: Report): void {
    if (report.kind === 'handled') this.handled.push(report)
    else if (report.kind === 'joined') this.partitions = report.partitions
    else this.failures.push(report.reason)
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Its exit code, or the signal that ended it, and the milliseconds until then. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<{ outcome: number | string | null; ms: number }> {
    const start = Date.now()
    if (this.alive) {
      // With the streams, so that its last lines are read.
      const closed = once(this.#child, 'close')
      this.#child.kill(signal)
      await closed
    }
    return { outcome: this.#child.exitCode ?? this.#child.signalCode, ms: Date.now() - start }
  }
}

const running: Member[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((member) => member.end('SIGKILL')))
})

/** Publishes until it is stopped; all that it published is in `texts`. */
function produce(publish: (texts: readonly string[]) => Promise<void>): { readonly texts: string[]; stop(): Promise<void> } {
  const texts: string[] = []
  let going = true
  const loop = (async (): Promise<void> => {
    while (going) {
      const next = Array.from({ length: 5 }, (_, index) => `${texts.length + index}`)
      await publish(next)
      texts.push(...next)
      await sleep(100)
    }
  })()
  return {
    texts,
    async stop(): Promise<void> {
      going = false
      await loop
    },
  }
}

const longestGap = (handled: readonly Handled[], from: number, until: number): number => {
  const times = [from, ...handled.map(({ at }) => at).filter((at) => at > from && at < until).toSorted((a, b) => a - b), until]
  return Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)))
}

const memberOf = (members: readonly Member[], index: number): Member => members[index] ?? expect.fail('no such member')

interface Group {
  readonly members: Member[]
  start(): Member
}
type Window = readonly [from: number, until: number]

const alive = ({ members }: Group): Member[] => members.filter((member) => member.alive)

/** Every process must be there to be ended: one that has died before would pass any time limit. */
async function endMember(group: Group, member: Member, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  expect(member.alive, 'a member died by itself').toBe(true)
  const { outcome, ms } = await member.end(signal)
  expect(member.failures).toEqual([])
  expect(outcome).toBe(signal === 'SIGTERM' ? 0 : 'SIGKILL')
  if (signal === 'SIGTERM') expect(ms).toBeLessThan(5_000)
  group.members.push(group.start())
}

/** Short outages: each cuts batches in their midst, between a message whose content key is known and the next. */
async function flicker(keyServer: KeyServer): Promise<void> {
  for (let round = 0; round < 8; round++) {
    await keyServer.goDown()
    await sleep(250)
    await keyServer.comeBack()
    await sleep(500)
  }
}

/**
 * The course of the outage: quiet first, then one SIGTERM and one SIGKILL in each group, each member started anew.
 * Returns the times in which every group had two members and no rebalance.
 */
async function outage(keyServer: KeyServer, groups: readonly Group[], whenSettled: () => Promise<void>): Promise<readonly Window[]> {
  const begin = Date.now()
  const quiet: Window[] = []
  await keyServer.goDown()
  const at = async (share: number): Promise<void> => sleep(Math.max(0, begin + share * OUTAGE_SECONDS * 1_000 - Date.now()))
  await at(0.3)
  quiet.push([begin, Date.now()])
  await Promise.all(groups.map((group) => endMember(group, memberOf(group.members, 0), 'SIGTERM')))
  await whenSettled()
  const afterTerm = Date.now()
  await at(0.6)
  quiet.push([afterTerm, Date.now()])
  await Promise.all(groups.map((group) => endMember(group, memberOf(group.members, 1), 'SIGKILL')))
  await whenSettled()
  const afterKill = Date.now()
  await at(1)
  quiet.push([afterKill, Date.now()])
  await keyServer.comeBack()
  return quiet
}

describeWithKafka('outage: Kafka', ({ bootstrap }) => {
  it(`the key source is down for ${OUTAGE_SECONDS} s under load: nothing is lost, parked, or committed past`, { timeout: OUTAGE_SECONDS * 1_000 + 180_000 }, async () => {
    const { sealer, keyServer, assignment } = await prepare()
    const topic = uniqueName('orders')
    const parkTopic = uniqueName('parked')
    // With two members, each has a partition that needs the key source and one that does not.
    const PARTITIONS = [0, 1, 2, 3]
    const isNear = (partition: number): boolean => partition >= 2
    await createTopics(bootstrap, [{ topic, numPartitions: PARTITIONS.length }, { topic: parkTopic, numPartitions: 1 }])
    const kafka = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING })
    const producer = sealKafka(kafka, { sealer }).producer()
    const admin = kafka.admin()
    await Promise.all([producer.connect(), admin.connect()])

    const groups = (['eachMessage', 'eachBatch', 'manual commit'] as KafkaMode[]).map((mode) => {
      const group = uniqueName('billing')
      const start = (): Member => new Member({ ...assignment, broker: { kind: 'kafka', bootstrap, topic, group, mode, parkTopic } }, running)
      return { mode, group, start, members: [start(), start()] }
    })
    const production = produce(async (texts) => {
      await producer.send({ topic, messages: PARTITIONS.flatMap((partition) => texts.map((value) => ({ value, partition, key: isNear(partition) ? 'near' : 'far' }))) })
    })
    const handledBy = (members: readonly Member[]): Handled[] => members.flatMap(({ handled }) => handled)
    /** Both members of each group have two partitions, and together all; and every partition has been handled since. */
    const settled = async (needed: (partition: number) => boolean): Promise<void> => {
      await expect.poll(() => groups.map((group) => alive(group).flatMap(({ partitions = [] }) => partitions).toSorted((a, b) => a - b)), TIMEOUT).toEqual(groups.map(() => PARTITIONS))
      const since = Date.now()
      const moved = (members: readonly Member[], partition: number): boolean => handledBy(members).some((each) => each.at > since && each.source === `${partition}`)
      await expect.poll(() => groups.every(({ members }) => PARTITIONS.filter(needed).every((partition) => moved(members, partition))), TIMEOUT).toBe(true)
    }
    await settled(() => true)

    const samples: { group: string; at: number; partition: number; offset: number }[] = []
    let sampling = true
    const sampler = (async (): Promise<void> => {
      while (sampling) {
        for (const { group } of groups) {
          const [offsets] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
          const at = Date.now()
          for (const { partition, offset } of offsets?.partitions ?? []) samples.push({ group, at, partition, offset: Number(offset) })
        }
        await sleep(1_000)
      }
    })()

    await flicker(keyServer)
    await settled(() => true)
    const quiet = await outage(keyServer, groups, () => settled(isNear))
    await settled(() => true)
    await production.stop()
    for (const { members } of groups) {
      await expect.poll(() => PARTITIONS.map((partition) => new Set(handledBy(members).filter(({ source }) => source === `${partition}`).map(({ text }) => text)).size), { timeout: 90_000, interval: 500 }).toEqual(PARTITIONS.map(() => production.texts.length))
    }
    sampling = false
    await sampler
    for (const group of groups) for (const member of alive(group)) expect(await member.end('SIGTERM')).toMatchObject({ outcome: 0 })

    expect(samples.length).toBeGreaterThan(groups.length * PARTITIONS.length * OUTAGE_SECONDS * 0.8)
    const ends = (await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => `${partition}: ${high}`).toSorted()
    expect(production.texts.length).toBeGreaterThan(OUTAGE_SECONDS * 10)
    expect((await admin.fetchTopicOffsets(parkTopic))[0]?.high).toBe('0')
    for (const { group, members, mode } of groups) {
      expect(members.flatMap(({ failures }) => failures)).toEqual([])
      const [committed] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
      expect(committed?.partitions.map(({ partition, offset }) => `${partition}: ${offset}`).toSorted(), `${mode}: what is committed in the end`).toEqual(ends)
      const handled = handledBy(members)
      for (const partition of PARTITIONS) {
        const mine = handled.filter(({ source }) => source === `${partition}`)
        const firstHandled = new Map<number, number>()
        for (const { position, at } of mine) firstHandled.set(Number(position), Math.min(at, firstHandled.get(Number(position)) ?? Infinity))
        for (const sample of samples.filter((each) => each.group === group && each.partition === partition)) {
          const beyond = Array.from({ length: sample.offset }, (_, offset) => offset).filter((offset) => (firstHandled.get(offset) ?? Infinity) > sample.at)
          expect(beyond, `${mode}: offsets of partition ${partition} that were committed before they were handled`).toEqual([])
        }
        for (const [index, window] of quiet.entries()) {
          const gap = longestGap(mine, ...window)
          if (isNear(partition)) expect(gap, `${mode}: the gap of partition ${partition} in quiet time ${index}`).toBeLessThanOrEqual(1_000)
          // A few messages have content keys from before.
          else expect(gap, `${mode}: partition ${partition} is held in quiet time ${index}`).toBeGreaterThan(window[1] - window[0] - 3_000)
        }
      }
    }
    await Promise.all([producer.disconnect(), admin.disconnect(), keyServer.goDown()])
  })
})

describeWithRabbit('outage: RabbitMQ', ({ url }) => {
  it(`the key source is down for ${OUTAGE_SECONDS} s under load: nothing is lost or parked`, { timeout: OUTAGE_SECONDS * 1_000 + 180_000 }, async () => {
    const { sealer, keyServer, assignment } = await prepare()
    const [far, near, parkQueue] = [uniqueName('orders-far'), uniqueName('orders-near'), uniqueName('parked')]
    const connection = await connect(url)
    const raw = await connection.createConfirmChannel()
    // Deliveries are counted: if held messages went back to the queue again and again, it would drop them.
    for (const queue of [far, near, parkQueue]) await raw.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 4 } })
    const channel = await sealAmqp(connection, { sealer }).createConfirmChannel()

    const start = (): Member => new Member({ ...assignment, broker: { kind: 'rabbitmq', url, queues: [far, near], parkQueue, prefetch: PREFETCH } }, running)
    const group = { start, members: [start(), start()] }
    const production = produce(async (texts) => {
      for (const [queue, kind] of [[far, 'far'], [near, 'near']] as const) for (const text of texts) channel.sendToQueue(queue, Buffer.from(text), { persistent: true, headers: { kind } })
      await channel.waitForConfirms()
    })
    const handled = (queue: string): Handled[] => group.members.flatMap((member) => member.handled.filter(({ source }) => source === queue))
    const settled = async (queues: readonly string[]): Promise<void> => {
      await expect.poll(() => alive(group).filter(({ partitions }) => partitions !== undefined).length, TIMEOUT).toBe(2)
      const since = Date.now()
      const moved = (member: Member, queue: string): boolean => member.handled.some((each) => each.at > since && each.source === queue)
      await expect.poll(() => alive(group).every((member) => queues.every((queue) => moved(member, queue))), TIMEOUT).toBe(true)
    }
    await settled([far, near])

    await flicker(keyServer)
    await settled([far, near])
    const quiet = await outage(keyServer, [group], async () => {
      await settled([near])
      // Neither in the queue nor handled: each of the two holds what its prefetch lets it have.
      const held = async (): Promise<number> => {
        const published = production.texts.length
        const { messageCount } = await raw.checkQueue(far)
        return published - messageCount - new Set(handled(far).map(({ text }) => text)).size
      }
      await expect.poll(async () => Math.abs((await held()) - 2 * PREFETCH) <= 10, TIMEOUT).toBe(true)
    })
    await settled([far, near])
    await production.stop()
    for (const queue of [far, near]) await expect.poll(() => new Set(handled(queue).map(({ text }) => text)).size, { timeout: 90_000, interval: 500 }).toBe(production.texts.length)

    expect(production.texts.length).toBeGreaterThan(OUTAGE_SECONDS * 10)
    expect((await raw.checkQueue(parkQueue)).messageCount).toBe(0)
    // RabbitMQ has no rebalance: the other queue goes on while members come and go.
    const [from, until] = [quiet[0]?.[0] ?? NaN, quiet.at(-1)?.[1] ?? NaN]
    expect(longestGap(handled(near), from, until)).toBeLessThanOrEqual(1_000)
    expect(longestGap(handled(far), from, until)).toBeGreaterThan(until - from - 3_000)
    expect(group.members.flatMap(({ failures }) => failures)).toEqual([])
    for (const member of alive(group)) expect(await member.end('SIGTERM')).toMatchObject({ outcome: 0 })
    for (const queue of [far, near]) expect((await raw.checkQueue(queue)).messageCount).toBe(0)
    for (const queue of [far, near, parkQueue]) await raw.deleteQueue(queue)
    await Promise.all([connection.close(), keyServer.goDown()])
  })
})
