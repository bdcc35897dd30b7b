import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCanaries } from '../support/canaries.ts'
import { kafkaMissing } from '../support/kafka-distribution.ts'
import { startReporting } from '../support/reporting-process.ts'
import { type ScannedKafka, startScannedKafka } from '../support/scanned-kafka.ts'
import { searchFiles } from '../support/segment-scan.ts'
import { type Services, startServices } from '../support/services.ts'
import type { ConsumptionReport, KafkaConsumption } from './kafka-consumer.ts'
import { createKafkaLedger } from './kafka-ledger.ts'
import type { KafkaProduction, ProductionReport } from './kafka-producer.ts'
import { KEYS, SERVICES, type ServiceName } from './orders.ts'
import { count, megabytes, print, untilAs } from './summary.ts'
import { supervise } from './supervision.ts'

const TOTAL = Number(process.env['CHAOS_MESSAGES'] ?? 100_000)
const PER_SEND = Math.ceil(Math.min(100, TOTAL / 1_000))
const PARTITIONS = 6
const COMMIT_EVERY = 200
/** What is killed, one after the other: a broker by its number, or the process that consumes for billing. */
const STRIKES = [1, 2, 3, 'consumer', 1, 2, 3, 1, 'consumer', 2, 3, 1] as const

describe('chaos on Kafka', () => {
  const orders = createCanaries()
  const controls = createCanaries()
  const marks = { order: orders.mark, control: controls.mark }
  const running: { stop(): Promise<unknown> }[] = []
  let kafka: ScannedKafka
  let services: Services

  beforeAll(async () => {
    const missing = kafkaMissing()
    if (missing !== undefined) throw new Error(`There is no Kafka to be killed: ${missing}`)
    services = await startServices(...SERVICES)
    kafka = await startScannedKafka([...orders.patterns, ...controls.patterns], { brokers: 3 })
  })
  afterAll(async () => {
    await Promise.all(running.map((each) => each.stop()))
    services?.close()
    await kafka?.stop()
  })

  it(`${count(TOTAL)} sealed messages get through while brokers and consumers are killed`, async () => {
    const begin = Date.now()
    const { cluster, proxies } = kafka
    const { bootstrap } = cluster
    const admin = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING, retry: { retries: 20 } }).admin()
    await admin.connect()
    running.push({ stop: () => admin.disconnect() })
    const topics = [{ topic: 'orders', numPartitions: PARTITIONS }, { topic: 'metrics', numPartitions: PARTITIONS }, ...SERVICES.map((name) => ({ topic: `orders.${name}.parked`, numPartitions: 1 }))]
    await admin.createTopics({ topics, waitForLeaders: true })

    const consumers = SERVICES.map((name) => {
      const ledger = createKafkaLedger()
      const supervised = supervise<ConsumptionReport>({
        script: new URL('kafka-consumer.ts', import.meta.url),
        assignment: { bootstrap, name, marks, commitEvery: COMMIT_EVERY } satisfies KafkaConsumption,
        env: { [KEYS]: services.named(name).privateJwks },
        onReport: (report) => ledger.note(report),
        onEnd: () => ledger.ended(),
      })
      running.push(supervised)
      return { name, ledger, supervised }
    })
    const [billing = expect.fail()] = consumers

    let acknowledged = 0
    let sentAgain = 0
    const rejections: string[] = []
    let producerEnd: number | string | null | undefined
    const production: KafkaProduction = { bootstrap, recipients: Object.fromEntries(SERVICES.map((name) => [name, services.named(name).url])), marks, total: TOTAL, perSend: PER_SEND, partitions: PARTITIONS }
    const producer = startReporting<ProductionReport>({
      script: new URL('kafka-producer.ts', import.meta.url),
      assignment: production,
      onReport(report) {
        if (report.kind === 'acknowledged') acknowledged = report.number
        else {
          sentAgain += report.orders
          rejections.push(report.reason)
        }
      },
      onEnd: (outcome) => void (producerEnd = outcome),
    })
    running.push({ stop: () => producer.end('SIGKILL') })
    const producing = (): void => expect(producerEnd, 'the producing process ended by itself').toBeUndefined()
    const until = (what: string, condition: () => boolean | Promise<boolean>): Promise<void> =>
      untilAs(what, condition, () => ({ acknowledged, rejections: rejections.slice(-3), handled: consumers.map(({ ledger }) => ledger.tally().orders), crashes: consumers.flatMap(({ ledger }) => ledger.crashes.slice(-3)) }))

    const inSync = async (): Promise<boolean> => {
      const { topics } = await admin.fetchTopicMetadata()
      return topics.every(({ partitions }) => partitions.every(({ isr }) => isr.length === 3))
    }

    // Each strike has a share of the orders, and comes down on it in its midst.
    const share = TOTAL / (STRIKES.length + 1)
    let brokerKills = 0
    const uncommittedAtKills: number[] = []
    for (const [index, strike] of STRIKES.entries()) {
      const [from, to] = [Math.floor(index * share), Math.floor((index + 1) * share)]
      producer.tell({ number: to })
      await until('production goes on', () => acknowledged >= from + share / 4)
      producing()
      expect(acknowledged, 'the strike is to come while orders are sent').toBeLessThan(to - PER_SEND)
      if (strike === 'consumer') {
        await until('the consumer is at work', () => billing.ledger.uncommitted() > 0)
        uncommittedAtKills.push(billing.ledger.uncommitted())
        await billing.supervised.kill()
        const { places } = billing.ledger.tally()
        await until('a new process consumes', () => billing.ledger.tally().places > places)
      } else {
        await kafka.kill(strike)
        brokerKills++
        await until('production goes on without the broker', () => acknowledged >= to - PER_SEND)
        await kafka.restart(strike)
        await until('the broker has caught up', inSync)
      }
    }
    producer.tell({ number: TOTAL })
    await until('all orders are acknowledged', () => acknowledged === TOTAL)
    await until('the producer ends', () => producerEnd !== undefined)
    expect(producerEnd).toBe(0)
    const produced = Date.now()

    const ends = async (topic: string): Promise<number> => (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0)
    const [appended, controlsAppended] = [await ends('orders'), await ends('metrics')]
    await until('all is handled', () => consumers.every(({ ledger }) => ledger.tally().places >= appended && ledger.tally().controls >= controlsAppended))
    const committed = async (name: ServiceName): Promise<number> =>
      (await admin.fetchOffsets({ groupId: name, topics: ['orders'] })).flatMap(({ partitions }) => partitions).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
    await until('all is committed', async () => (await Promise.all(SERVICES.map(committed))).every((sum) => sum === appended))
    for (const { supervised } of consumers) await supervised.stop()

    for (const { name, ledger } of consumers) {
      const tally = ledger.tally()
      expect(ledger.failures).toEqual([])
      expect(tally.orders, `${name} handled every number`).toBe(TOTAL)
      expect(tally.places, `${name} handled every place`).toBe(appended)
      expect(tally.belowCommit, `${name} was given nothing again that it had committed`).toBe(0)
      expect(tally.redelivered, `${name} handled twice what was not committed, and no more`).toBeLessThanOrEqual(tally.redeliverable)
      expect(tally.appendedTwice, 'an idempotent producer appends once').toBe(0)
      expect(tally.sentTwice, 'orders are sent again when a send was rejected').toBeLessThanOrEqual(sentAgain)
      expect(await ends(`orders.${name}.parked`), 'nothing is parked').toBe(0)
    }

    // The scanners: each found the control, and none an order.
    const isOrder = (canary: Buffer): boolean => orders.patterns.includes(canary)
    const isControl = (canary: Buffer): boolean => canary.equals(Buffer.from(controls.mark))
    for (const { found } of proxies) {
      expect(found.some(({ canary, direction }) => isControl(canary) && direction === 'to-broker'), 'each proxy sees the control').toBe(true)
    }
    expect(kafka.found().some(({ canary, direction }) => isControl(canary) && direction === 'to-client')).toBe(true)
    expect(kafka.found().filter(({ canary }) => isOrder(canary))).toEqual([])
    const searches = []
    for (const dir of cluster.dataDirs) searches.push(await searchFiles(dir, [...orders.patterns, ...controls.patterns]))
    for (const { findings } of searches) expect(findings.some(({ canary }) => isControl(canary)), "the control is in each broker's files").toBe(true)
    expect(searches.flatMap(({ findings }) => findings).filter(({ canary }) => isOrder(canary))).toEqual([])

    const wire = proxies.reduce((sum, { bytes }) => sum + bytes['to-broker'] + bytes['to-client'], 0)
    const files = searches.reduce((sum, { bytes }) => sum + bytes, 0)
    print('Chaos on Kafka 4.3.1: three brokers, three replicas, two in sync; an idempotent kafkajs producer; at-least-once consumers', {
      messages: `${count(TOTAL)} sealed for ${SERVICES.join(' and ')}, ${PER_SEND} a send; ${rejections.length} sends rejected and sent again; ${count(appended)} in the log`,
      kills: `${brokerKills} × kill -9 of a broker, each started again; ${uncommittedAtKills.length} × kill -9 of billing's consumer, with ${uncommittedAtKills.join(' and ')} messages handled and not committed`,
      ...Object.fromEntries(consumers.map(({ name, ledger, supervised }) => {
        const { orders, redelivered, redeliverable, belowCommit, sentTwice } = ledger.tally()
        return [name, `${count(orders)} of ${count(TOTAL)} handled; ${redelivered} twice (${redeliverable} were uncommitted when places were read anew), ${sentTwice} because they were sent again; ${belowCommit} below a commit; ${supervised.processes} processes, ${ledger.crashes.length} crashes of kafkajs`]
      })),
      plaintext: `0 canaries of sealed messages in ${megabytes(wire)} through the proxies and ${megabytes(files)} of files; the plain control was found by every proxy and in every broker's files`,
      duration: `${Math.round((produced - begin) / 1_000)} s until all were acknowledged, ${Math.round((Date.now() - begin) / 1_000)} s in all`,
    })
  })
})
