import { createOpener, createSealer, defineChannels, type Opened, opened } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { connect, type ConsumeMessage } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { afterEach, expect, test } from 'vitest'
import { createKeySource } from '../../packages/rabbitmq/test/support/key-source.ts'
import type { KafkaAddress, RabbitAddress } from '../support/broker-providers.ts'
import { createTopics, describeWithKafka, describeWithRabbit, uniqueName } from '../support/brokers.ts'

const bridge = ({ bootstrap }: Pick<KafkaAddress, 'bootstrap'>, { url }: Pick<RabbitAddress, 'url'>): void => {
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  /** One service on both brokers, with one declaration of its channels: a topic and a queue carry the same one. */
  const start = async () => {
    const topic = uniqueName('orders')
    const queue = uniqueName('orders')
    const { directory, identities } = createKeySource()
    // A record's key is bound where there is one; RabbitMQ has none to compare it with.
    const channels = defineChannels({ orders: { to: ['billing'], match: [topic, queue], bind: { key: false, headers: ['tenant'] } } })
    const options = { sealer: createSealer({ directory, channels }), opener: createOpener({ name: 'billing', identities, channels }), onStopped: ({ error }: { error: Error }) => expect.fail(error.message) }
    await createTopics(bootstrap, [{ topic, numPartitions: 1 }])
    const raw = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING })
    const plain = await connect(url)
    ends.push(() => plain.close())
    const bare = await plain.createConfirmChannel()
    await bare.assertQueue(queue, { durable: true, expires: 120_000 })
    return { topic, queue, raw, bare, kafka: sealKafka(raw, options), rabbit: sealAmqp(plain, options) }
  }

  const factsOf = ({ id, time, channel, inReplyTo }: Opened): unknown => ({ id, time, channel, inReplyTo })

  test('a message sealed for Kafka opens from RabbitMQ, with the same bytes', async () => {
    const { topic, queue, raw, bare, kafka, rabbit } = await start()
    const producer = kafka.producer()
    await producer.connect()
    ends.push(() => producer.disconnect())
    await producer.send({ topic, messages: [{ key: 'k', value: '{"total":9}', headers: { 'content-type': 'application/json', tenant: 'a' } }] })

    // The bridge is a plain process: it has no key.
    const bridging = raw.consumer({ groupId: uniqueName('bridge') })
    await bridging.connect()
    ends.push(() => bridging.disconnect())
    await bridging.subscribe({ topic, fromBeginning: true })
    let carried: Buffer | undefined
    await bridging.run({
      eachMessage: async ({ message: { value, headers } }) => {
        carried = value ?? undefined
        if (value) bare.sendToQueue(queue, value, { contentType: String(headers?.['content-type']), headers: { tenant: String(headers?.['tenant']) } })
      },
    })
    const channel = await rabbit.createChannel()
    const message = await new Promise<ConsumeMessage>((resolve, reject) => channel.consume(queue, (each) => each && resolve(each)).catch(reject))
    expect([message.content.toString(), message.properties.contentType]).toEqual(['{"total":9}', 'application/json'])
    expect(opened(message)?.envelope.equals(carried ?? Buffer.alloc(0))).toBe(true)
    expect(opened(message)).toMatchObject({ channel: 'orders' })
  })

  test('a message sealed for RabbitMQ opens from Kafka, with the same bytes', async () => {
    const { topic, queue, raw, bare, kafka, rabbit } = await start()
    const channel = await rabbit.createConfirmChannel()
    channel.sendToQueue(queue, Buffer.from('{"total":9}'), { contentType: 'application/json', messageId: 'm-1', headers: { tenant: 'a' } })
    await channel.waitForConfirms()
    const carried = await bare.get(queue, { noAck: true })
    if (!carried) throw new Error('nothing was published')
    const bridging = raw.producer()
    await bridging.connect()
    ends.push(() => bridging.disconnect())
    await bridging.send({ topic, messages: [{ value: carried.content, headers: { 'content-type': carried.properties.contentType as string, tenant: carried.properties.headers?.['tenant'] as string } }] })

    const consumer = kafka.consumer({ groupId: uniqueName('billing') })
    await consumer.connect()
    ends.push(() => consumer.disconnect())
    await consumer.subscribe({ topic, fromBeginning: true })
    const seen: { value: string; type: string; facts: unknown; same: boolean }[] = []
    await consumer.run({
      eachMessage: async ({ message }) => {
        const facts = opened(message) ?? expect.fail()
        seen.push({ value: String(message.value), type: String(message.headers?.['content-type']), facts: factsOf(facts), same: facts.envelope.equals(carried.content) })
      },
    })
    await expect.poll(() => seen, { timeout: 20_000 }).toMatchObject([{ value: '{"total":9}', type: 'application/json', facts: { id: 'm-1', channel: 'orders' }, same: true }])
  })
}

describeWithKafka('bridge', (kafka) => {
  describeWithRabbit('between Kafka and RabbitMQ', (rabbit) => bridge(kafka, rabbit))
})
