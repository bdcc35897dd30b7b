import { setTimeout as sleep } from 'node:timers/promises'
import { opened } from '@sealbus/core'
import { channelHealth, sealAmqp } from '@sealbus/rabbitmq'
import { connect as connectManager } from 'amqp-connection-manager'
import { type ChannelModel, type ConfirmChannel, connect, type Message } from 'amqplib'
import { type Connection, connect as connectCallbacks, type ConfirmChannel as CallbackConfirmChannel, type RecoveringConnection } from 'amqplib/callback_api'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { RABBIT_CLIENTS } from './rabbit-clients.ts'
import { createRabbitWorld, type RabbitWorld } from './rabbit-world.ts'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

const manager = RABBIT_CLIENTS.find(({ managed }) => managed) ?? expect.fail()

/** A way to a broker on which all connections can be lost at once. */
export interface LosingBroker {
  readonly url: string
  /** Ends all connections that are open now; new ones are accepted. */
  lose(): Promise<void> | void
  stop(): Promise<void> | void
}

/** What a recovering connection of amqplib 2 is asked to do on every connection that it makes. */
interface OnEach {
  readonly url: string
  readonly world: RabbitWorld
  readonly made: (channel: ConfirmChannel | CallbackConfirmChannel) => void
  readonly handler: (channel: ConfirmChannel | CallbackConfirmChannel, message: Message) => void
}

async function recoverByPromises({ url, world, made, handler }: OnEach): Promise<() => Promise<void>> {
  const setup = async (model: ChannelModel): Promise<void> => {
    model.on('error', () => {})
    const channel = await sealAmqp(model, world.options).createConfirmChannel()
    channel.on('error', () => {})
    made(channel)
    await channel.consume(world.orders, (message) => message && handler(channel, message))
  }
  const recovering = await connect(url, { recovery: { setup, initialDelay: 50 } })
  recovering.on('error', () => {})
  return () => recovering.close()
}

async function recoverByCallbacks({ url, world, made, handler }: OnEach): Promise<() => Promise<void>> {
  const setup = (model: Connection, done: (error?: Error) => void): void => {
    model.on('error', () => {})
    sealAmqp(model, world.options).createConfirmChannel((failed, channel) => {
      if (failed) return done(failed)
      channel.on('error', () => {})
      made(channel)
      channel.consume(world.orders, (message) => message && handler(channel, message), {}, (error) => done(error ?? undefined))
    })
  }
  const recovering = await asked<RecoveringConnection>((done) => connectCallbacks(url, { recovery: { setup, initialDelay: 50 } }, done))
  recovering.on('error', () => {})
  return () => asked((done) => recovering.close(done))
}

const asked = <Value>(call: (done: (error: Error | null, value?: Value) => void) => unknown): Promise<Value> =>
  new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value as Value))))

