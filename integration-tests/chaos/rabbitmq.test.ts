import { connect } from 'amqplib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCanaries } from '../support/canaries.ts'
import { type RabbitCluster, rabbitMissing, startRabbitCluster } from '../support/rabbitmq-cluster.ts'
import { startReporting } from '../support/reporting-process.ts'
import { type FileSearch, searchFiles } from '../support/segment-scan.ts'
import { type Services, startServices } from '../support/services.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { KEYS, SERVICES } from './orders.ts'
import type { DeliveryReport, RabbitConsumption } from './rabbitmq-consumer.ts'
import { createRabbitLedger } from './rabbitmq-ledger.ts'
import type { PublicationReport, RabbitPublication } from './rabbitmq-publisher.ts'
import { count, megabytes, print, untilAs } from './summary.ts'
import { supervise } from './supervision.ts'

const TOTAL = Number(process.env['CHAOS_MESSAGES'] ?? 100_000)
const PREFETCH = 100
const WINDOW = 200
/** A node by its number is killed; connections are cut on the way, or closed by the broker; billing's consumer is killed. */
const STRIKES = [1, 'cut', 2, 'consumer', 'close', 3, 1, 'cut', 'consumer', 2, 'close', 3] as const

describe('chaos on RabbitMQ', () => {
  const orders = createCanaries()
  const controls = createCanaries()
  const patterns = [...orders.patterns, ...controls.patterns]
  const marks = { order: orders.mark, control: controls.mark }
  const running: { stop(): Promise<unknown> }[] = []
  let cluster: RabbitCluster
  let proxy: TcpProxy
  let services: Services

  beforeAll(async () => {
    const missing = rabbitMissing()
    if (missing !== undefined) throw new Error(`There is no RabbitMQ to be killed: ${missing}`)
    services = await startServices(...SERVICES)
    cluster = await startRabbitCluster({ nodes: 3 })
    // A load balancer that goes round, and does not know who is dead.
    let next = 0
    const upstream = (): { host: string; port: number } => {
      const { hostname, port } = new URL(cluster.urls[next++ % cluster.urls.length] ?? '')
      return { host: hostname, port: Number(port) }
    }
    proxy = await startTcpProxy({ upstream, scan: patterns })
  })
  afterAll(async () => {
    await Promise.all(running.map((each) => each.stop()))
    services?.close()
    await proxy?.close()
    await cluster?.stop()
  })

  it(`${count(TOTAL)} sealed messages get through while nodes, connections and consumers are killed`, async () => {
    const begin = Date.now()
    const url = `amqp://guest:guest@127.0.0.1:${proxy.port}`
    await declare(cluster.urls[0] ?? '')

    const consumers = SERVICES.map((name) => {
      const ledger = createRabbitLedger()
      const supervised = supervise<DeliveryReport>({
        script: new URL('rabbitmq-consumer.ts', import.meta.url),
        assignment: { url, name, marks, prefetch: PREFETCH } satisfies RabbitConsumption,
        env: { [KEYS]: services.named(name).privateJwks },
        onReport: (report) => ledger.note(report),
      })
      running.push(supervised)
      return { name, ledger, supervised }
    })
    const [billing = expect.fail()] = consumers

    const published = { confirmed: 0, again: 0, connections: 0, failures: [] as string[], end: undefined as number | string | null | undefined }
    const publisher = startReporting<PublicationReport>({
      script: new URL('rabbitmq-publisher.ts', import.meta.url),
      assignment: { url, recipients: Object.fromEntries(SERVICES.map((name) => [name, services.named(name).url])), marks, total: TOTAL, window: WINDOW } satisfies RabbitPublication,
      onReport(report) {
        if (report.kind === 'confirmed') published.confirmed++
        else if (report.kind === 'unconfirmed') published.again++
        else if (report.kind === 'connected') published.connections++
        else published.failures.push(report.reason)
      },
      onEnd: (outcome) => void (published.end = outcome),
    })
    running.push({ stop: () => publisher.end('SIGKILL') })
    const until = (what: string, condition: () => boolean | Promise<boolean>): Promise<void> => untilAs(what, condition, () => ({ published, handled: consumers.map(({ ledger }) => ledger.tally()) }))

    // Each strike has a share of the orders, and comes down on it in its midst.
    const share = TOTAL / (STRIKES.length + 1)
    const struck = { node: 0, cut: 0, close: 0, consumer: 0 }
    const searches: FileSearch[] = []
    for (const [index, strike] of STRIKES.entries()) {
      const [from, to] = [Math.floor(index * share), Math.floor((index + 1) * share)]
      const sessions = published.connections
      // As an operator would before a restart: the one that was killed last has caught up.
      if (typeof strike === 'number') await until('the queues can do without the node', () => cluster.canSpare(strike))
      publisher.tell({ number: to })
      await until('publishing goes on', () => published.confirmed >= from + share / 4)
      expect(published.end, 'the publishing process ended by itself').toBeUndefined()
      expect(published.confirmed, 'the strike is to come while orders are published').toBeLessThan(to)
      if (strike === 'consumer') {
        await billing.supervised.kill()
        const { orders } = billing.ledger.tally()
        await until('a new process consumes', () => billing.ledger.tally().orders > orders)
        struck.consumer++
      } else if (strike === 'cut') {
        proxy.cutConnections()
        await until('the publisher connects again', () => published.connections > sessions)
        struck.cut++
      } else if (strike === 'close') {
        await cluster.closeConnections()
        await until('the publisher connects again', () => published.connections > sessions)
        struck.close++
      } else {
        await cluster.kill(strike)
        struck.node++
        await until('publishing goes on without the node', () => published.confirmed === to)
        searches.push(await searchFiles(cluster.dataDirs[strike - 1] ?? '', patterns))
        await cluster.restart(strike)
      }
      await until('the share is published', () => published.confirmed === to)
    }
    publisher.tell({ number: TOTAL })
    await until('all orders are confirmed', () => published.confirmed === TOTAL && published.end !== undefined)
    expect(published.end).toBe(0)
    const confirmedAt = Date.now()

    await until('all is handled', () => consumers.every(({ ledger }) => ledger.tally().orders === TOTAL))
    // Through the proxy, so that its control is seen on the way to a client too.
    const raw = await connect(url)
    const channel = await raw.createChannel()
    await until('all is acknowledged', async () => (await Promise.all(SERVICES.map((name) => channel.checkQueue(`orders.${name}`)))).every(({ messageCount }) => messageCount === 0))
    for (const { supervised } of consumers) await supervised.stop()
    for (const name of SERVICES) {
      expect((await channel.checkQueue(`orders.${name}`)).messageCount, 'nothing was handled and not acknowledged').toBe(0)
      expect((await channel.checkQueue(`orders.${name}.parked`)).messageCount, 'nothing is parked').toBe(0)
    }
    expect(await channel.get('metrics', { noAck: true })).toMatchObject({ fields: { routingKey: 'metrics' } })
    await raw.close()

    expect(published.failures).toEqual([])
    for (const { name, ledger } of consumers) {
      const tally = ledger.tally()
      expect(ledger.failures).toEqual([])
      expect(tally.orders, `${name} handled every number`).toBe(TOTAL)
      expect(tally.unmarked, `${name} was given nothing again that was not marked so`).toBe(0)
      expect(tally.redelivered, `${name} handled twice no more than was unacknowledged when its channels ended`).toBeLessThanOrEqual((tally.sessions - 1) * PREFETCH)
      expect(tally.publishedTwice, 'orders come twice when they were published again').toBeLessThanOrEqual(published.again)
    }

    // The scanners: each found the control, and none an order.
    for (const dir of cluster.dataDirs) searches.push(await searchFiles(dir, patterns))
    const isOrder = (canary: Buffer): boolean => orders.patterns.includes(canary)
    const isControl = (canary: Buffer): boolean => canary.equals(Buffer.from(controls.mark))
    for (const direction of ['to-broker', 'to-client']) expect(proxy.found.some((each) => isControl(each.canary) && each.direction === direction), 'the proxy sees the control').toBe(true)
    expect(proxy.found.filter(({ canary }) => isOrder(canary))).toEqual([])
    for (const { findings } of searches) expect(findings.some(({ canary }) => isControl(canary)), "the control is in each node's files, whenever they are searched").toBe(true)
    expect(searches.flatMap(({ findings }) => findings).filter(({ canary }) => isOrder(canary))).toEqual([])

    const wire = proxy.bytes['to-broker'] + proxy.bytes['to-client']
    const files = searches.reduce((sum, { bytes }) => sum + bytes, 0)
    print(`Chaos on RabbitMQ: three nodes, quorum queues, publisher confirms, amqplib 2 with its recovery`, {
      messages: `${count(TOTAL)} sealed for ${SERVICES.join(' and ')}; ${count(published.again)} not confirmed at first, and published again; ${published.connections} connections of the publisher`,
      kills: `${struck.node} × kill -9 of a node, each started again; ${struck.cut} × all connections cut, ${struck.close} × closed by the broker; ${struck.consumer} × kill -9 of billing's consumer`,
      ...Object.fromEntries(consumers.map(({ name, ledger, supervised }) => {
        const { orders, marked, redelivered, publishedTwice, sessions, cancelled } = ledger.tally()
        return [name, `${count(orders)} of ${count(TOTAL)} handled; ${count(marked)} deliveries marked as redelivered, ${redelivered} of them handled before, ${publishedTwice} handled twice because they were published again; ${sessions} channels, ${cancelled} cancelled, ${supervised.processes} processes`]
      })),
      plaintext: `0 canaries of sealed messages in ${megabytes(wire)} through the proxy and ${megabytes(files)} of files in ${searches.length} searches; the plain control was found in each`,
      duration: `${Math.round((confirmedAt - begin) / 1_000)} s until all were confirmed, ${Math.round((Date.now() - begin) / 1_000)} s in all`,
    })
  })
})

async function declare(url: string): Promise<void> {
  const connection = await connect(url)
  const channel = await connection.createChannel()
  const quorum = { durable: true, arguments: { 'x-queue-type': 'quorum' } }
  await channel.assertExchange('orders', 'fanout', { durable: true })
  await channel.assertQueue('metrics', quorum)
  for (const name of SERVICES) {
    await channel.assertQueue(`orders.${name}`, quorum)
    await channel.assertQueue(`orders.${name}.parked`, quorum)
    await channel.bindQueue(`orders.${name}`, 'orders', '')
  }
  await connection.close()
}
