import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Logger } from '@nestjs/common'
import type { SealKafkaOptions } from '@sealbus/kafka'
import { firstValueFrom } from 'rxjs'
import { beforeAll, expect, it } from 'vitest'
import { type Order, startBilling } from '../../examples/nestjs-kafka/billing.ts'
import { ordersOf } from '../../examples/nestjs-kafka/channels.ts'
import { SealedClientKafka } from '../../examples/nestjs-kafka/sealed-transport.ts'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { createCanaries } from '../support/canaries.ts'
import { NOTHING, useKafka, WAIT } from '../support/kafka-fixture.ts'

const topics = ordersOf(uniqueName('nest'))

describeWithKafka("NestJS' Kafka transport", ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, topics.channels, { recipients: ['billing', 'shop'] })
  beforeAll(() => Logger.overrideLogger(false))

  it('the example runs', async () => {
    const file = fileURLToPath(new URL('../../examples/nestjs-kafka/run.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@sealbus/source', file], { env: { ...process.env, KAFKA_BROKERS: bootstrap.join(',') }, timeout: 50_000 })
    expect(stdout).toContain('shop was answered: { total: 9 }\nshop was told of an error, which was sealed too\nbilling was told: {')
  })

  it('requests, replies, errors and events are sealed and opened; nothing of them is on the broker; a reply that cannot be sent ends nothing', async () => {
    const canaries = createCanaries()
    const { services, sealer } = fixture
    const { channels, total, placed } = topics
    const stopped: string[] = []
    const sealingOf = (name: 'billing' | 'shop'): SealKafkaOptions => ({ sealer, opener: services.named(name).opener(channels), onStopped: ({ error }) => void stopped.push(error.code) })
    await fixture.admin.createTopics({ topics: channels.names.map((topic) => ({ topic, numPartitions: 1 })), waitForLeaders: true })
    const events: [Order, string | undefined][] = []
    const billing = await startBilling({ brokers: [...bootstrap], topics, sealing: sealingOf('billing'), onPlaced: (...event) => void events.push(event) })
    const shop = new SealedClientKafka({ client: { brokers: [...bootstrap] }, consumer: { groupId: uniqueName('shop'), maxWaitTimeInMs: 100 } }, sealingOf('shop'))
    fixture.closeLater(() => Promise.all([shop.close(), billing.close()]))
    shop.subscribeToResponseOf(total)
    await shop.connect()

    const ask = (order: Order): Promise<unknown> => firstValueFrom(shop.send<unknown>(total, order))
    const customer = canaries.next()
    expect(await Promise.all([1, 2, 3].map((price) => ask({ customer, prices: [price, 1] })))).toEqual([{ total: 2 }, { total: 3 }, { total: 4 }])
    await expect(ask({ customer, prices: [] })).rejects.toMatchObject({ message: `${customer} has ordered nothing` })
    const order = { customer, prices: [9] }
    await firstValueFrom(shop.emit(placed, { key: 'k', value: order }))
    await expect.poll(() => events, WAIT).toEqual([[order, placed]])

    const records = [await fixture.stored(total, 4), await fixture.stored(`${total}.reply`, 4), await fixture.stored(placed, 1)].flat()
    expect(records.map(({ value }) => String(value?.subarray(0, 13)))).toEqual(Array.from({ length: 9 }, () => '{"protected":'))
    const everything = records.flatMap(({ key, value, headers }) => [key, value, ...Object.values(headers ?? {}).flat()]).map((bytes) => Buffer.from(bytes ?? '').toString('latin1')).join('\n')
    expect(canaries.patterns.filter((pattern) => everything.includes(pattern.toString()))).toEqual([])

    // A stranger's, sealed as anyone can: its reply is to go where no channel is declared.
    const headers = { kafka_correlationId: 'x', kafka_replyTopic: 'undeclared', kafka_replyPartition: '0' }
    await fixture.raw.send({ topic: total, messages: [{ value: sealer.sealSync('{"customer":"c","prices":[1]}', { channel: total, key: null, headers }).bytes, headers }] })
    expect(await ask({ customer, prices: [7] })).toEqual({ total: 7 })
    // One whose reply was turned elsewhere on the way does not open at all.
    const [request = NOTHING] = await fixture.stored(total, 6)
    await fixture.raw.send({ topic: total, messages: [{ value: request.value, headers: { ...request.headers, kafka_replyTopic: 'elsewhere' } }] })
    await expect.poll(() => stopped, WAIT).toEqual(['ERR_SEALBUS_CONTEXT_MISMATCH'])
  })
})
