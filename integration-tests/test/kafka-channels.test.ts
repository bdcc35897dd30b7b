import { createOpener, defineChannels, opened } from '@sealbus/core'
import { consumerHealth, type StoppedMessage } from '@sealbus/kafka'
import { expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { NOTHING, useKafka, WAIT } from '../support/kafka-fixture.ts'

const run = uniqueName('run')
const orders = `orders-${run}`
const channels = defineChannels({
  orders: { to: ['billing'], match: [orders, new RegExp(`^(?:dr\\.|eu-west\\.)${orders}$`), new RegExp(`^${orders}\\.(?:retry\\.\\d+|dlq)$`)] },
  refunds: { to: ['billing'], match: [/^refunds-/] },
})

describeWithKafka('Kafka channels', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  const create = async (...topics: string[]): Promise<void> => void (await fixture.admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions: 1 })), waitForLeaders: true }))

  it('retry topics with growing numbers, then a dead-letter topic: the same envelope all the way, opened at each, and never sealed again', async () => {
    const [retry1, retry2, dead] = [`${orders}.retry.1`, `${orders}.retry.2`, `${orders}.dlq`]
    await create(orders, retry1, retry2, dead)
    await fixture.sealed.send({ topic: orders, messages: [{ key: 'k', value: '{"total":9}', headers: { 'content-type': 'application/json', tenant: 'acme' } }] })
    const seen: [topic: string, value: string, contentType: string, attempt: string, id: string | undefined][] = []
    const consumer = await fixture.consumer({ topics: [orders, retry1, retry2] })
    const next = new Map([[orders, retry1], [retry1, retry2], [retry2, dead]])
    await consumer.run({ eachMessage: async ({ topic, message: { key, headers = {}, ...message } }) => {
      const { attempt = '0' } = headers
      seen.push([topic, String(message.value), String(headers['content-type']), String(attempt), opened(message)?.id])
      // As a service does whose handler failed: on to the next topic, with a count of its own.
      await fixture.sealed.send({ topic: next.get(topic) ?? expect.fail(), messages: [{ key, value: opened(message)?.envelope ?? null, headers: { ...headers, attempt: `${Number(String(attempt)) + 1}` } }] })
    } })
    await expect.poll(() => seen.length, WAIT).toBe(3)
    expect(seen.map(([topic, value, contentType, attempt]) => [topic, value, contentType, attempt])).toEqual([orders, retry1, retry2].map((topic, attempt) => [topic, '{"total":9}', 'application/json', `${attempt}`]))
    expect(new Set(seen.map(([, , , , id]) => id)).size).toBe(1)
    const [first = NOTHING] = await fixture.stored(orders, 1)
    const [last = NOTHING] = await fixture.stored(dead, 1)
    expect(last.value).toEqual(first.value)
    expect([String(last.headers?.['content-type']), String(last.headers?.['attempt'])]).toEqual(['application/jose+json', '3'])
  })

  it('an opened envelope does not pass into another channel, and a copy of one is not taken for plaintext', async () => {
    const refunds = await fixture.topic('refunds')
    await create(`dr.${orders}`)
    const { envelope } = fixture.opener().openSync(fixture.sealer.sealSync('x', { channel: 'orders', key: null }).bytes, { channel: 'orders', key: null })
    await expect(fixture.sealed.send({ topic: refunds, messages: [{ value: envelope }] })).rejects.toMatchObject({ code: 'ERR_SEALBUS_CONTEXT_MISMATCH', message: expect.stringMatching(/"orders".*"refunds".*match/) as unknown })
    await expect(fixture.sealed.send({ topic: `dr.${orders}`, messages: [{ value: Buffer.from(envelope) }] })).rejects.toMatchObject({ code: 'ERR_SEALBUS_ALREADY_SEALED' })
    expect([await fixture.ends(refunds), await fixture.ends(`dr.${orders}`)]).toEqual([['0'], ['0']])
  })

  it('a topic renamed by mirroring opens where `match` has it; elsewhere the error says what was expected and how to allow it', async () => {
    const [mirror, unknown] = [`eu-west.${orders}`, `us-east.${orders}`]
    const elsewhere = await fixture.topic('refunds')
    await create(mirror, unknown)
    const value = fixture.sealer.sealSync('mirrored', { channel: 'orders', key: null }).bytes
    for (const topic of [mirror, unknown, elsewhere]) await fixture.raw.send({ topic, messages: [{ value }] })
    const [seen, stopped] = [[] as string[], [] as StoppedMessage[]]
    const consumer = await fixture.consumer({ topics: [mirror, unknown, elsewhere], onStopped: (each) => void stopped.push(each) })
    await consumer.run({ eachMessage: async ({ topic }) => void seen.push(topic) })
    await expect.poll(() => [seen, stopped.length], WAIT).toEqual([[mirror], 2])
    const told = Object.fromEntries(stopped.map(({ topic, error }) => [topic, `${error.code}: ${error.message}`]))
    expect(told[unknown]).toBe(`ERR_SEALBUS_UNDECLARED_CHANNEL: no channel is declared for "${unknown}": add it to the channels, or to a channel's \`match\``)
    expect(told[elsewhere]).toBe('ERR_SEALBUS_CONTEXT_MISMATCH: the message is authentic, but sealed for channel "orders", found on "refunds": where both are meant, add the destination to the first one\'s `match`')
  })

  it('a topic that nobody declared stops its partition even where there is a parking place, and a consumer that knows it goes on there', async () => {
    const topic = await fixture.topic('undeclared')
    const parkTopic = await fixture.topic('parked')
    const groupId = uniqueName('group')
    await fixture.raw.send({ topic, messages: [{ value: fixture.sealer.sealSync('later', { channel: 'refunds', key: null }).bytes }] })
    const stopped: string[] = []
    const consumer = await fixture.consumer({ topics: [topic], groupId, park: { topic: parkTopic, producer: fixture.raw }, onStopped: ({ error }) => void stopped.push(error.code) })
    await consumer.run({ eachMessage: async () => expect.unreachable('it is not declared') })
    await expect.poll(() => stopped, WAIT).toEqual(['ERR_SEALBUS_UNDECLARED_CHANNEL'])
    expect([consumerHealth(consumer).healthy, await fixture.ends(parkTopic), await fixture.committed(groupId, topic)]).toEqual([false, ['0'], ['-1']])
    await consumer.disconnect()
    const corrected = defineChannels({ refunds: { to: ['billing'], match: [/^refunds-/, topic] } })
    const { name, identities } = fixture.services.named('billing')
    const seen: string[] = []
    const next = await fixture.consumer({ topics: [topic], groupId, opener: createOpener({ name, identities, channels: corrected }) })
    await next.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen, WAIT).toEqual(['later'])
  })

  it('a consumer that subscribes by pattern opens each topic by the channel that has it', async () => {
    const stem = uniqueName('refunds')
    await create(`${stem}-1`, `${stem}-2`)
    for (const each of ['1', '2']) await fixture.sealed.send({ topic: `${stem}-${each}`, messages: [{ value: 'sealed' }] })
    const seen: string[] = []
    const consumer = await fixture.consumer({ topics: [] })
    await consumer.subscribe({ topics: [new RegExp(`^${stem}-\\d$`)], fromBeginning: true })
    await consumer.run({ eachMessage: async ({ topic, message }) => void seen.push(`${topic}: ${String(message.value)}`) })
    await expect.poll(() => seen.toSorted(), WAIT).toEqual([`${stem}-1: sealed`, `${stem}-2: sealed`])
  })

  it('a copy that the parking topic cannot take stops the partition with a code of its own, and goes there once there is room', async () => {
    const topic = await fixture.topic('refunds')
    const parkTopic = await fixture.topic('parked', { config: { 'max.message.bytes': '2000' } })
    const groupId = uniqueName('group')
    await fixture.raw.send({ topic, messages: [{ value: 'x'.repeat(5_000) }] })
    await fixture.sealed.send({ topic, messages: [{ value: 'behind' }] })
    const [seen, stopped] = [[] as string[], [] as StoppedMessage[]]
    const consumer = await fixture.consumer({ topics: [topic], groupId, park: { topic: parkTopic, producer: fixture.raw }, onStopped: (each) => void stopped.push(each) })
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => stopped.map(({ offset, error }) => [offset, error.code]), WAIT).toEqual([['0', 'ERR_SEALBUS_TOO_LARGE']])
    expect([seen, consumerHealth(consumer).healthy, await fixture.committed(groupId, topic)]).toEqual([[], false, ['-1']])
    await fixture.admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: parkTopic, configEntries: [{ name: 'max.message.bytes', value: '100000' }] }] })
    consumer.seek({ topic, partition: 0, offset: '0' })
    await expect.poll(() => seen, WAIT).toEqual(['behind'])
    expect([await fixture.ends(parkTopic), consumerHealth(consumer).healthy]).toEqual([['1'], true])
  })
})
