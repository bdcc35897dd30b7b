import { randomUUID } from 'node:crypto'
import { createSealer, defineChannels, opened } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import { channelHealth } from '@sealbus/rabbitmq'
import type { Message } from 'amqplib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { describeWithRabbit } from '../support/brokers.ts'
import { type ClientChannel, type ClientConnection, RABBIT_CLIENTS } from '../support/rabbit-clients.ts'
import { createRabbitWorld, type RabbitWorld } from '../support/rabbit-world.ts'

const DIRECT = 'amq.rabbitmq.reply-to'
const [amqplib = expect.fail()] = RABBIT_CLIENTS

describeWithRabbit('RabbitMQ requests and replies', ({ url }) => {
  let world: RabbitWorld

  beforeEach(async () => {
    world = await createRabbitWorld(url, {
      channels: ({ orders, exchange }) => ({
        orders: { to: ['billing'], match: [orders, exchange] },
        // The broker gives each requester a name of its own, which starts with that of the pseudo-queue.
        replies: { to: ['billing'], match: [`${orders}.replies`, /^amq\.rabbitmq\.reply-to/] },
      }),
    })
    await world.queue(`${world.orders}.replies`)
  })
  afterEach(async () => world.close())

  /** Answers each request with its text in upper case. */
  const serve = async (connection: ClientConnection): Promise<ClientChannel> => {
    const channel = await connection.channel()
    await channel.consume(world.orders, (request) => {
      if (!request) return
      const { replyTo, correlationId } = request.properties as { replyTo: string; correlationId: string }
      // The reply may be there before its confirm, and the test over.
      void channel.publish('', replyTo, Buffer.from(request.content.toString().toUpperCase()), { correlationId }).then(() => channel.ack(request), () => {})
    })
    return channel
  }

  interface Requester {
    ask(text: string, id?: string): Promise<Message>
    readonly replies: Message[]
    readonly channel: ClientChannel
  }

  const requester = async (channel: ClientChannel, replyTo: string): Promise<Requester> => {
    const waiting = new Map<string, (reply: Message) => void>()
    const replies: Message[] = []
    await channel.consume(
      replyTo,
      (reply) => {
        if (!reply) return
        replies.push(reply)
        waiting.get(reply.properties.correlationId as string)?.(reply)
        if (replyTo !== DIRECT) channel.ack(reply)
      },
      { noAck: replyTo === DIRECT },
    )
    return {
      replies,
      channel,
      async ask(text, id) {
        const correlationId = randomUUID()
        const reply = new Promise<Message>((resolve) => waiting.set(correlationId, resolve))
        await channel.publish('', world.orders, Buffer.from(text), { replyTo, correlationId, ...(id !== undefined && { messageId: id }) })
        return await reply
      },
    }
  }

  describe.each(RABBIT_CLIENTS)('with $name', (client) => {
    test.each([
      ['a reply queue', false],
      ['direct reply-to', true],
    ])('by %s: both ways are sealed, and the reply names its request', async (_, direct) => {
      const connection = await world.open(client)
      await serve(connection)
      const requests = await requester(connection.first, direct ? DIRECT : `${world.orders}.replies`)
      const replies = await Promise.all(['one', 'two', 'three'].map((text) => requests.ask(text, `request-${text}`)))
      expect(replies.map((reply) => [reply.content.toString(), opened(reply)?.channel, opened(reply)?.inReplyTo])).toEqual([
        ['ONE', 'replies', 'request-one'],
        ['TWO', 'replies', 'request-two'],
        ['THREE', 'replies', 'request-three'],
      ])
    })
  })

  /** What is on the wire of a reply queue, for a request that a service has answered. */
  const answers = async (texts: readonly string[]): Promise<{ asking: ClientChannel; wire: Message[]; correlationIds: string[] }> => {
    const connection = await world.open(amqplib)
    await serve(await world.open(amqplib))
    const correlationIds: string[] = []
    const wire: Message[] = []
    for (const text of texts) {
      const correlationId = randomUUID()
      correlationIds.push(correlationId)
      await connection.first.publish('', world.orders, Buffer.from(text), { replyTo: `${world.orders}.replies`, correlationId })
      await expect.poll(() => world.ready(`${world.orders}.replies`)).toBe(1)
      const reply = await world.take(`${world.orders}.replies`)
      if (reply) wire.push(reply)
    }
    return { asking: connection.first, wire, correlationIds }
  }

  test('a reply that the broker gives to another request does not open', async () => {
    const { asking, wire, correlationIds } = await answers(['one', 'two'])
    const [one = expect.fail(), two = expect.fail()] = wire
    const received: string[] = []
    // As they were: both open.
    await asking.consume(`${world.orders}.replies`, (reply) => reply && (received.push(reply.content.toString()), asking.ack(reply)))
    for (const each of [one, two]) world.plain.sendToQueue(`${world.orders}.replies`, each.content, each.properties)
    await expect.poll(() => received).toEqual(['ONE', 'TWO'])
    // Exchanged.
    world.plain.sendToQueue(`${world.orders}.replies`, two.content, { ...two.properties, correlationId: correlationIds[0] ?? 'none' })
    await expect.poll(() => world.stopped).toMatchObject([{ error: { code: 'ERR_SEALBUS_CONTEXT_MISMATCH' } }])
    expect(received).toEqual(['ONE', 'TWO'])
  })

  test('a direct reply that answers another request does not open either', async () => {
    const serving = await (await world.connectPlain()).createChannel()
    await serving.consume(
      world.orders,
      (request) => {
        if (!request) return
        const { replyTo, correlationId, messageId } = request.properties as { replyTo: string; correlationId: string; messageId: string }
        // The second is answered as if it were the first.
        for (const inReplyTo of messageId === 'two' ? ['one', 'two'] : [messageId]) {
          serving.sendToQueue(replyTo, world.sealer.sealSync(`to ${inReplyTo}`, { channel: 'replies', inReplyTo }).bytes, { contentType: 'application/jose+json', correlationId })
        }
      },
      { noAck: true },
    )
    const connection = await world.open(amqplib, { park: world.parking })
    const asking = await requester(connection.first, DIRECT)
    for (const id of ['one', 'two']) expect((await asking.ask(id, id)).content.toString()).toBe(`to ${id}`)
    const parked = await world.take(world.parked)
    expect(parked && parked.properties.headers).toMatchObject({ [PARK_HEADERS.code]: 'ERR_SEALBUS_CONTEXT_MISMATCH', [PARK_HEADERS.by]: DIRECT })
  })

  test('a reply to nobody’s request is delivered, and says what it answers', async () => {
    const { wire } = await answers(['one'])
    const [reply = expect.fail()] = wire
    const channels = defineChannels({ replies: { to: ['billing'], match: [`${world.orders}.replies`] } })
    // Another process, which did not ask.
    const { createOpener } = await import('@sealbus/core')
    const elsewhere = await world.open(amqplib, { opener: createOpener({ name: 'billing', identities: world.source.identities, channels }), sealer: createSealer({ directory: world.source.directory, channels }) })
    const received: Message[] = []
    await elsewhere.first.consume(`${world.orders}.replies`, (message) => message && received.push(message))
    world.plain.sendToQueue(`${world.orders}.replies`, reply.content, reply.properties)
    await expect.poll(() => received.length).toBe(1)
    expect(opened(received[0] ?? {})?.inReplyTo).toMatch(/^[\w-]{22}$/)
  })

  test.each([
    ['a reply queue', false],
    ['direct reply-to', true],
  ])('a reply by %s that comes after its requester has given up is no error', async (_, direct) => {
    const queue = direct ? DIRECT : `${world.orders}.replies`
    const connection = await world.open(amqplib)
    const asking = await requester(connection.first, queue)
    const outcome = Promise.race([asking.ask('one'), new Promise((resolve) => setTimeout(resolve, 200, 'timed out'))])
    expect(await outcome).toBe('timed out')
    await serve(await world.open(amqplib))
    await expect.poll(() => asking.replies.map(({ content }) => content.toString())).toEqual(['ONE'])
    expect(channelHealth(connection.first.own)).toMatchObject({ healthy: true, consumers: [{ queue, state: 'running' }] })
    expect((await asking.ask('two')).content.toString()).toBe('TWO')
  })

  test('a direct reply that does not open is parked, or stops its consumer', async () => {
    const serving = (await world.connectPlain()).createChannel()
    const garbling = await serving
    await garbling.consume(world.orders, (request) => request && garbling.sendToQueue(request.properties.replyTo as string, Buffer.from('{"protected":"x"}'), { correlationId: request.properties.correlationId as string }), { noAck: true })
    const parking = await world.open(amqplib, { park: world.parking })
    void (await requester(parking.first, DIRECT)).ask('one')
    await expect.poll(() => world.ready(world.parked)).toBe(1)
    const stopping = await world.open(amqplib, { park: { deadLetter: true } })
    void (await requester(stopping.first, DIRECT)).ask('two')
    await expect.poll(() => world.stopped).toMatchObject([{ queue: DIRECT, error: { code: 'ERR_SEALBUS_MALFORMED' } }])
  })
})
