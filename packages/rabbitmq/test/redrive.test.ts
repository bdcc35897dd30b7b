import { beforeEach, describe, expect, it } from 'vitest'
import { createMemoryAmqp, type MemoryAmqpConnection } from '../../testing/src/index.ts'
import { describeRedrive } from '../../testing/test/support/redrive-behaviours.ts'
import type { RedriveHarness } from '../../testing/test/support/redrive-harness.ts'
import { openRabbitHarness } from '../../testing/test/support/redrive-rabbitmq.ts'
import { listParked, redrive, sealAmqp } from '../src/index.ts'
import { toParkedCopy } from '../src/parked-copy.ts'
import { createWorld } from './support/key-source.ts'

// The integration tests run the same on a real RabbitMQ, also with quorum queues.
describeRedrive('RabbitMQ in memory', async () => openRabbitHarness(await createMemoryAmqp().connect()))

describe('redrive on RabbitMQ', () => {
  let connection: MemoryAmqpConnection
  let harness: RedriveHarness
  beforeEach(async () => {
    connection = await createMemoryAmqp().connect()
    harness = await openRabbitHarness(connection)
    for (const text of ['1', '2', '3']) await harness.park({ bytes: Buffer.from(text) }, 'ERR_SEALBUS_NOT_SEALED')
  })

  it('takes out of the parking queue only what its destination has for certain', async () => {
    const channel = await connection.createChannel()
    let deleted: Promise<unknown> | undefined
    const run = redrive(connection, { from: harness.from, by: harness.by, dryRun: false, onProgress: () => void (deleted ??= channel.deleteQueue(harness.by)) })
    await expect(run).rejects.toMatchObject({ code: 'ERR_SEALBUS_UNROUTABLE' })
    await deleted
    expect((await listParked(connection, { from: harness.from })).map(({ bytes }) => bytes.toString())).toEqual(['2', '3'])
  })

  it('leaves behind what would act on a message from a dead-letter exchange', async () => {
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('elsewhere')
    const { from, by } = harness
    const death = { reason: 'rejected', queue: by, exchange: '', 'routing-keys': [by, 'elsewhere'] }
    channel.sendToQueue(from, Buffer.from('4'), { userId: 'somebody', messageId: 'm', headers: { trace: 't', CC: ['elsewhere'], 'x-death': [death] } })
    await channel.waitForConfirms()
    await channel.purgeQueue('elsewhere')
    expect(await redrive(connection, { from, by, dryRun: false })).toMatchObject({ delivered: 4 })
    expect(await channel.get('elsewhere')).toBe(false)
    expect((await harness.arrived()).at(-1)).toEqual({ bytes: Buffer.from('4'), headers: { trace: 't' } })
    for (const _ of ['1', '2', '3']) await channel.get(by, { noAck: true })
    expect(await channel.get(by)).toMatchObject({ properties: { messageId: 'm', userId: undefined } })
  })

  it('goes to a queue that is there, and reads on a connection of the client itself', async () => {
    await expect(redrive(connection, { from: harness.from, by: harness.by, to: 'gone', dryRun: false })).rejects.toThrow(/404/)
    await expect(redrive(connection, { from: harness.by, by: harness.by })).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    const { opener } = createWorld({ orders: { to: ['billing'] } })
    await expect(redrive(sealAmqp(connection, { opener, onStopped: () => {} }), { from: harness.from, by: harness.by })).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    expect(await harness.list()).toHaveLength(3)
  })

  it('a copy that was returned before is moved to the end of the queue, without what its queue counted', async () => {
    const counted = { ...connection, createConfirmChannel: async () => {
      const channel = await connection.createConfirmChannel()
      const get = channel.get.bind(channel)
      // As a quorum queue says it of the first message.
      channel.get = async (queue, options) => {
        const message = await get(queue, options)
        if (message && message.content.toString() === '1') message.properties.headers = { ...message.properties.headers, 'x-delivery-count': 1 }
        return message
      }
      return channel
    } }
    expect((await listParked(counted, { from: harness.from })).map(({ bytes }) => bytes.toString())).toEqual(['1', '2', '3'])
    const after = await listParked(connection, { from: harness.from })
    expect(after.map(({ bytes }) => bytes.toString())).toEqual(['2', '3', '1'])
    expect(after.at(-1)).toMatchObject({ code: 'ERR_SEALBUS_NOT_SEALED', by: harness.by, headers: {} })
  })
})

describe('a copy that came through a dead-letter exchange', () => {
  const death = { reason: 'rejected', queue: 'billing', exchange: 'orders', 'routing-keys': ['new', 'cc'], time: { '!': 'timestamp', value: 1_790_000_000 }, count: 1 }
  const copyOf = (headers: Record<string, unknown>) => toParkedCopy({ content: Buffer.from('x'), fields: { deliveryTag: 1, exchange: '', routingKey: 'parked' }, properties: { headers } })

  it('is known by what the broker noted, and loses it', () => {
    const copy = copyOf({ trace: 't', 'x-death': [death], 'x-first-death-queue': 'billing', 'x-first-death-reason': 'rejected', 'x-last-death-queue': 'billing' })
    expect(copy).toEqual({ id: expect.stringMatching(/^[\w-]{43}$/), code: 'rejected', by: 'billing', origin: 'orders/new', time: new Date(1_790_000_000_000), bytes: Buffer.from('x'), headers: { trace: 't' } })
  })

  it('is without what a quorum queue or a stream says of a delivery', () => {
    expect(copyOf({ trace: 't', 'x-death': [death], 'x-delivery-count': 1, 'x-acquired-count': 2, 'x-stream-offset': 3 })?.headers).toEqual({ trace: 't' })
  })

  it('keeps the deaths of the application\'s own retries', () => {
    const retry = { reason: 'expired', queue: 'billing.retry' }
    expect(copyOf({ 'x-death': [death, retry], 'x-first-death-queue': 'billing.retry' })?.headers).toEqual({ 'x-death': [retry], 'x-first-death-queue': 'billing.retry' })
  })

  it.each<[string, Record<string, unknown>]>([
    ['no death', {}],
    ['an expiry', { 'x-death': [{ ...death, reason: 'expired' }] }],
    ['a rejection that is not the latest', { 'x-death': [{ ...death, reason: 'expired' }, death] }],
    ['a death that is no list', { 'x-death': death }],
    ['a queue that is no text', { 'x-death': [{ ...death, queue: ['billing'] }] }],
  ])('%s is none', (_, headers) => {
    expect(copyOf(headers)).toBeUndefined()
  })

  it('has no origin and no time where they are senseless', () => {
    expect(copyOf({ 'x-death': [{ reason: 'rejected', queue: 'billing', exchange: 7, 'routing-keys': 'k', time: 'now' }] })).toMatchObject({ by: 'billing', origin: undefined, time: undefined })
  })
})
