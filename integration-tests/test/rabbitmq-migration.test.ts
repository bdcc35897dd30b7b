import { setTimeout as sleep } from 'node:timers/promises'
import { createOpener, createSealer, defineChannels, opened } from '@sealbus/core'
import { sealAmqp } from '@sealbus/rabbitmq'
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib'
import { afterEach, expect, test } from 'vitest'
import { createKeySource } from '../../packages/rabbitmq/test/support/key-source.ts'
import { describeWithRabbit, uniqueName } from '../support/brokers.ts'

describeWithRabbit('RabbitMQ migration', ({ url }) => {
  const connections: ChannelModel[] = []
  afterEach(async () => {
    for (const connection of connections.splice(0)) await connection.close().catch(() => {})
  })

  test('plain to sealed and back, one service after the other, while messages flow: each is handled once, in order', async () => {
    const queue = uniqueName('orders')
    const exchange = uniqueName('shop')
    const { directory, identities } = createKeySource()
    const sealer = createSealer({ directory, channels: defineChannels({ orders: { to: ['billing'], match: [queue, exchange] } }) })
    const openers = Object.fromEntries(
      (['sealed', 'sealed-or-plain'] as const).map((accept) => [accept, createOpener({ name: 'billing', identities, channels: defineChannels({ orders: { to: ['billing'], match: [queue, exchange], accept } }) })]),
    )
    const stopped: string[] = []
    const join = async (): Promise<ChannelModel> => {
      const connection = await connect(url)
      connections.push(connection)
      return connection
    }
    const topology = await (await join()).createChannel()
    await topology.assertQueue(queue, { durable: true, expires: 120_000 })
    await topology.assertExchange(exchange, 'topic', { durable: true, autoDelete: true })
    await topology.bindQueue(queue, exchange, 'order.#')

    // The producing service: one deployment replaces the other, and the numbers go on.
    let next = 0
    let channel: ConfirmChannel | undefined
    const deployProducer = async (sealed: boolean): Promise<void> => {
      const connection = await join()
      channel = await (sealed ? sealAmqp(connection, { sealer }) : connection).createConfirmChannel()
    }
    await deployProducer(false)
    let producing = true
    const flow = (async () => {
      while (producing) {
        const current = channel ?? expect.fail()
        current.publish(exchange, 'order.new', Buffer.from(String(next++)), { persistent: true, contentType: 'text/plain' })
        await current.waitForConfirms()
        await sleep(2)
      }
    })()

    // The consuming service, the same way: what one has not acknowledged, the next one gets.
    const handled: [number: string, kind: 'sealed' | 'plain'][] = []
    let leave = async (): Promise<void> => {}
    const deployConsumer = async (accept?: 'sealed' | 'sealed-or-plain'): Promise<void> => {
      await leave()
      const connection = await join()
      const opener = accept && openers[accept]
      const consuming = await (opener ? sealAmqp(connection, { opener, onStopped: ({ error }) => stopped.push(error.code) }) : connection).createChannel()
      await consuming.prefetch(1)
      const { consumerTag } = await consuming.consume(queue, (message) => {
        if (!message) return
        const { contentType } = message.properties as { contentType: string }
        expect(contentType).toBe('text/plain')
        handled.push([message.content.toString(), opened(message) ? 'sealed' : 'plain'])
        consuming.ack(message)
      })
      leave = async () => {
        await consuming.cancel(consumerTag)
        await consuming.close()
      }
    }
    const some = async (kind: 'sealed' | 'plain'): Promise<void> => {
      const from = handled.length
      await expect.poll(() => handled.slice(from).filter(([, each]) => each === kind).length).toBeGreaterThan(20)
    }

    await deployConsumer()
    await some('plain')
    await deployConsumer('sealed-or-plain')
    await some('plain')
    await deployProducer(true)
    await some('sealed')
    // The counts say when the last plain message was: then the consumers can be strict.
    const counts = (): { sealed: number; plain: number } => openers['sealed-or-plain']?.counts()['orders'] ?? expect.fail()
    const { plain } = counts()
    await some('sealed')
    expect(counts().plain).toBe(plain)
    await deployConsumer('sealed')
    await some('sealed')
    // Roll-back: consumers first.
    await deployConsumer('sealed-or-plain')
    await some('sealed')
    await deployProducer(false)
    await some('plain')
    await deployConsumer()
    await some('plain')

    producing = false
    await flow
    await expect.poll(() => handled.length).toBe(next)
    expect(handled.map(([number]) => number)).toEqual(Array.from({ length: next }, (_, index) => String(index)))
    expect(stopped).toEqual([])
    await topology.deleteQueue(queue)
  })

  test('a consumer that is strict too early stops, and loses nothing', async () => {
    const queue = uniqueName('orders')
    const { identities } = createKeySource()
    const opener = createOpener({ name: 'billing', identities, channels: defineChannels({ orders: { to: ['billing'], match: [queue] } }) })
    const connection = await connect(url)
    connections.push(connection)
    const plain = await connection.createConfirmChannel()
    await plain.assertQueue(queue, { durable: true, expires: 120_000 })
    plain.sendToQueue(queue, Buffer.from('plain'))
    await plain.waitForConfirms()
    const stopped: string[] = []
    const channel = await sealAmqp(connection, { opener, onStopped: ({ error }) => stopped.push(error.code) }).createChannel()
    await channel.consume(queue, () => expect.fail('a plain message was delivered'))
    await expect.poll(() => stopped).toEqual(['ERR_SEALBUS_NOT_SEALED'])
    await expect.poll(async () => (await plain.checkQueue(queue)).messageCount).toBe(1)
    await plain.deleteQueue(queue)
  })
})
