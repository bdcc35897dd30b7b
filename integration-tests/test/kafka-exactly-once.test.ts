import { sealKafka } from '@sealbus/kafka'
import { Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTopics, describeWithLocalKafka } from '../support/brokers.ts'
import { createCanaries } from '../support/canaries.ts'
import { type Application, type ApplicationReport, exactlyOnceChannels, KEYS, type Stage, STAGES } from '../support/exactly-once-application.ts'
import { type ReportingProcess, startReporting } from '../support/reporting-process.ts'
import { type ScannedKafka, startScannedKafka } from '../support/scanned-kafka.ts'
import { findInFiles } from '../support/segment-scan.ts'
import { type Services, startServices } from '../support/services.ts'

const ORDERS = 1_200
/** In one send, and so in one batch of the log: that is what the application gets at a time. */
const PER_SEND = 25
const PARTITIONS = 3
const TIMEOUT = { timeout: 60_000, interval: 50 }

describeWithLocalKafka('Kafka: exactly once', () => {
  const [orders, invoices, controls] = [createCanaries(), createCanaries(), createCanaries()]
  let scanned: ScannedKafka
  let services: Services
  let kafka: Kafka
  let application: ReportingProcess | undefined

  beforeAll(async () => {
    services = await startServices('biller', 'ledger')
    scanned = await startScannedKafka([...orders.patterns, ...invoices.patterns, ...controls.patterns], { brokers: 3 })
    kafka = new Kafka({ brokers: scanned.cluster.bootstrap, logLevel: logLevel.NOTHING })
    await createTopics(scanned.cluster.bootstrap, ['orders', 'invoices', 'metrics'].map((topic) => ({ topic, numPartitions: PARTITIONS })))
  })
  afterAll(async () => {
    await application?.end('SIGKILL')
    services?.close()
    await scanned?.stop()
  })

  it('an application that is killed at every stage of a transaction loses no message and makes none twice, and all are sealed', { timeout: 300_000 }, async () => {
    const sealer = await services.sealer(exactlyOnceChannels)
    const producer = sealKafka(kafka, { sealer }).producer({ idempotent: true, maxInFlightRequests: 1 })
    const admin = kafka.admin()
    await Promise.all([producer.connect(), admin.connect()])
    while (orders.count < ORDERS) {
      const partition = (orders.count / PER_SEND) % PARTITIONS
      await producer.send({ topic: 'orders', messages: Array.from({ length: PER_SEND }, (_, index) => ({ partition, key: `customer-${index}`, value: orders.next() })) })
    }

    let stage: Stage | undefined
    const committed = { transactions: 0, invoices: 0 }
    const failures: string[] = []
    const start = (standStill: Application['standStill']): ReportingProcess => {
      stage = undefined
      return (application = startReporting<ApplicationReport>({
        script: new URL('../support/exactly-once-application.ts', import.meta.url),
        assignment: { bootstrap: scanned.cluster.bootstrap, recipients: Object.fromEntries(Object.values(services.all).map(({ name, url }) => [name, url])), marks: { order: orders.mark, invoice: invoices.mark }, standStill } satisfies Application,
        env: { [KEYS]: services.named('biller').privateJwks },
        onReport(report) {
          if (report.kind === 'stands still') stage = report.stage
          else if (report.kind === 'failed') failures.push(report.reason)
          else {
            committed.transactions++
            committed.invoices += report.invoices
          }
        },
      }))
    }
    // In the midst: each process has committed two transactions when it is killed in its third.
    for (const each of STAGES) {
      const running = start({ transaction: 3, stage: each })
      await expect.poll(() => ({ stage, failures }), TIMEOUT).toEqual({ stage: each, failures: [] })
      expect(await running.end('SIGKILL')).toBe('SIGKILL')
    }
    expect(committed.transactions).toBe(2 * STAGES.length)
    expect(committed.invoices).toBeLessThan(ORDERS)

    const last = start(undefined)
    const places = async (): Promise<number> => (await admin.fetchOffsets({ groupId: 'biller', topics: ['orders'] })).flatMap(({ partitions }) => partitions).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
    await expect.poll(async () => ({ places: await places(), failures }), TIMEOUT).toEqual({ places: ORDERS, failures: [] })
    last.tell({})
    await expect.poll(() => last.running(), TIMEOUT).toBe(false)
    expect(failures).toEqual([])

    // What closes each partition: whoever has seen it has seen all that came before.
    for (let partition = 0; partition < PARTITIONS; partition++) {
      await producer.send({ topic: 'invoices', messages: [{ partition, value: 'end' }] })
      await producer.send({ topic: 'metrics', messages: [{ partition, value: controls.next() }] })
    }

    const opener = services.named('ledger').opener(exactlyOnceChannels)
    const downstream = sealKafka(kafka, { opener, onStopped: ({ error }) => failures.push(error.code) })
    const seen: string[] = []
    const ledger = downstream.consumer({ groupId: 'ledger' })
    await ledger.subscribe({ topic: 'invoices', fromBeginning: true })
    await ledger.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen.filter((text) => text === 'end').length, TIMEOUT).toBe(PARTITIONS)
    await ledger.disconnect()
    const numbers = seen.filter((text) => text !== 'end').map((text) => Number(/"number":(\d+)}$/.exec(text)?.[1]))
    expect(failures).toEqual([])
    expect(new Set(numbers).size, 'no invoice is lost').toBe(ORDERS)
    expect(numbers.length, 'no invoice is there twice').toBe(ORDERS)

    // What the transactions that were cut off left in the log: without it, nothing would have been put to the test.
    const stored: Buffer[] = []
    const stranger = kafka.consumer({ groupId: 'stranger', readUncommitted: true })
    await stranger.subscribe({ topics: ['orders', 'invoices'], fromBeginning: true })
    await stranger.run({ eachMessage: async ({ message }) => void stored.push(message.value ?? expect.fail('a tombstone')) })
    await expect.poll(() => stored.length, TIMEOUT).toBeGreaterThan(2 * ORDERS + PARTITIONS)
    await stranger.disconnect()
    expect(stored.filter((value) => !value.toString().startsWith('{"protected":"'))).toEqual([])
    await Promise.all([producer.disconnect(), admin.disconnect()])

    const secret = (canary: Buffer): boolean => !controls.patterns.includes(canary)
    expect(scanned.found().map(({ canary }) => secret(canary))).toContain(false)
    expect(scanned.found().filter(({ canary }) => secret(canary))).toEqual([])
    for (const dir of scanned.cluster.dataDirs) {
      const findings = (await findInFiles(dir, [...orders.patterns, ...invoices.patterns, ...controls.patterns])).map(({ canary }) => secret(canary))
      expect(findings).toContain(false)
      expect(findings).not.toContain(true)
    }
  })
})
