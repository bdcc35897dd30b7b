import { opened, type Opener } from '@sealbus/core'
import { listParked, redrive, sealAmqp } from '@sealbus/rabbitmq'
import { type ChannelModel, type ConfirmChannel, connect, type Message } from 'amqplib'
import { connect as connect010 } from 'amqplib-0.10'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { describeRedrive } from '../../packages/testing/test/support/redrive-behaviours.ts'
import { openRabbitHarness } from '../../packages/testing/test/support/redrive-rabbitmq.ts'
import { describeWithRabbit, uniqueName } from '../support/brokers.ts'
import { describeParkedCommand } from '../support/parked-cli.ts'
import { changed, createLateKey, killedRedrive, type LateKey } from '../support/redrive-story.ts'

const TIMEOUT = { timeout: 30_000, interval: 50 }
const QUORUM = { durable: true, arguments: { 'x-queue-type': 'quorum' } }

describeWithRabbit('RabbitMQ redrive', ({ url }) => {
  let connection: ChannelModel
  let raw: ConfirmChannel
  beforeAll(async () => {
    connection = await connect(url)
    raw = await connection.createConfirmChannel()
  })
  afterAll(() => connection?.close())

  // The unit tests run the same on the broker in memory.
  describeRedrive('RabbitMQ', () => openRabbitHarness(connection))
  describeRedrive('RabbitMQ, a quorum queue', () => openRabbitHarness(connection, QUORUM))

  describeParkedCommand('RabbitMQ', (from) => ['--queue', from, '--amqp-url', url], () => openRabbitHarness(connection))

  it('a quorum queue that drops what is returned twice loses nothing, however often it is looked at', async () => {
    const harness = await openRabbitHarness(connection, { ...QUORUM, arguments: { ...QUORUM.arguments, 'x-delivery-limit': 1 } })
    for (const text of ['1', '2', '3']) await harness.park({ bytes: Buffer.from(text) }, 'ERR_SEALBUS_NOT_SEALED')
    for (let look = 0; look < 6; look++) {
      expect((await harness.list()).map(({ bytes }) => bytes.toString()).toSorted()).toEqual(['1', '2', '3'])
      expect(await harness.redrive({})).toMatchObject({ delivered: 3, seen: 3 })
    }
    expect(await harness.redrive({ dryRun: false })).toMatchObject({ delivered: 3 })
    await harness.close()
  })

  it('a queue that is gone ends the run before anything is taken from the parking queue', async () => {
    const harness = await openRabbitHarness(connection)
    await harness.park({ bytes: Buffer.from('1') }, 'ERR_SEALBUS_NOT_SEALED')
    await expect(harness.redrive({ to: `${harness.to}-gone` as never, dryRun: false })).rejects.toThrow(/404/)
    expect(await harness.list()).toHaveLength(1)
    await harness.close()
  })

  it('what was parked by the queue\'s own dead-letter exchange comes back to it, with the headers that it had', async () => {
    const by = uniqueName('billing')
    const parked = `${by}-parked`
    await raw.assertQueue(parked)
    await raw.assertQueue(by, { deadLetterExchange: '', deadLetterRoutingKey: parked })
    const { sealer, early, late } = await createLateKey()
    const { bytes, contentType, id } = sealer.sealSync('late', { channel: 'orders' })
    raw.sendToQueue(by, bytes, { contentType, headers: { trace: 't1' } })
    await raw.waitForConfirms()
    const own = await connect(url)
    const channel = await sealAmqp(own, { opener: early, park: { deadLetter: true }, dispositions: { keyMissingHoldMs: 0 } }).createChannel()
    await channel.consume(by, () => {})
    await expect.poll(async () => (await raw.checkQueue(parked)).messageCount, TIMEOUT).toBe(1)
    await own.close()

    expect(await listParked(connection, { from: parked })).toMatchObject([{ code: 'rejected', by, origin: `/${by}`, headers: { trace: 't1' }, time: expect.any(Date) }])
    expect(await redrive(connection, { from: parked, by, opener: late, dryRun: false })).toMatchObject({ delivered: 1, groups: [{ parkedWith: 'rejected', kids: ['billing-2'] }] })
    const back = await raw.get(by, { noAck: true })
    if (!back) return expect.fail('nothing came back')
    expect(back.properties.headers).toEqual({ trace: 't1' })
    expect(late.openSync(back.content, { channel: 'orders' }).id).toBe(id)
    expect(await raw.get(parked)).toBe(false)
  })

  describe('a key that was deployed late', () => {
    const MESSAGES = 300
    let key: LateKey
    let by: string
    let exchange: string
    let parked: string

    beforeAll(async () => void (key = await createLateKey()))
    beforeEach(async () => {
      ;[by, exchange] = [uniqueName('billing'), uniqueName('orders')]
      parked = `${by}-parked`
      await raw.assertExchange(exchange, 'fanout')
      for (const queue of [by, `${by}-other`]) {
        await raw.assertQueue(queue)
        await raw.bindQueue(queue, exchange, '')
      }
      await raw.assertQueue(parked)
    })

    /** Runs a consumer of a queue until it has parked, or handled, so many messages. */
    const consume = async (queue: string, opener: Opener, count: number): Promise<string[]> => {
      const handled: string[] = []
      let parkedCount = 0
      const park = { channel: raw, exchange: '', routingKey: parked }
      const own = await connect(url)
      const channel = await sealAmqp(own, { opener, park, onParked: () => void parkedCount++, dispositions: { keyMissingHoldMs: 0 } }).createChannel()
      await channel.prefetch(50)
      await channel.consume(queue, (message) => {
        if (!message) return
        handled.push(opened(message)?.id ?? 'plain')
        channel.ack(message)
      })
      await expect.poll(() => parkedCount + handled.length, TIMEOUT).toBeGreaterThanOrEqual(count)
      await own.close()
      return handled
    }
    /** Orders of three fates, parked by two queues in one parking queue. */
    const park = async (count: number): Promise<string[]> => {
      const messages = Array.from({ length: count }, (_, n) => key.sealer.sealSync(`${n}`, { channel: 'orders' }))
      for (const { bytes, contentType } of messages) raw.publish(exchange, '', bytes, { contentType })
      raw.publish(exchange, '', changed(key.sealer.sealSync('x', { channel: 'orders' }).bytes))
      raw.publish(exchange, '', Buffer.from('{"plain":1}'))
      await raw.waitForConfirms()
      await consume(by, key.early, count + 2)
      await consume(`${by}-other`, key.early, count + 2)
      return messages.map(({ id }) => id)
    }
    const countOf = async (queue: string): Promise<number> => (await raw.checkQueue(queue)).messageCount

    it('a dry run says what the key opens, a redrive brings it, and what still fails stays: nobody else gets a message', async () => {
      const ids = await park(20)
      const options = { from: parked, by, opener: key.late }
      const dry = await redrive(connection, options)
      expect(dry).toMatchObject({ dryRun: true, delivered: 20, kept: 2, others: 22 })
      expect(dry.groups).toContainEqual({ parkedWith: 'ERR_SEALBUS_KEY_MISSING', kids: ['billing-2'], outcome: 'delivered', reason: undefined, messages: 20 })
      expect(dry.groups).toContainEqual({ parkedWith: 'ERR_SEALBUS_KEY_MISSING', kids: ['billing-2'], outcome: 'kept', reason: 'ERR_SEALBUS_DECRYPT_FAILED', messages: 1 })
      expect(dry.groups).toContainEqual({ parkedWith: 'ERR_SEALBUS_NOT_SEALED', kids: [], outcome: 'kept', reason: 'ERR_SEALBUS_NOT_SEALED', messages: 1 })
      expect(await countOf(by)).toBe(0)

      expect(await redrive(connection, { ...options, dryRun: false })).toMatchObject({ delivered: 20, kept: 2, others: 22 })
      expect((await consume(by, key.late, 20)).toSorted()).toEqual(ids.toSorted())
      expect(await countOf(`${by}-other`), 'the exchange was not used').toBe(0)
      expect((await listParked(connection, { from: parked })).map((copy) => copy.by).filter((each) => each === by)).toHaveLength(2)
      expect(await redrive(connection, { ...options, by: `${by}-other` })).toMatchObject({ delivered: 20, kept: 2 })
    })

    it('goes to another queue that is there, by a connection of amqplib 0.10 too, and to no other', async () => {
      const ids = await park(20)
      const retry = `${by}-retry`
      await raw.assertQueue(retry)
      const older = await connect010(url)
      expect(await redrive(older, { from: parked, by, to: retry, opener: key.late, dryRun: false })).toMatchObject({ delivered: 20, kept: 2, others: 22 })
      await older.close()
      expect([await countOf(by), await countOf(`${by}-other`), await countOf(parked)]).toEqual([0, 0, 24])
      expect((await consume(retry, key.late, 20)).toSorted()).toEqual(ids.toSorted())
    })

    it('two runs at once share the queue: together they deliver each message once', async () => {
      const ids = await park(100)
      const second = await connect(url)
      const runs = await Promise.all([connection, second].map((each) => redrive(each, { from: parked, by, opener: key.late, dryRun: false })))
      await second.close()
      expect(runs.map(({ delivered }) => delivered).reduce((one, other) => one + other)).toBe(100)
      expect(Math.min(...runs.map(({ delivered }) => delivered)), 'both took part').toBeGreaterThan(0)
      expect((await consume(by, key.late, 100)).toSorted()).toEqual(ids.toSorted())
      expect([await countOf(by), await countOf(parked)]).toEqual([0, 104])
    })

    it.each([
      ['to the queue', (queue: string): string | undefined => queue],
      ['to a handler', () => undefined],
    ])('%s: killed before an acknowledgement and resumed: every message arrives, one of them twice', async (_, destination) => {
      const ids = await park(MESSAGES)
      const to = destination(by)
      const handled = await killedRedrive({ broker: { kind: 'rabbitmq', url }, from: parked, by, to, key: key.jwk, killed: { before: 'note', steps: 100 } })
      expect(handled).toHaveLength(to === undefined ? 101 : 0)
      const onMessage = (message: Message): void => void handled.push(opened(message)?.id ?? '')
      // The broker returns what the killed one held when it has seen that it is gone.
      await expect.poll(() => countOf(parked), TIMEOUT).toBe(2 * (MESSAGES + 2) - 100)
      const resumed = await redrive(connection, { from: parked, by, to: to ?? onMessage, opener: key.late, dryRun: false })
      expect(resumed).toMatchObject({ ended: 'complete', delivered: MESSAGES - 100, kept: 2 })
      if (to !== undefined) handled.push(...(await consume(by, key.late, MESSAGES + 1)))
      expect(handled).toHaveLength(MESSAGES + 1)
      expect(new Set(handled)).toEqual(new Set(ids))
      expect(await countOf(`${by}-other`)).toBe(0)
    })
  })
})