/** The tests of lost connections, whoever ends them: the broker, or the network. */
export function testLostConnections(start: () => Promise<LosingBroker>): void {
  let broker: LosingBroker
  let world: RabbitWorld
  let received: string[]
  const ends: (() => unknown)[] = []

  beforeAll(async () => {
    broker = await start()
  })
  afterAll(async () => broker?.stop())
  beforeEach(async () => {
    world = await createRabbitWorld(broker.url)
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

  test.each([
    ['promises', recoverByPromises],
    ['callbacks', recoverByCallbacks],
  ] as const)('amqplib’s recovering connection, by %s: consumers and publishers go on, what was unconfirmed is reported', async (_api, recover) => {
    const channels: (ConfirmChannel | CallbackConfirmChannel)[] = []
    const handler: OnEach['handler'] = (channel, message) => {
      received.push(message.content.toString())
      channel.ack(message)
    }
    ends.push(await recover({ url: broker.url, world, made: (channel) => channels.push(channel), handler }))
    const [before = expect.fail()] = channels
    await asked((done) => before.sendToQueue(world.orders, Buffer.from('before'), {}, done))
    await expect.poll(() => received).toEqual(['before'])

    const outcomes: unknown[] = []
    for (let count = 0; count < 50; count++) before.sendToQueue(world.orders, Buffer.from('lost?'), {}, (error) => outcomes.push(error))
    await broker.lose()
    await expect.poll(() => channels.length).toBe(2)
    await expect.poll(() => outcomes.length).toBe(50)
    expect(() => before.sendToQueue(world.orders, Buffer.from('late'))).toThrow(/closed/i)
    const after = channels[1] ?? before
    await asked((done) => after.sendToQueue(world.orders, Buffer.from('after'), {}, done))
    await expect.poll(() => received.at(-1)).toBe('after')
    // What was confirmed is there, ahead of what was sent later; of all else an error was told.
    const confirmed = outcomes.filter((outcome) => outcome === null).length
    expect(outcomes.filter((outcome) => outcome instanceof Error)).toHaveLength(50 - confirmed)
    expect(received.filter((text) => text === 'lost?').length).toBeGreaterThanOrEqual(confirmed)
    expect(channelHealth(after)).toMatchObject({ healthy: true, consumers: [{ state: 'running' }] })
  })

  test('a wrapped recovering connection makes wrapped channels on every connection', async () => {
    const recovering = sealAmqp(await connect(broker.url, { recovery: { initialDelay: 50 } }), world.options)
    recovering.on('error', () => {})
    ends.push(() => recovering.close())
    const announced: ChannelModel[] = []
    recovering.on('connect', (model) => announced.push(model))
    await broker.lose()
    await expect.poll(() => announced.length).toBe(1)
    for (const connection of [recovering, announced[0] ?? expect.fail()]) {
      const channel = await connection.createConfirmChannel()
      channel.sendToQueue(world.orders, Buffer.from('sealed'))
      await channel.waitForConfirms()
    }
    expect([...(await drain()).values()]).toEqual([1, 1])
  })

  test('so does one of the callback API', async () => {
    const recovering = sealAmqp(await asked<RecoveringConnection>((done) => connectCallbacks(broker.url, { recovery: { initialDelay: 50 } }, done)), world.options)
    recovering.on('error', () => {})
    ends.push(() => asked((done) => recovering.close(done)))
    const announced: Connection[] = []
    recovering.on('connect', (model) => announced.push(model))
    await broker.lose()
    await expect.poll(() => announced.length).toBe(1)
    for (const connection of [recovering, announced[0] ?? expect.fail()]) {
      const channel = await asked<CallbackConfirmChannel>((done) => connection.createConfirmChannel(done))
      await asked((done) => channel.sendToQueue(world.orders, Buffer.from('sealed'), {}, done))
    }
    expect([...(await drain()).values()]).toEqual([1, 1])
  })

  test('the manager goes on by itself: what it confirmed is there, what it lost it reports, and no message is sealed twice', async () => {
    const { proxy, url } = await startProxy(broker.url)
    const connection = sealAmqp(connectManager([url], { reconnectTimeInSeconds: 0.1 }), world.options)
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
      // As the suite has it, and by the network.
      if (cut % 2 === 0) await broker.lose()
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
    const connection = sealAmqp(connectManager([broker.url], { reconnectTimeInSeconds: 0.1 }), world.options)
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
    // Its answer comes after the acknowledgements, which a lost connection would take with it.
    await channel.checkQueue(world.orders)
    await broker.lose()
    await expect.poll(() => setups).toBe(2)
    await channel.publish(world.exchange, '', { total: 10 })
    await expect.poll(() => received.length).toBe(6)
    await channel.removeSetup(byCallback, async (inner: ConfirmChannel) => void inner.sendToQueue(world.orders, Buffer.from('"by teardown"')))
    await expect.poll(() => received.at(-1)).toBe('"by teardown"')
    await channel.cancel(tags.consumerTag)
    expect(await channel.get(world.orders)).toBe(false)
    expect(channelHealth(channel)).toEqual({ healthy: true, consumers: [] })
  })

  test.each(RABBIT_CLIENTS)('pitfall 23: an acknowledgement that comes after the connection was lost settles nothing else, with $name', async (client) => {
    const connection = await world.open(client)
    const messages: Message[] = []
    await connection.first.publish('', world.orders, Buffer.from('one'))
    await connection.first.consume(world.orders, (message) => message && messages.push(message))
    await expect.poll(() => messages.length).toBe(1)
    await broker.lose()
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
    await broker.lose()
    await expect.poll(async () => (await (await world.connectPlain()).createChannel()).checkQueue(world.orders)).toMatchObject({ consumerCount: 1, messageCount: 0 })
    world.source.answers = 'now'
    await expect.poll(() => received).toEqual(['one'])
  })
}

/** The broker behind a proxy, as a client is given it. */
export async function startProxy(url: string): Promise<{ proxy: TcpProxy; url: string }> {
  const { hostname, port } = new URL(url)
  const proxy = await startTcpProxy({ upstream: { host: hostname, port: Number(port || 5672) } })
  const behind = new URL(url)
  behind.hostname = '127.0.0.1'
  behind.port = String(proxy.port)
  return { proxy, url: behind.href }
}
