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
import type { Assignment, Handled, KafkaMode } from '../support/outage-consumer.ts'

const OUTAGE_SECONDS = Number(process.env['SEALBUS_OUTAGE_SECONDS'] ?? 60)
const SCRIPT = fileURLToPath(new URL('../support/outage-consumer.ts', import.meta.url))
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
    // Short sessions: the key source is needed all the time.
    session: { messages: 20 },
  })
  return { sealer, keyServer, assignment: { remote: { kid, thumbprint, alg, publicJwk, state }, keyServer: keyServer.url, local } }
}
const FAR = ['far']
const NEAR = ['near']

/** A consuming process, and what it reported. */
class Member {
  readonly #child: ChildProcess
  readonly handled: Handled[] = []

  constructor(assignment: Assignment, running: Member[]) {
    this.#child = spawn(process.execPath, ['--conditions=@sealbus/source', SCRIPT, JSON.stringify(assignment)], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (this.#child.stdout) createInterface(this.#child.stdout).on('line', (line) => this.handled.push(JSON.parse(line) as Handled))
    running.push(this)
  }

  /** Milliseconds until it has exited. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return 0
    const start = Date.now()
    const exited = once(this.#child, 'exit')
    this.#child.kill(signal)
    await exited
    return Date.now() - start
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
      const next = [`${texts.length}`, `${texts.length + 1}`]
      await publish(next)
      texts.push(...next)
      await sleep(50)
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

/** The course of the outage: quiet first, then one SIGTERM and one SIGKILL, each member started anew after a while. */
async function outage(keyServer: KeyServer, groups: { members: Member[]; start(): Member }[]): Promise<{ quiet: [number, number] }> {
  const begin = Date.now()
  await keyServer.goDown()
  const at = async (share: number): Promise<void> => sleep(Math.max(0, begin + share * OUTAGE_SECONDS * 1_000 - Date.now()))
  await at(0.35)
  const quiet: [number, number] = [begin, Date.now()]
  const terminated = await Promise.all(groups.map(({ members }) => memberOf(members, 0).end('SIGTERM')))
  for (const ms of terminated) expect(ms).toBeLessThan(5_000)
  await at(0.5)
  for (const group of groups) group.members.push(group.start())
  await at(0.65)
  await Promise.all(groups.map(({ members }) => memberOf(members, 1).end('SIGKILL')))
  await at(0.8)
  for (const group of groups) group.members.push(group.start())
  await at(1)
  await keyServer.comeBack()
  return { quiet }
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
    for (const { members } of groups) await expect.poll(() => new Set(handledBy(members).map(({ source }) => source)).size, TIMEOUT).toBe(PARTITIONS.length)
    await expect.poll(() => groups.every(({ members }) => members.every(({ handled }) => handled.length > 0)), TIMEOUT).toBe(true)

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

    const { quiet } = await outage(keyServer, groups)
    await sleep(2_000)
    await production.stop()
    for (const { members } of groups) {
      await expect.poll(() => PARTITIONS.map((partition) => new Set(handledBy(members).filter(({ source }) => source === `${partition}`).map(({ text }) => text)).size), { timeout: 90_000, interval: 500 }).toEqual(PARTITIONS.map(() => production.texts.length))
    }
    sampling = false
    await sampler

    expect(production.texts.length).toBeGreaterThan(OUTAGE_SECONDS * 10)
    expect((await admin.fetchTopicOffsets(parkTopic))[0]?.high).toBe('0')
    for (const { group, members, mode } of groups) {
      const handled = handledBy(members)
      for (const partition of PARTITIONS) {
        const mine = handled.filter(({ source }) => source === `${partition}`)
        const firstHandled = new Map<number, number>()
        for (const { position, at } of mine) firstHandled.set(Number(position), Math.min(at, firstHandled.get(Number(position)) ?? Infinity))
        for (const sample of samples.filter((each) => each.group === group && each.partition === partition)) {
          for (let offset = 0; offset < sample.offset; offset++) {
            expect(firstHandled.get(offset) ?? Infinity, `${mode}: offset ${offset} of partition ${partition} was committed before it was handled`).toBeLessThanOrEqual(sample.at)
          }
        }
        if (isNear(partition)) expect(longestGap(mine, ...quiet), `${mode}: the gap of partition ${partition}`).toBeLessThanOrEqual(1_000)
        else expect(longestGap(mine, ...quiet), `${mode}: partition ${partition} is held`).toBeGreaterThan(quiet[1] - quiet[0] - 3_000)
      }
    }
    await Promise.all(running.map((member) => member.end('SIGTERM')))
    await Promise.all([producer.disconnect(), admin.disconnect(), keyServer.goDown()])
  })
})

describeWithRabbit('outage: RabbitMQ', ({ url }) => {
  it(`the key source is down for ${OUTAGE_SECONDS} s under load: nothing is lost or parked`, { timeout: OUTAGE_SECONDS * 1_000 + 180_000 }, async () => {
    const { sealer, keyServer, assignment } = await prepare()
    const [far, near, parkQueue] = [uniqueName('orders-far'), uniqueName('orders-near'), uniqueName('parked')]
    const connection = await connect(url)
    const raw = await connection.createConfirmChannel()
    for (const queue of [far, near, parkQueue]) await raw.assertQueue(queue, { durable: true })
    const channel = await sealAmqp(connection, { sealer }).createConfirmChannel()

    const start = (): Member => new Member({ ...assignment, broker: { kind: 'rabbitmq', url, queues: [far, near], parkQueue } }, running)
    const group = { start, members: [start(), start()] }
    const production = produce(async (texts) => {
      for (const [queue, kind] of [[far, 'far'], [near, 'near']] as const) for (const text of texts) channel.sendToQueue(queue, Buffer.from(text), { persistent: true, headers: { kind } })
      await channel.waitForConfirms()
    })
    const handled = (queue: string): Handled[] => group.members.flatMap((member) => member.handled.filter(({ source }) => source === queue))
    await expect.poll(() => group.members.every((member) => member.handled.length > 0), TIMEOUT).toBe(true)

    const { quiet } = await outage(keyServer, [group])
    await sleep(2_000)
    await production.stop()
    for (const queue of [far, near]) await expect.poll(() => new Set(handled(queue).map(({ text }) => text)).size, { timeout: 90_000, interval: 500 }).toBe(production.texts.length)

    expect(production.texts.length).toBeGreaterThan(OUTAGE_SECONDS * 10)
    expect((await raw.checkQueue(parkQueue)).messageCount).toBe(0)
    expect(longestGap(handled(near), ...quiet)).toBeLessThanOrEqual(1_000)
    expect(longestGap(handled(far), ...quiet)).toBeGreaterThan(quiet[1] - quiet[0] - 3_000)
    await Promise.all(running.map((member) => member.end('SIGTERM')))
    expect((await raw.checkQueue(far)).messageCount).toBe(0)
    for (const queue of [far, near, parkQueue]) await raw.deleteQueue(queue)
    await Promise.all([connection.close(), keyServer.goDown()])
  })
})
