import { defineChannels } from '@sealbus/core'
import { copyDigest, PARK_HEADERS } from '@sealbus/core/adapter'
import { describe, expect, it } from 'vitest'
import { createMemoryKafka, createTestServices, type MemoryKafka } from '../../testing/src/index.ts'
import { describeRedrive } from '../../testing/test/support/redrive-behaviours.ts'
import { openKafkaHarness } from '../../testing/test/support/redrive-kafka.ts'
import { listParked, redrive, sealKafka } from '../src/index.ts'

// The integration tests run the same on a real Kafka, with transactions.
describeRedrive('Kafka in memory', () => openKafkaHarness(createMemoryKafka(), { transactions: false }))

describe('redrive on Kafka', () => {
  it('waits for a group coordinator that has just started', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    await harness.park({ bytes: Buffer.from('1') }, 'ERR_SEALBUS_NOT_SEALED')
    let failures = 2
    const loading: MemoryKafka = {
      ...kafka,
      consumer(config) {
        const consumer = kafka.consumer(config)
        const run: typeof consumer.run = async (given) => {
          if (failures-- > 0) throw Object.assign(new Error('the coordinator is loading'), { retriable: true })
          return consumer.run(given)
        }
        return { ...consumer, run }
      },
    }
    expect(await redrive(loading, { from: harness.from, by: harness.by, to: harness.to })).toMatchObject({ ended: 'complete', delivered: 1 })
    expect(failures).toBe(-1)
    failures = 0
    const broken: MemoryKafka = { ...kafka, consumer: (config) => ({ ...kafka.consumer(config), run: () => Promise.reject(new Error('no rights')) }) }
    await expect(redrive(broken, { from: harness.from, by: harness.by, to: harness.to })).rejects.toThrow('no rights')
    await harness.close()
  })

  it('brings nothing back to the topic that it came from, unless it is told to', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    await harness.park({ bytes: Buffer.from('1') }, 'ERR_SEALBUS_NOT_SEALED', { [PARK_HEADERS.origin]: `${harness.to}/0/17` })
    await harness.park({ bytes: Buffer.from('2') }, 'ERR_SEALBUS_NOT_SEALED', { [PARK_HEADERS.origin]: `${harness.to}-other/0/17` })
    const options = { from: harness.from, by: harness.by, to: harness.to, dryRun: false, transactions: false }
    const result = await redrive(kafka, options)
    expect(result).toMatchObject({ delivered: 1, kept: 1 })
    expect(result.groups).toContainEqual({ parkedWith: 'ERR_SEALBUS_NOT_SEALED', kids: [], outcome: 'kept', reason: 'origin', messages: 1 })
    expect(await redrive(kafka, { ...options, toOrigin: true })).toMatchObject({ delivered: 1, earlier: 1 })
    await expect(redrive(kafka, { ...options, toOrigin: 'yes' as never })).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    await harness.close()
  })

  it('marks nothing that did not arrive', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    for (const text of ['1', '2']) await harness.park({ bytes: Buffer.from(text) }, 'ERR_SEALBUS_NOT_SEALED')
    const failing: MemoryKafka = {
      ...kafka,
      producer(config) {
        const producer = kafka.producer(config)
        return { ...producer, send: (record) => (record.topic === harness.to ? Promise.reject(new Error('the broker is gone')) : producer.send(record)) }
      },
    }
    const options = { from: harness.from, by: harness.by, to: harness.to, dryRun: false, transactions: false }
    await expect(redrive(failing, options)).rejects.toThrow('the broker is gone')
    expect(await redrive(kafka, options)).toMatchObject({ delivered: 2, earlier: 0 })
    await harness.close()
  })

  it('a copy whose message brought the header of a mark along hides no other copy', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    await harness.park({ bytes: Buffer.from('theirs') }, 'ERR_SEALBUS_NOT_SEALED')
    const [victim] = await harness.list()
    if (!victim) throw new Error('nothing is parked')
    // Whoever can read and write the origin topic knows all that the digest is made of.
    await harness.park({ bytes: Buffer.alloc(0), headers: { 'sealbus-park-redriven': copyDigest(victim) } }, 'ERR_SEALBUS_NOT_SEALED')
    expect(await harness.list()).toHaveLength(2)
    expect(await redrive(kafka, { from: harness.from, by: harness.by, to: harness.to, dryRun: false, transactions: false })).toMatchObject({ delivered: 2, earlier: 0 })
    await harness.close()
  })

  it('two copies of one message in two partitions are delivered once in all runs, however much there is to read before the mark', async () => {
    const kafka = createMemoryKafka({ partitions: 2 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    const producer = kafka.producer()
    await producer.connect()
    const headers = { [PARK_HEADERS.id]: 'the same', [PARK_HEADERS.code]: 'ERR_SEALBUS_NOT_SEALED', [PARK_HEADERS.by]: harness.by, [PARK_HEADERS.origin]: 'orders/0/7' }
    const others = Array.from({ length: 4 }, () => ({ value: Buffer.alloc(600_000), partition: 1 }))
    await producer.send({ topic: harness.from, messages: [{ value: 'twice', headers, partition: 1 }, ...others] })
    const options = { from: harness.from, by: harness.by, to: harness.to, dryRun: false, transactions: false }
    expect(await redrive(kafka, options)).toMatchObject({ delivered: 1 })
    await producer.send({ topic: harness.from, messages: [{ value: 'twice', headers, partition: 0 }] })
    expect(await redrive(kafka, options)).toMatchObject({ delivered: 0, earlier: 2 })
    expect(await harness.list(), 'nor is it listed').toEqual([])
    expect(await harness.arrived()).toHaveLength(1)
    await harness.close()
  })

  it.each([true, false])('each call of the client goes to one partition, transactions: %s: kafkajs loses or doubles parts of others', async (transactions) => {
    const kafka = createMemoryKafka({ partitions: 4 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    const keys = ['a', 'b', null, null, 'a', 'b', 'b', 'c']
    for (const key of keys) await harness.park({ bytes: Buffer.from('x'), ...(key !== null && { key }) }, 'ERR_SEALBUS_NOT_SEALED')
    const calls: string[][] = []
    const watched: MemoryKafka = {
      ...kafka,
      producer(config) {
        const producer = kafka.producer(config)
        const send: typeof producer.send = (record) => {
          calls.push(record.messages.map(({ key, partition }) => `${record.topic} ${partition ?? String(key)}`))
          return producer.send(record)
        }
        const sendBatch = (): never => expect.fail('a batch goes to several topics')
        // The broker in memory has no transactions: these write at once.
        const transaction = async (): Promise<never> => ({ send, sendBatch, commit: async () => {}, abort: async () => {} }) as never
        return { ...producer, send, sendBatch, transaction }
      },
    }
    expect(await redrive(watched, { from: harness.from, by: harness.by, to: harness.to, dryRun: false, transactions })).toMatchObject({ delivered: keys.length })
    for (const places of calls) expect(places.every((each) => each === places[0] && (places.length === 1 || !each.endsWith(' null')))).toBe(true)
    const arrived = calls.flat().filter((each) => each.startsWith(harness.to)).map((each) => each.replace(`${harness.to} `, ''))
    expect(arrived.toSorted()).toEqual(keys.map(String).toSorted())
    await harness.close()
  })

  it('what one call carries is bounded in bytes, or is one message; what one run collects is too; the order of a key stays', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    const sizes = [...Array.from({ length: 12 }, () => 100_000), 700_000, 10, 10, ...Array.from({ length: 18 }, () => 450_000)]
    for (const [n, size] of sizes.entries()) await harness.park({ bytes: Buffer.alloc(size, `${n} `), key: 'a' }, 'ERR_SEALBUS_NOT_SEALED')
    const calls: { to: boolean; values: string[] }[] = []
    const watched: MemoryKafka = {
      ...kafka,
      // As from a topic that is compressed: one fetch brings all.
      consumer: (config) => kafka.consumer({ ...config, maxBytesPerPartition: 100_000_000 }),
      producer(config) {
        const producer = kafka.producer(config)
        const send: typeof producer.send = (record) => {
          calls.push({ to: record.topic === harness.to, values: record.messages.map(({ value }) => String(value)) })
          return producer.send(record)
        }
        return { ...producer, send }
      },
    }
    expect(await redrive(watched, { from: harness.from, by: harness.by, to: harness.to, dryRun: false, transactions: false })).toMatchObject({ delivered: sizes.length })
    const sent = calls.filter(({ to }) => to).map(({ values }) => values)
    for (const values of sent) if (values.length > 1) expect(values.join('').length).toBeLessThanOrEqual(500_000)
    expect(sent.slice(0, 5).map(({ length }) => length), 'no more calls than that takes').toEqual([4, 4, 4, 1, 3])
    expect(sent.flat().map((value) => [Number.parseInt(value, 10), value.length])).toEqual(sizes.map((size, n) => [n, size]))
    const marksAt = calls.findIndex(({ to }) => !to)
    expect(calls.slice(0, marksAt).flatMap(({ values }) => values).join('').length, 'of what is delivered and marked together').toBeLessThan(8_500_000)
    expect(calls.filter(({ to }) => !to).map(({ values }) => values.length)).toHaveLength(2)
    await harness.close()
  })

  it('a topic that is not there is no destination, and nothing is marked', async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    await harness.park({ bytes: Buffer.from('1') }, 'ERR_SEALBUS_NOT_SEALED')
    const options = { from: harness.from, by: harness.by, dryRun: false, transactions: false }
    await expect(redrive(kafka, { ...options, to: `${harness.to}-misspelt` })).rejects.toThrow(`there is no topic "${harness.to}-misspelt"`)
    await expect(redrive(kafka, { ...options, from: 'nowhere', to: harness.to })).rejects.toThrow('there is no topic "nowhere"')
    expect(await redrive(kafka, { ...options, to: harness.to })).toMatchObject({ delivered: 1, earlier: 0 })
    await harness.close()
  })

  it("needs a client whose consumers tell of their events, as Confluent's do not", async () => {
    const kafka = createMemoryKafka({ partitions: 1 })
    const harness = await openKafkaHarness(kafka, { transactions: false })
    await harness.park({ bytes: Buffer.from('1') }, 'ERR_SEALBUS_NOT_SEALED')
    const silent = { ...kafka, consumer: (config: { groupId: string }) => ({ ...kafka.consumer(config), events: undefined }) }
    const refused = { code: 'ERR_SEALBUS_INVALID_OPTION', message: expect.stringContaining('GROUP_JOIN') as unknown }
    await expect(redrive(silent, { from: harness.from, by: harness.by, to: harness.to, dryRun: false, transactions: false })).rejects.toMatchObject(refused)
    await expect(listParked(silent, { from: harness.from })).rejects.toMatchObject(refused)
    expect(await harness.list(), 'it is there still').toHaveLength(1)
    await harness.close()
  })

  it('takes the client itself, and a destination', async () => {
    const kafka = createMemoryKafka()
    const options = { from: 'parked', by: 'billing' }
    await expect(redrive(kafka, options as never)).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    const services = await createTestServices(defineChannels({ orders: { to: ['billing'] } }), ['billing'])
    await expect(redrive(sealKafka(kafka, { sealer: services.sealer }), { ...options, to: 'retry' })).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    await expect(redrive(kafka, { ...options, to: () => {}, opener: services.opener('billing') })).rejects.toThrow(/`channel` is needed/)
  })
})
