import { opened } from '@sealbus/core'
import type { ConsumeMessage } from 'amqplib'
import type { KafkaMessage } from 'kafkajs'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { fakeOpenedAmqp, fakeOpenedKafka } from '../src/index.ts'

describe('a fake opened message', () => {
  it('in the shape of Kafka', () => {
    const message = fakeOpenedKafka({ total: 9 })
    expectTypeOf(message).toExtend<KafkaMessage>()
    expect(message).toMatchObject({ key: null, value: Buffer.from('{"total":9}'), headers: { 'content-type': Buffer.from('application/json') }, offset: '0' })
    expect(opened(message)).toMatchObject({ channel: 'test', kid: 'test', sender: undefined })
    expect(opened(message)?.time?.getMilliseconds()).toBe(0)
    expect(opened(fakeOpenedKafka('x'))?.id).not.toBe(opened(message)?.id)
    const detailed = fakeOpenedKafka('text', { key: 'k', headers: { trace: 't' }, offset: '7', timestamp: '5', opened: { id: 'm', channel: 'orders', sender: 'shop' } })
    expect(detailed).toMatchObject({ key: Buffer.from('k'), value: Buffer.from('text'), headers: { trace: 't' }, offset: '7', timestamp: '5' })
    expect(opened({ ...detailed })).toMatchObject({ id: 'm', channel: 'orders', sender: 'shop' })
  })

  it('in the shape of AMQP', () => {
    const message = fakeOpenedAmqp(Buffer.from([1, 2]), { fields: { routingKey: 'orders', deliveryTag: 3 }, properties: { messageId: 'm' }, opened: { inReplyTo: 'q' } })
    expectTypeOf(message).toExtend<ConsumeMessage>()
    expect(message).toMatchObject({ content: Buffer.from([1, 2]), fields: { routingKey: 'orders', deliveryTag: 3, redelivered: false }, properties: { messageId: 'm', contentType: undefined, headers: {} } })
    expect(opened(message)).toMatchObject({ inReplyTo: 'q', channel: 'test' })
    expect(fakeOpenedAmqp({ a: 1 }).properties.contentType).toBe('application/json')
  })
})
