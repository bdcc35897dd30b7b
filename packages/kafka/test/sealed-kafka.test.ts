import { Kafka, logLevel, type PartitionerArgs } from 'kafkajs'
import { beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { openConsumer, sealKafka, type SealKafkaOptions, withPlaintextPartitioner } from '../src/index.ts'
import { FakeConsumer, FakeProducer, type Keys, makeKeys, record } from './support/fakes.ts'
import { makePayload } from './support/payload.ts'

let keys: Keys
beforeEach(async () => {
  keys = await makeKeys()
})

class FakeKafka {
  readonly made: { producer: FakeProducer[]; consumer: FakeConsumer[] } = { producer: [], consumer: [] }
  producer(_config?: object): FakeProducer {
    const producer = new FakeProducer()
    this.made.producer.push(producer)
    return producer
  }
  consumer(_config: object): FakeConsumer {
    const consumer = new FakeConsumer([])
    this.made.consumer.push(consumer)
    return consumer
  }
  admin(): object {
    return { admin: this instanceof FakeKafka }
  }
  logger(): FakeKafka {
    return this
  }
}
const code = (wanted: string): Error => expect.objectContaining({ code: wanted }) as Error
const make = (options: SealKafkaOptions): FakeKafka => sealKafka(new FakeKafka(), options)

describe('sealed Kafka', () => {
  it("is of the caller's own type, and so is all that comes out of it", () => {
    const kafka = sealKafka(new Kafka({ brokers: ['x'], logLevel: logLevel.NOTHING }), { sealer: keys.sealer, opener: keys.opener, onStopped: () => {} })
    expectTypeOf(kafka).toEqualTypeOf<Kafka>()
    expect(kafka).toBeInstanceOf(Kafka)
    const consumer = new Kafka({ brokers: ['x'], logLevel: logLevel.NOTHING }).consumer({ groupId: 'billing' })
    expectTypeOf(openConsumer(consumer, { opener: keys.opener, groupId: 'billing', onStopped: () => {} })).toEqualTypeOf<typeof consumer>()
    const createPartitioner = withPlaintextPartitioner(() => ({ message }: PartitionerArgs) => String(message.value).length % 2)
    expectTypeOf(createPartitioner).returns.toEqualTypeOf<(args: PartitionerArgs) => number>()
    kafka.producer({ createPartitioner, allowAutoTopicCreation: false })
  })

  it('makes wrapped producers and consumers, and nothing plain for want of a sealer or an opener', () => {
    const sealing = make({ sealer: keys.sealer })
    expect(() => sealKafka(sealing, { sealer: keys.sealer })).toThrow(code('ERR_SEALBUS_ALREADY_WRAPPED'))
    expect(sealing.producer()).not.toBe(sealing.made.producer[0])
    expect(() => sealing.consumer({ groupId: 'billing' })).toThrow(code('ERR_SEALBUS_INVALID_OPTION'))
    const opening = make({ opener: keys.opener, onStopped: () => {} })
    expect(() => opening.producer()).toThrow(code('ERR_SEALBUS_INVALID_OPTION'))
    expect(opening.made.producer).toEqual([])
    expect(() => openConsumer(opening.consumer({ groupId: 'billing' }), { opener: keys.opener, groupId: 'billing', onStopped: () => {} })).toThrow(code('ERR_SEALBUS_ALREADY_WRAPPED'))
  })

  it('delegates the rest to the client itself, and never hands the client out', () => {
    const kafka = make({ sealer: keys.sealer })
    expect(kafka.admin()).toEqual({ admin: true })
    expect(kafka.logger()).toBe(kafka)
  })

  it('what is assigned over a method, as instrumentations do, goes over the wrapper: it never calls itself through it', async () => {
    const kafka = make({ sealer: keys.sealer })
    const producer = kafka.producer()
    const inner = kafka.made.producer[0]
    const calls: string[] = []
    for (const name of ['send', 'sendBatch'] as const) {
      const original = producer[name].bind(producer)
      const patched = (given: never): Promise<unknown> => {
        calls.push(name)
        return original(given)
      }
      // Both ways that are in use.
      if (name === 'send') producer.send = patched
      else Object.defineProperty(producer, name, { configurable: true, enumerable: true, writable: true, value: patched })
    }
    await producer.send({ topic: 'orders', messages: [{ value: 'a' }] })
    await producer.sendBatch({ topicMessages: [{ topic: 'orders', messages: [{ value: 'b' }] }] })
    expect([calls, inner?.calls]).toEqual([['send', 'sendBatch'], ['send', 'sendBatch']])
    expect(inner?.sent.flatMap(({ messages }) => messages).every(({ value }) => String(value).startsWith('{"protected":"'))).toBe(true)
  })

  it('what is assigned elsewhere is the client\'s', () => {
    const kafka = make({ sealer: keys.sealer })
    Object.assign(kafka, { label: 'mine' })
    expect((kafka as FakeKafka & { label?: string }).label).toBe('mine')
  })

  it.each([{ groupId: 'billing' }, { kafkaJS: { groupId: 'billing' } }, { 'group.id': 'billing', kafkaJS: {} }])('the group that parks is the one of the configuration %j', async (config) => {
    const parking = new FakeProducer()
    const consumer = make({ opener: keys.opener, park: { topic: 'parked', producer: parking } }).consumer(config)
    await consumer.run({ eachMessage: async () => {} })
    await consumer.config?.eachBatch?.(makePayload([record(0, Buffer.from('not sealed'))]))
    expect(parking.sent[0]?.messages[0]?.headers?.['sealbus-park-id']).toBe('billing/orders/0/0')
    await consumer.stop()
  })

  it('refuses at construction what would fail later', () => {
    expect(() => make({})).toThrow(code('ERR_SEALBUS_INVALID_OPTION'))
    // A misspelt option would mean its default: a place to park, or a smaller limit, that is not there.
    expect(() => make({ sealer: keys.sealer, maxMesageBytes: 10 } as SealKafkaOptions)).toThrow(/maxMesageBytes/)
    expect(() => make({ opener: keys.opener, onStopped: () => {}, parking: {} } as SealKafkaOptions)).toThrow(/parking/)
    expect(() => make({ opener: keys.opener, onStopped: () => {}, groupId: 'g' } as SealKafkaOptions)).toThrow(/groupId/)
    expect(() => make({ opener: keys.opener, park: { topic: 'parked', producer: new FakeProducer(), acks: 0 } as never })).toThrow(/acks/)
    expect(() => make({ opener: keys.opener })).toThrow(/onStopped/)
    const producer = make({ sealer: keys.sealer }).producer()
    // A sealed producer would seal the copies again: they could not be read by anyone who redrives them.
    expect(() => make({ opener: keys.opener, park: { topic: 'parked', producer } })).toThrow(code('ERR_SEALBUS_INVALID_OPTION'))
    expect(() => make({ opener: keys.opener, park: { topic: '', producer: new FakeProducer() } })).toThrow(code('ERR_SEALBUS_INVALID_OPTION'))
    expect(() => make({ sealer: keys.sealer }).consumer({ groupId: '' })).toThrow(code('ERR_SEALBUS_INVALID_OPTION'))
  })
})
