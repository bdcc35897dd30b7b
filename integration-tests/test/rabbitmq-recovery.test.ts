import { setTimeout as sleep } from 'node:timers/promises'
import { opened } from '@sealbus/core'
import { channelHealth, sealAmqp } from '@sealbus/rabbitmq'
import { connect as connectManager } from 'amqp-connection-manager'
import { type ChannelModel, type ConfirmChannel, connect, type Message } from 'amqplib'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { describeWithLocalRabbit } from '../support/brokers.ts'
import { RABBIT_CLIENTS } from '../support/rabbit-clients.ts'
import { createRabbitWorld, type RabbitWorld } from '../support/rabbit-world.ts'
import { type RabbitNode, startRabbitNode } from '../support/rabbitmq-node.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

const [amqplib = expect.fail(), , , , manager = expect.fail()] = RABBIT_CLIENTS

describeWithLocalRabbit('RabbitMQ connections that are lost', () => {
  let node: RabbitNode
  let world: RabbitWorld
  let received: string[]
  const ends: (() => unknown)[] = []

  beforeAll(async () => {
    node = await startRabbitNode()
  })
  afterAll(async () => node?.stop())
  beforeEach(async () => {
    world = await createRabbitWorld(node.url)
    received = []
  })
  afterEach(async () => {
    for (const end of ends.splice(0)) await Promise.resolve(end()).catch(() => {})
    await world.close()
  })

  /** Ids on the wire, in the order of the queue; the test fails when one envelope's id is in another envelope too. */
  const drain = async (): Promise<Map<string, number>> => {
    const plain = await (await world.connectPlain()).createChannel()
    const counts = new Map<string, number>()
    const envelopes = new Map<string, string>()
    for (let each = await plain.get(world.orders, { noAck: true }); each; each = await plain.get(world.orders, { noAck: true })) {
      const { id = expect.fail() } = world.opener.openSync(each.content, { channel: 'orders' })
      const envelope = each.content.toString()
      expect(envelopes.get(id) ?? envelope).toBe(envelope)
      envelopes.set(id, envelope)
      counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    return counts
  }

  test('amqplib’s recovering connection: consumers and publishers go on, what was unconfirmed is reported', async () => {
    const channels: ConfirmChannel[] = []
    const setup = async (model: ChannelModel): Promise<void> => {
      model.on('error', () => {})
      const channel = await sealAmqp(model, world.options).createConfirmChannel()
      channel.on('error', () => {})
      channels.push(channel)
      await channel.consume(world.orders, (message) => {
        if (!message) return
        received.push(message.content.toString())
        channel.ack(message)
      })
    }
    const recovering = await connect(node.url, { recovery: { setup, initialDelay: 50 } })
    recovering.on('error', () => {})
    ends.push(() => recovering.close())
    const [before = expect.fail()] = channels
    before.sendToQueue(world.orders, Buffer.from('before'))
    await before.waitForConfirms()
    await expect.poll(() => received).toEqual(['before'])

    const outcomes: unknown[] = []
    for (let count = 0; count < 50; count++) before.sendToQueue(world.orders, Buffer.from('lost?'), {}, (error) => outcomes.push(error))
    await node.closeConnections()
    await expect.poll(() => channels.length).toBe(2)
    await expect.poll(() => outcomes.length).toBe(50)
    expect(() => before.sendToQueue(world.orders, Buffer.from('late'))).toThrow(/closed/i)
    channels[1]?.sendToQueue(world.orders, Buffer.from('after'))
    await expect.poll(() => received.at(-1)).toBe('after')
    expect(channelHealth(channels[1] ?? before)).toMatchObject({ healthy: true, consumers: [{ state: 'running' }] })
  })

  test('a wrapped recovering connection makes wrapped channels on every connection', async () => {
    const recovering = sealAmqp(await connect(node.url, { recovery: { initialDelay: 50 } }), world.options)
    recovering.on('error', () => {})
    ends.push(() => recovering.close())
    const announced: ChannelModel[] = []
    recovering.on('connect', (model) => announced.push(model))
    await node.closeConnections()
    await expect.poll(() => announced.length).toBe(1)
    for (const connection of [recovering, announced[0] ?? expect.fail()]) {
      const channel = await connection.createConfirmChannel()
      channel.sendToQueue(world.orders, Buffer.from('sealed'))
      await channel.waitForConfirms()
    }
    expect([...(await drain()).values()]).toEqual([1, 1])
  })

  test('the manager goes on by itself: what it confirmed is there, what it lost it reports, and no message is sealed twice', async () => {
    const { hostname, port } = new URL(node.url)
    const proxy: TcpProxy = await startTcpProxy({ upstream: { host: hostname, port: Number(port) } })
    const connection = sealAmqp(connectManager([`amqp://guest:guest@127.0.0.1:${proxy.port}`], { reconnectTimeInSeconds: 0.1 }), world.options)
    ends.push(() => connection.close(), () => proxy.close())
    const channel = connection.createChannel()
    channel.on('error', () => {})
    const published = new Map<string, Promise<unknown>>()
    const publish = (id: string): void => void published.set(id, channel.publish(world.exchange, '', Buffer.from('x'), { messageId: id, persistent: true }).catch((error: unknown) => error))
    for (let cut = 0; cut < 4; cut++) {
      await channel.waitForConnect()
      proxy.setDelay(20)
      for (let count = 0; count < 50; count++) publish(`${cut}-${count}`)
      await sleep(30)
      // By the broker, and by the network.
      if (cut % 2 === 0) await node.closeConnections()
      else proxy.cutConnections()
      proxy.setDelay(0)
      await expect.poll(() => connection.isConnected()).toBe(false)
      for (let count = 0; count < 50; count++) publish(`${cut}-offline-${count}`)
      await Promise.all(published.values())
    }
    const outcomes = new Map(await Promise.all([...published].map(async ([id, outcome]) => [id, await outcome] as const)))
    const found = await drain()
    for (const [id, outcome] of outcomes) {
      if (outcome instanceof Error) expect(outcome.message).toBe('channel closed')
      else expect(found.has(id)).toBe(true)
    }
    // What was queued while there was no connection is there in any case.
    expect([...outcomes].filter(([id, outcome]) => id.includes('offline') && outcome !== true)).toEqual([])
    expect(found.size).toBeGreaterThanOrEqual(200)
  })

  test('pitfall 6: what the manager queues while it is offline is sealed', async () => {
    const connection = sealAmqp(connectManager(['amqp://127.0.0.1:1'], { reconnectTimeInSeconds: 0.1 }), world.options)
    connection.on('connectFailed', () => {})
    ends.push(() => connection.close())
    const channel = connection.createChannel()
    const waiting = [channel.publish(world.exchange, '', Buffer.from('canary')), channel.sendToQueue(world.orders, 'canary')]
    expect(channel.queueLength()).toBe(2)
    const queued = Reflect.get(channel, '_messages') as { content: Buffer }[]
    expect(queued.map(({ content }) => world.opener.openSync(content, { channel: 'orders' }).plaintext.toString())).toEqual(['canary', 'canary'])
    expect(queued.some(({ content }) => content.includes('canary'))).toBe(false)
    await channel.close()
    for (const each of waiting) await expect(each).rejects.toThrow('Channel closed')
  })

  test('the manager’s setups, consumers and json go through wrapped channels, on every connection', async () => {
    const connection = sealAmqp(connectManager([node.url], { reconnectTimeInSeconds: 0.1 }), world.options)
    ends.push(() => connection.close())
    let setups = 0
    const channel = connection.createChannel({
      json: true,
      setup: async (inner: ConfirmChannel) => {
        setups++
        inner.sendToQueue(world.orders, Buffer.from('"by setup"'))
      },
    })
    const byCallback = (inner: ConfirmChannel, done: (error?: Error) => void): void => {
      inner.sendToQueue(world.orders, Buffer.from('"by callback"'), {}, () => done())
    }
    await channel.addSetup(byCallback)
    await channel.sendToQueue(world.orders, { total: 9 })
    const tags = await channel.consume(world.orders, (message) => {
      received.push(message.content.toString())
      channel.ack(message)
    })
    await expect.poll(() => received.toSorted()).toEqual(['"by callback"', '"by setup"', '{"total":9}'])
    await node.closeConnections()
    await expect.poll(() => setups).toBe(2)
    await channel.publish(world.exchange, '', { total: 10 })
    await expect.poll(() => received.length).toBe(6)
    await channel.removeSetup(byCallback, async (inner: ConfirmChannel) => void inner.sendToQueue(world.orders, Buffer.from('"by teardown"')))
    await expect.poll(() => received.at(-1)).toBe('"by teardown"')
    await channel.cancel(tags.consumerTag)
    expect(await channel.get(world.orders)).toBe(false)
    expect(channelHealth(channel)).toEqual({ healthy: true, consumers: [] })
  })

  test.each([amqplib, manager])('pitfall 23: an acknowledgement that comes after the connection was lost settles nothing else, with $name', async (client) => {
    const connection = await world.open(client)
    const messages: Message[] = []
    await connection.first.publish('', world.orders, Buffer.from('one'))
    await connection.first.consume(world.orders, (message) => message && messages.push(message))
    await expect.poll(() => messages.length).toBe(1)
    await node.closeConnections()
    // The manager consumes again by itself; amqplib's application makes a new connection.
    const second = client.managed ? connection.first : (await world.open(client)).first
    if (!client.managed) await second.consume(world.orders, (message) => message && messages.push(message))
    await expect.poll(() => messages.length).toBe(2)
    const errors: unknown[] = []
    const [late = expect.fail(), again = expect.fail()] = messages
    const inner = client.managed ? (Reflect.get(second.own, '_channel') as ConfirmChannel) : (second.own as ConfirmChannel)
    inner.on('error', (error) => errors.push(error))
    second.ack(late)
    second.nack({ ...late }, false, true)
    await second.publish('', world.orders, Buffer.from('two'))
    await expect.poll(() => messages.length).toBe(3)
    expect([opened(late)?.id, again.fields.redelivered, errors]).toEqual([opened(again)?.id, true, []])
    // The late ones settled nothing: with the first unacknowledged still, it comes again.
    await second.close()
    const looking = await (await world.connectPlain()).createChannel()
    await expect.poll(async () => (await looking.checkQueue(world.orders)).messageCount).toBe(2)
  })

  test('a hold ends with its connection, and goes on in the consumer that the manager makes', async () => {
    const { first } = await world.open(manager)
    await first.publish('', world.orders, Buffer.from('one'))
    world.source.answers = 'down'
    await first.consume(world.orders, (message) => {
      if (!message) return
      received.push(message.content.toString())
      first.ack(message)
    })
    await expect.poll(() => channelHealth(first.own).consumers[0]?.state).toBe('holding')
    await node.closeConnections()
    await expect.poll(async () => (await (await world.connectPlain()).createChannel()).checkQueue(world.orders)).toMatchObject({ consumerCount: 1, messageCount: 0 })
    world.source.answers = 'now'
    await expect.poll(() => received).toEqual(['one'])
  })
})
