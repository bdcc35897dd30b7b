import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { AmqpConnection } from '@golevelup/nestjs-rabbitmq'
import { ConsoleLogger, Logger } from '@nestjs/common'
import type { SealAmqpOptions } from '@sealbus/rabbitmq'
import { firstValueFrom } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startBilling as startGolevelup } from '../../examples/golevelup-rabbitmq/billing.ts'
import { sealConnections } from '../../examples/golevelup-rabbitmq/sealed-connections.ts'
import { startBilling as startNest } from '../../examples/nestjs-rabbitmq/billing.ts'
import { SealedClientRMQ } from '../../examples/nestjs-rabbitmq/sealed-transport.ts'
import { createWorld, type World } from '../../packages/rabbitmq/test/support/key-source.ts'
import { describeWithRabbit, uniqueName } from '../support/brokers.ts'
import { type Canaries, createCanaries } from '../support/canaries.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

describeWithRabbit('RabbitMQ frameworks', ({ url }) => {
  let proxy: TcpProxy
  let behind: string
  let canaries: Canaries
  const ends: (() => unknown)[] = []

  beforeEach(async () => {
    Logger.overrideLogger(false)
    canaries = createCanaries()
    const { hostname, port, username, password } = new URL(url)
    proxy = await startTcpProxy({ upstream: { host: hostname, port: Number(port || 5672) }, scan: canaries.patterns })
    behind = `amqp://${username || 'guest'}:${password || 'guest'}@127.0.0.1:${proxy.port}`
  })
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await Promise.resolve(end()).catch(() => {})
    await proxy.close()
  })

  const optionsOf = ({ sealer, opener }: World, stopped: string[]): SealAmqpOptions => ({ sealer, opener, onStopped: ({ error }) => stopped.push(error.code) })

  test.each(['nestjs-rabbitmq', 'golevelup-rabbitmq'])('the example %s runs', async (name) => {
    const file = fileURLToPath(new URL(`../../examples/${name}/run.ts`, import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@sealbus/source', file], { env: { ...process.env, AMQP_URL: url }, timeout: 50_000 })
    expect(stdout).toContain('shop was answered: { total: 9 }\nbilling was told: { total: 9 }')
  })

  test('NestJS: requests, replies and events are sealed, and go on after the connection was lost', async () => {
    const queue = uniqueName('billing')
    const world = createWorld({ billing: { to: ['billing'], match: [queue] }, replies: { to: ['billing'], match: [/^amq\.rabbitmq\.reply-to/] } })
    const stopped: string[] = []
    const placed: unknown[] = []
    const service = await startNest({ url: behind, queue, sealing: optionsOf(world, stopped), onPlaced: (order) => placed.push(order) })
    ends.push(() => service.close())
    const client = new SealedClientRMQ({ urls: [behind], queue, queueOptions: { durable: true }, socketOptions: { reconnectTimeInSeconds: 0.2 } }, optionsOf(world, stopped))
    ends.push(() => client.close())

    const ask = async (prices: readonly number[]): Promise<unknown> => await firstValueFrom(client.send('total', prices))
    expect(await Promise.all([1, 2, 3, 4, 5].map((price) => ask([price, 1])))).toEqual([2, 3, 4, 5, 6].map((total) => ({ total })))
    const order = { total: 9, note: canaries.next() }
    await firstValueFrom(client.emit('placed', order))
    await expect.poll(() => placed).toEqual([order])

    proxy.cutConnections()
    await expect.poll(async () => await ask([2, 2]).catch(() => undefined), { timeout: 20_000, interval: 300 }).toEqual({ total: 4 })
    // The first one comes again where its acknowledgement was cut off.
    const last = { total: 10, note: canaries.next() }
    await firstValueFrom(client.emit('placed', last))
    await expect.poll(() => placed.at(-1)).toEqual(last)
    expect([proxy.found, stopped]).toEqual([[], []])
  })

  test('golevelup: requests, replies and events are sealed, and go on after the connection was lost', async () => {
    const exchange = uniqueName('shop')
    const world = createWorld({ billing: { to: ['billing'], match: [exchange, `${exchange}.totals`, `${exchange}.placed`] }, replies: { to: ['billing'], match: [/^amq\.rabbitmq\.reply-to/] } })
    const stopped: string[] = []
    const placed: unknown[] = []
    sealConnections(() => optionsOf(world, stopped))
    const service = await startGolevelup({ url: behind, exchange, onPlaced: (order) => placed.push(order) })
    ends.push(() => service.close())
    const client = new AmqpConnection({ name: 'shop', uri: behind, logger: new ConsoleLogger({ logLevels: [] }), connectionManagerOptions: { reconnectTimeInSeconds: 0.2 } })
    await client.init()
    ends.push(() => client.close())

    const ask = (prices: readonly number[]): Promise<unknown> => client.request({ exchange, routingKey: 'total', payload: [...prices], timeout: 3_000 })
    expect(await Promise.all([1, 2, 3, 4, 5].map((price) => ask([price, 1])))).toEqual([2, 3, 4, 5, 6].map((total) => ({ total })))
    const order = { total: 9, note: canaries.next() }
    await client.publish(exchange, 'placed', order)
    await expect.poll(() => placed).toEqual([order])

    proxy.cutConnections()
    await expect.poll(async () => await ask([2, 2]).catch(() => undefined), { timeout: 20_000, interval: 300 }).toEqual({ total: 4 })
    // The first one comes again where its acknowledgement was cut off.
    const last = { total: 10, note: canaries.next() }
    await client.publish(exchange, 'placed', last)
    await expect.poll(() => placed.at(-1)).toEqual(last)
    expect([proxy.found, stopped]).toEqual([[], []])
  })

  describe('golevelup', () => {
    test('that keeps its connection elsewhere does not start', async () => {
      const world = createWorld({ replies: { to: ['billing'], match: [/^amq\.rabbitmq\.reply-to/] } })
      const init: AmqpConnection['init'] = Reflect.get(AmqpConnection.prototype, 'init')
      AmqpConnection.prototype.init = async () => {}
      try {
        sealConnections(() => optionsOf(world, []))
        await expect(new AmqpConnection({ uri: url, logger: new ConsoleLogger({ logLevels: [] }) }).init()).rejects.toThrow('in another way')
      } finally {
        AmqpConnection.prototype.init = init
      }
    })
  })
})
