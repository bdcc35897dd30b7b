import { once, EventEmitter } from 'node:events'
import { defineChannels } from '@sealbus/core'
import { consumerHealth, type ParkingPlace, sealKafka } from '@sealbus/kafka'
import type { Consumer } from 'kafkajs'
import { beforeEach, expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { useKafka } from '../support/kafka-fixture.ts'

const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] } })

// What fails in a timer or in a promise that nobody awaits ends a service, and fails the run here.
describeWithKafka('Kafka: holds and the end of a client', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  let topic: string
  beforeEach(async () => {
    topic = await fixture.topic('orders', { partitions: 2 })
  })

  const subscribe = async (consumer: Consumer): Promise<void> => {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
  }
  /** Longer than the first back-offs of a hold. */
  const backOff = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 1_500))

  it('parking fails while the consumer is being disconnected: it ends, and the message stays', async () => {
    const groupId = uniqueName('group')
    const parking = new EventEmitter<{ asked: [] }>()
    const failed = Promise.withResolvers<never>()
    // As a producer that is disconnected together with the consumer.
    const producer: ParkingPlace['producer'] = {
      send: async () => {
        parking.emit('asked')
        return failed.promise
      },
      sendBatch: async () => failed.promise,
    }
    const asked = once(parking, 'asked')
    await fixture.raw.send({ topic, messages: [{ value: 'not sealed', partition: 0 }] })
    const consumer = sealKafka(fixture.kafka, { opener: fixture.opener(), park: { topic: uniqueName('parked'), producer } }).consumer({ groupId, maxWaitTimeInMs: 100 })
    await subscribe(consumer)
    await consumer.run({ eachMessage: async () => {} })
    await asked
    const disconnected = consumer.disconnect()
    failed.reject(new Error('The producer is disconnected'))
    await disconnected
    await backOff()

    expect(await fixture.committed(groupId, topic)).toEqual(['-1', '-1'])
  })

  it('the client crashes and starts anew in the midst of a hold: everything is handled once the key source is back', async () => {
    const { source, opener } = fixture.remote()
    source.available = false
    const failure = new Error('the handler fails, and the client with it')
    let crashed = false
    const handled: string[] = []
    const consumer = sealKafka(fixture.kafka, { opener, onStopped: () => {}, dispositions: { holdBackoffMs: { first: 50, longest: 100 } } }).consumer({ groupId: uniqueName('group'), maxWaitTimeInMs: 100, retry: { retries: 1, initialRetryTime: 1_000 } })
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      crashed ||= payload.restart && payload.error.message.includes(failure.message)
    })
    await subscribe(consumer)
    await fixture.sealed.send({ topic, messages: [{ value: 'held', partition: 0 }] })
    await consumer.run({
      eachMessage: async ({ message }) => {
        // A tombstone needs no key, so it reaches the handler during the hold.
        if (message.value === null && !crashed) throw failure
        handled.push(String(message.value))
      },
    })
    await expect.poll(() => consumerHealth(consumer).halted.map(({ state }) => state), { timeout: 20_000 }).toEqual(['holding'])
    await fixture.sealed.send({ topic, messages: [{ value: null, key: 'gone', partition: 1 }] })
    await expect.poll(() => crashed, { timeout: 20_000 }).toBe(true)
    await backOff()
    source.available = true
    await expect.poll(() => handled.toSorted(), { timeout: 40_000 }).toEqual(['held', 'null'])
    await consumer.disconnect()
  })
})
