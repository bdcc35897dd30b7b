import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createOpener, defineChannels, loadIdentities, type Opener } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { connect } from 'amqplib'
import type { JWK } from 'jose'
import { Kafka, logLevel } from 'kafkajs'
import { afterEach, expect, it } from 'vitest'
import { createTopics, describeWithKafka, describeWithRabbit, uniqueName } from '../support/brokers.ts'
import type { ProducerAssignment, ProducerReport } from '../support/endpoint-producer.ts'
import { type ReportingProcess, startReporting } from '../support/reporting-process.ts'

const FRESH_MS = 1_000
/** Long enough for a process to start in the meantime, also on a busy machine. */
const MAX_STALE_MS = 25_000
const WAIT = { timeout: 60_000, interval: 100 }

/** A key endpoint that can be switched off: connections are refused then. It says nothing of fresh times. */
async function startEndpoint(jwks: () => object): Promise<{ url: string; goDown(): Promise<void>; comeBack(): Promise<void> }> {
  const listen = async (port: number): Promise<Server> => {
    const made = createServer((_request, response) => void response.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end(JSON.stringify(jwks())))
    await new Promise<void>((resolve) => made.listen(port, '127.0.0.1', resolve))
    return made
  }
  let server = await listen(0)
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/jwks.json`,
    async goDown(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
    async comeBack(): Promise<void> {
      server = await listen(port)
    },
  }
}

/** A producing process and what it reported. */
interface Producing {
  readonly process: ReportingProcess
  readonly reports: ProducerReport[]
  readonly of: <Kind extends ProducerReport['kind']>(kind: Kind, since?: number) => Extract<ProducerReport, { kind: Kind }>[]
}

const running: ReportingProcess[] = []
const cleaning: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.end('SIGKILL')))
  for (const clean of cleaning.splice(0).toReversed()) await clean()
})

function startProducer(assignment: ProducerAssignment): Producing {
  const reports: ProducerReport[] = []
  const process = startReporting<ProducerReport>({ script: new URL('../support/endpoint-producer.ts', import.meta.url), assignment, onReport: (report) => reports.push(report) })
  running.push(process)
  const of = <Kind extends ProducerReport['kind']>(kind: Kind, since = 0): Extract<ProducerReport, { kind: Kind }>[] => reports.filter((each): each is Extract<ProducerReport, { kind: Kind }> => each.kind === kind && each.at >= since)
  return { process, reports, of }
}

/**
 * The course of the outage, the same on both brokers. Returns what was sent: all of it, and nothing else, is to arrive.
 */
async function outage(broker: ProducerAssignment['broker'], jwks: object): Promise<string[]> {
  const endpoint = await startEndpoint(() => jwks)
  cleaning.push(() => endpoint.goDown())
  const folder = await mkdtemp(join(tmpdir(), 'sealbus-endpoint-'))
  cleaning.push(() => rm(folder, { recursive: true, force: true }))
  const assignment = { broker, endpoint: endpoint.url, snapshot: join(folder, 'snapshot.json'), freshMs: FRESH_MS, maxStaleMs: MAX_STALE_MS }
  const first = startProducer({ ...assignment, name: 'first' })
  // For longer than the fresh time, so that it has read the endpoint again.
  await expect.poll(() => first.of('sent').length, WAIT).toBeGreaterThan(30)

  await endpoint.goDown()
  const down = Date.now()
  // Longer than the fresh time: sealing goes on.
  await expect.poll(() => first.of('sent', down + 3 * FRESH_MS).length, WAIT).toBeGreaterThan(20)
  expect(first.of('refused')).toEqual([])

  // Started anew while the endpoint is down: it has the snapshot.
  await first.process.end('SIGKILL')
  const second = startProducer({ ...assignment, name: 'second' })
  await expect.poll(() => second.of('sent').length, WAIT).toBeGreaterThan(0)
  expect(second.of('sent')[0]?.at).toBeLessThan(down + MAX_STALE_MS)

  // Longer than the stale time: refused, with a reason that may pass.
  await expect.poll(() => second.of('refused').length, WAIT).toBeGreaterThan(20)
  // Nothing waits on a channel: what is published while the keys are asked for again, which may take a while, is told that alone.
  await expect.poll(() => second.of('refused').some(({ code }) => code === 'ERR_SEALBUS_DIRECTORY_UNAVAILABLE'), WAIT).toBe(true)
  const [refusedFirst] = second.of('refused')
  // The last good answer came before the endpoint went down.
  expect(refusedFirst?.at).toBeLessThan(down + MAX_STALE_MS + 2_000)
  expect(second.of('sent', refusedFirst?.at)).toEqual([])
  for (const { code, transient } of second.of('refused')) expect([code, transient]).toEqual(broker.kind === 'kafka' ? ['ERR_SEALBUS_DIRECTORY_UNAVAILABLE', true] : [expect.stringMatching(/^ERR_SEALBUS_(DIRECTORY_UNAVAILABLE|KEYS_NOT_READY)$/), true])

  // Without a snapshot nothing starts.
  const third = startProducer({ ...assignment, name: 'third', snapshot: join(folder, 'none.json') })
  await expect.poll(() => third.of('failed').length, WAIT).toBe(1)
  expect(third.of('failed')[0]?.reason).toContain('the key endpoint of "billing"')

  await endpoint.comeBack()
  const back = Date.now()
  await expect.poll(() => second.of('sent', back).length, { ...WAIT, timeout: 90_000 }).toBeGreaterThan(20)
  await second.process.end('SIGKILL')
  expect([...first.of('failed'), ...second.of('failed')]).toEqual([])
  return [...first.of('sent'), ...second.of('sent')].map(({ text }) => text)
}

/** A recipient with its public keys, as its endpoint publishes them, and an opener that parks nothing. */
async function recipient(): Promise<{ jwks: object; opener: Opener }> {
  const jwk = { ...(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as JWK), kid: 'billing-1' }
  const identities = await loadIdentities({ keys: [jwk] })
  const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders/] } })
  return { jwks: { keys: identities.list().map(({ publicJwk }) => publicJwk) }, opener: createOpener({ name: 'billing', identities, channels }) }
}

/** What was reported as sent has arrived; and of what a killed process could not report any more, at most one message. */
function expectArrived(arrived: readonly string[], sent: readonly string[]): void {
  const missing = sent.filter((text) => !arrived.includes(text))
  expect(missing).toEqual([])
  const unreported = arrived.filter((text) => !sent.includes(text))
  expect(unreported.length).toBeLessThanOrEqual(2)
}

describeWithKafka('endpoint: Kafka', ({ bootstrap }) => {
  it('the key endpoint dies: sealing goes on, is refused past the stale time, and resumes by itself; a restart has the snapshot', { timeout: 300_000 }, async () => {
    const { jwks, opener } = await recipient()
    const topic = uniqueName('orders')
    await createTopics(bootstrap, [{ topic, numPartitions: 1 }])
    const kafka = new Kafka({ brokers: [...bootstrap], logLevel: logLevel.NOTHING })
    const sent = await outage({ kind: 'kafka', bootstrap, topic }, jwks)
    const arrived: string[] = []
    const stopped: string[] = []
    const consumer = sealKafka(kafka, { opener, onStopped: ({ error }) => void stopped.push(error.code) }).consumer({ groupId: uniqueName('billing') })
    cleaning.push(() => consumer.disconnect())
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => void arrived.push(String(message.value)) })
    await expect.poll(() => arrived.length, WAIT).toBeGreaterThanOrEqual(sent.length)
    expectArrived(arrived, sent)
    expect(stopped).toEqual([])
  })
})

describeWithRabbit('endpoint: RabbitMQ', ({ url }) => {
  it('the key endpoint dies: sealing goes on, is refused past the stale time, and resumes by itself; a restart has the snapshot', { timeout: 300_000 }, async () => {
    const { jwks, opener } = await recipient()
    const queue = uniqueName('orders')
    const connection = await connect(url)
    cleaning.push(() => connection.close())
    const raw = await connection.createChannel()
    await raw.assertQueue(queue, { durable: true })
    cleaning.push(() => raw.deleteQueue(queue))
    const sent = await outage({ kind: 'rabbitmq', url, queue }, jwks)
    const arrived: string[] = []
    const stopped: string[] = []
    const channel = await sealAmqp(connection, { opener, onStopped: ({ error }) => void stopped.push(error.code) }).createChannel()
    await channel.consume(queue, (message) => {
      if (!message) return
      arrived.push(message.content.toString())
      channel.ack(message)
    })
    await expect.poll(() => arrived.length, WAIT).toBeGreaterThanOrEqual(sent.length)
    expectArrived(arrived, sent)
    expect(stopped).toEqual([])
    await channel.close()
  })
})
