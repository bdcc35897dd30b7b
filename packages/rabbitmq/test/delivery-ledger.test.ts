import { beforeEach, describe, expect, test } from 'vitest'
import type { AmqpMessage } from '../src/client-shape.ts'
import { createDeliveryLedger, type DeliveryLedger } from '../src/delivery-ledger.ts'
import { FakeChannel } from './support/fake-channel.ts'

const delivery = (deliveryTag: number): AmqpMessage => ({ content: Buffer.alloc(0), fields: { deliveryTag, exchange: '', routingKey: '' }, properties: {} })

let target: FakeChannel
let ledger: DeliveryLedger
let methods: Pick<FakeChannel, 'ack' | 'ackAll' | 'nack' | 'nackAll' | 'reject'>

beforeEach(() => {
  target = new FakeChannel()
  ledger = createDeliveryLedger(target)
  methods = ledger.methods as unknown as typeof methods
})

const give = (...tags: number[]): void => {
  for (const tag of tags) {
    const message = delivery(tag)
    ledger.withhold(message)
    ledger.give(message, message)
  }
}

describe('acknowledging up to a delivery', () => {
  test('is one settlement where only given ones are below it', () => {
    give(1, 2, 4)
    ledger.withhold(delivery(3))
    methods.ack(delivery(2), true)
    methods.ackAll()
    expect(target.settled).toEqual(['ack 2 multiple', 'ack 4'])
  })

  test('takes any number of deliveries', () => {
    for (let tag = 1; tag <= 200_000; tag++) give(tag)
    methods.ackAll()
    expect(target.settled).toEqual(['ack 200000 multiple'])
  })

  test('is one settlement each while a get may have brought another', async () => {
    give(1, 3)
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const fetched = ledger.fetching(() => promise)
    methods.nackAll(false)
    resolve(true)
    expect(await fetched).toBe(true)
    give(4, 5)
    methods.ackAll()
    expect(target.settled).toEqual(['nack 1', 'nack 3', 'ack 5 multiple'])
  })

  test('settles in the order of delivery, however they were given', () => {
    ledger.withhold(delivery(2))
    give(3, 1, 5)
    methods.ackAll()
    expect(target.settled).toEqual(['ack 1', 'ack 3', 'ack 5'])
  })
})

test('the client gets its own message object back', () => {
  const original = delivery(1)
  ledger.withhold(original)
  ledger.give(original, original)
  const settled: unknown[] = []
  target.ack = (message) => settled.push(message)
  methods.ack({ ...original })
  expect(settled[0]).toBe(original)
})

test('a delivery that is unknown goes to the client as it is', () => {
  methods.ack(delivery(9))
  methods.reject(delivery(9), false)
  expect(target.settled).toEqual(['ack 9', 'reject 9'])
})

test('what was withheld is settled once, and not at all once it was given', () => {
  give(1)
  ledger.withhold(delivery(2))
  ledger.ackWithheld(delivery(1))
  ledger.requeueWithheld(delivery(2))
  ledger.requeueWithheld(delivery(2))
  expect(target.settled).toEqual(['nack 2 requeue'])
})

test('a closed channel needs no settling', () => {
  ledger.withhold(delivery(1))
  target.closed = true
  expect(() => ledger.ackWithheld(delivery(1))).not.toThrow()
})

describe('on the channel of another', () => {
  test('an acknowledgement settles where the message was given', () => {
    const other = new FakeChannel()
    const elsewhere = createDeliveryLedger(other).methods as unknown as typeof methods
    const message = delivery(1)
    ledger.withhold(message)
    ledger.give(message, message)
    elsewhere.ack({ ...message })
    elsewhere.nack(delivery(7))
    expect([target.settled, other.settled]).toEqual([['ack 1'], ['nack 7 requeue']])
  })

  test('nothing is sent where that channel is gone', () => {
    const other = new FakeChannel()
    const elsewhere = createDeliveryLedger(other).methods as unknown as typeof methods
    const [one, two, three] = [delivery(1), delivery(2), delivery(3)]
    for (const message of [one, two, three]) {
      ledger.withhold(message)
      ledger.give(message, message)
    }
    target.closed = true
    elsewhere.ack(one)
    elsewhere.nack(two, true, true)
    elsewhere.reject(three)
    expect([target.settled, other.settled]).toEqual([[], []])
    // On its own channel the client says so, as always.
    expect(() => methods.ack(one)).toThrow('Channel closed')
  })
})

test('messages of a stream are let go by ack, because a refusal would close the connection', () => {
  const properties = { headers: { 'x-stream-offset': 4 } }
  const message = { ...delivery(1), fields: { ...delivery(1).fields, consumerTag: 'c' }, properties }
  ledger.withhold(message)
  ledger.requeueWithheld(message)
  ledger.withhold(message)
  ledger.rejectWithheld(message)
  ledger.withhold(delivery(2))
  ledger.rejectWithheld(delivery(2))
  // Forwarded from a stream to a queue, which alone is asked by `get`, and delivers again.
  for (const fields of [delivery(3).fields, { ...delivery(4).fields, consumerTag: 'c', redelivered: true }]) {
    ledger.withhold({ ...message, fields })
    ledger.requeueWithheld({ ...message, fields })
  }
  expect(target.settled).toEqual(['ack 1', 'ack 1', 'nack 2', 'nack 3 requeue', 'nack 4 requeue'])
})
