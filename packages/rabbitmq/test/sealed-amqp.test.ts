import { EventEmitter } from 'node:events'
import type { AmqpConnectionManager, ChannelWrapper } from 'amqp-connection-manager'
import type { Channel, ChannelModel, ConfirmChannel, RecoveringChannelModel } from 'amqplib'
import type * as earlier from 'amqplib-0.10'
import type * as callbacks from 'amqplib/callback_api'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { channelHealth } from '../src/channel-health.ts'
import { openChannel } from '../src/consuming-channel.ts'
import { sealChannel } from '../src/publishing-channel.ts'
import { sealAmqp } from '../src/sealed-amqp.ts'
import { FakeChannel, FakeConfirmChannel } from './support/fake-channel.ts'
import { createWorld } from './support/key-source.ts'

class FakeConnection extends EventEmitter {
  readonly channels: FakeChannel[] = []
  closed = false

  async createChannel(_options?: { highWaterMark?: number }): Promise<FakeChannel> {
    return this.#keep(new FakeChannel())
  }

  async createConfirmChannel(): Promise<FakeConfirmChannel> {
    return this.#keep(new FakeConfirmChannel())
  }

  async waitForConnect(): Promise<this> {
    return this
  }

  async close(): Promise<void> {
    this.closed = true
  }

  #keep<Made extends FakeChannel>(channel: Made): Made {
    this.channels.push(channel)
    return channel
  }
}

const { sealer, opener, source } = createWorld({ orders: { to: ['billing'] } })
const onStopped = (): void => {}
const invalid = expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' })
const canary = Buffer.from('{"total":9}')

let raw: FakeConnection
beforeEach(() => {
  raw = new FakeConnection()
  source.answers = 'now'
})

describe('channels of a sealed connection', () => {
  test('seal what they publish, and open what they consume', async () => {
    const connection = sealAmqp(raw, { sealer, opener, onStopped })
    for (const create of [() => connection.createChannel({ highWaterMark: 1 }), () => connection.createConfirmChannel()]) {
      const channel = await create()
      const received: unknown[] = []
      await channel.consume('orders', (message) => received.push(message?.content))
      channel.sendToQueue('orders', canary)
      const inner = raw.channels.at(-1)
      const [published] = inner?.published ?? []
      expect(published?.content.includes('total')).toBe(false)
      if (published) inner?.deliver('orders', published)
      expect(received).toEqual([canary])
      expect(channelHealth(channel)).toMatchObject({ healthy: true, consumers: [{ queue: 'orders', state: 'running' }] })
    }
  })

  test('refuse to publish without a sealer, and to consume without an opener', async () => {
    const consuming = await sealAmqp(raw, { opener, onStopped }).createConfirmChannel()
    expect(() => consuming.publish('', 'orders', canary)).toThrow(invalid)
    expect(() => consuming.sendToQueue('orders', canary)).toThrow(invalid)
    const publishing = await sealAmqp(new FakeConnection(), { sealer }).createChannel()
    await expect(publishing.consume('orders', () => {})).rejects.toThrow(invalid)
    await expect(publishing.get('orders')).rejects.toThrow(invalid)
    expect(publishing.sendToQueue('orders', canary)).toBe(true)
    expect(raw.channels[0]?.published).toEqual([])
  })

  test('cannot be wrapped again', async () => {
    const connection = sealAmqp(raw, { sealer, opener, onStopped })
    const channel = await connection.createChannel()
    const twice = expect.objectContaining({ code: 'ERR_SEALBUS_ALREADY_WRAPPED' })
    expect(() => sealAmqp(connection, { sealer })).toThrow(twice)
    expect(() => sealChannel(channel, { sealer })).toThrow(twice)
    expect(() => openChannel(channel, { opener, onStopped })).toThrow(twice)
  })
})

describe('a sealed connection', () => {
  test('needs a sealer or an opener, and checks its options at once', () => {
    expect(() => sealAmqp(raw, {})).toThrow(invalid)
    expect(() => sealAmqp(raw, { opener })).toThrow(invalid)
    expect(() => sealAmqp(raw, { sealer, maxMessageBytes: 0 })).toThrow(invalid)
  })

  test('never hands out the client’s own connection', async () => {
    const connection = sealAmqp(raw, { sealer })
    expect(connection.on('error', () => {})).toBe(connection)
    expect(await connection.waitForConnect()).toBe(connection)
    const made: FakeConnection[] = []
    connection.on('connect', (inner: FakeConnection) => made.push(inner))
    const inner = new FakeConnection()
    raw.emit('connect', inner)
    raw.emit('connect', inner)
    expect(made[0]).toBe(made[1])
    const channel = await made[0]?.createChannel()
    channel?.sendToQueue('orders', canary)
    expect(inner.channels[0]?.published[0]?.content.includes('total')).toBe(false)
  })

  test('ends the holds of its channels when it is closed', async () => {
    const connection = sealAmqp(raw, { sealer, opener, onStopped, dispositions: { holdBackoffMs: { first: 5, longest: 5 } } })
    const channel = await connection.createChannel()
    await channel.consume('orders', () => {})
    channel.sendToQueue('orders', canary)
    source.answers = 'down'
    const [inner] = raw.channels
    const [published] = inner?.published ?? []
    if (published) inner?.deliver('orders', published)
    await expect.poll(() => channelHealth(channel).consumers[0]?.state).toBe('holding')
    await connection.close()
    const { calls } = source
    await sleep(30)
    expect([raw.closed, source.calls]).toEqual([true, calls])
  })
})

test('types are the caller’s own', () => {
  const types = (
    connection: ChannelModel,
    recovering: RecoveringChannelModel,
    channel: Channel,
    confirming: ConfirmChannel,
    older: earlier.ChannelModel,
    calling: callbacks.Connection,
    callingChannel: callbacks.ConfirmChannel,
    manager: AmqpConnectionManager,
    managed: ChannelWrapper,
  ): void => {
    expectTypeOf(sealAmqp(older, { sealer })).toEqualTypeOf<earlier.ChannelModel>()
    expectTypeOf(sealAmqp(calling, { sealer })).toEqualTypeOf<callbacks.Connection>()
    expectTypeOf(sealChannel(callingChannel, { sealer })).toEqualTypeOf<callbacks.ConfirmChannel>()
    expectTypeOf(openChannel(callingChannel, { opener, park: { channel: callingChannel, exchange: 'parked' } })).toEqualTypeOf<callbacks.ConfirmChannel>()
    expectTypeOf(sealAmqp(manager, { sealer, opener, onStopped })).toEqualTypeOf<AmqpConnectionManager>()
    // @ts-expect-error: its manager is what can be wrapped
    sealChannel(managed, { sealer })
    expectTypeOf(sealAmqp(connection, { sealer, opener, park: { channel: confirming, exchange: 'parked' } })).toEqualTypeOf<ChannelModel>()
    expectTypeOf(sealAmqp(recovering, { sealer })).toEqualTypeOf<RecoveringChannelModel>()
    expectTypeOf(sealChannel(channel, { sealer })).toEqualTypeOf<Channel>()
    expectTypeOf(sealChannel(confirming, { sealer })).toEqualTypeOf<ConfirmChannel>()
    expectTypeOf(openChannel(confirming, { opener, onStopped })).toEqualTypeOf<ConfirmChannel>()
    // @ts-expect-error: a parking place confirms
    openChannel(channel, { opener, park: { channel, exchange: 'parked' } })
    // @ts-expect-error: no channel
    sealChannel(connection, { sealer })
  }
  expect(types).toBeTypeOf('function')
})
