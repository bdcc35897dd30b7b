import { randomUUID } from 'node:crypto'
import type { Opened } from '@sealbus/core'
import { markOpened } from '@sealbus/core/adapter'
import type { ConsumedAmqpMessage, MessageFields, MessageProperties } from './memory-amqp/shape.ts'
import { type ConsumedMessage, type MessageHeaders } from './memory-kafka/shape.ts'
import { encodePayload, type Payload } from './payload.ts'

/**
 * What `opened(message)` answers. Defaults: a random id, now, channel and kid `test`. The default `envelope` is none: a
 * sealing producer refuses it. To test forwarding, open what `sealFor` made.
 */
export type FakeFacts = Partial<Opened>

export interface FakeKafkaFields {
  readonly opened?: FakeFacts
  readonly key?: Buffer | string | null
  /** Default: a content type for JSON. */
  readonly headers?: MessageHeaders
  readonly offset?: string
  readonly timestamp?: string
}

/** A message as the handler of a wrapped Kafka consumer is given it, for tests with no broker. */
export function fakeOpenedKafka(payload: Payload, { opened, key = null, headers, offset = '0', timestamp = `${Date.now()}` }: FakeKafkaFields = {}): ConsumedMessage {
  const { bytes, contentType } = encodePayload(payload)
  const message: ConsumedMessage = {
    key: typeof key === 'string' ? Buffer.from(key) : key,
    value: bytes,
    headers: { ...(contentType !== undefined && { 'content-type': Buffer.from(contentType) }), ...headers },
    offset,
    timestamp,
    attributes: 0,
  }
  return markOpened(message, factsOf(opened))
}

export interface FakeAmqpFields {
  readonly opened?: FakeFacts
  readonly fields?: Partial<MessageFields & { consumerTag: string }>
  /** Default: a content type for JSON. */
  readonly properties?: Partial<MessageProperties>
}

/** A message as the handler of a wrapped AMQP channel is given it, for tests with no broker. */
export function fakeOpenedAmqp(payload: Payload, { opened, fields = {}, properties = {} }: FakeAmqpFields = {}): ConsumedAmqpMessage {
  const { bytes, contentType } = encodePayload(payload)
  const message: ConsumedAmqpMessage = {
    content: bytes,
    fields: { deliveryTag: 1, redelivered: false, exchange: '', routingKey: 'test', consumerTag: 'test', ...fields },
    properties: { ...NO_PROPERTIES, headers: {}, contentType, ...properties },
  }
  return markOpened(message, factsOf(opened))
}

/** As amqplib has it, absent ones are there, and undefined. */
const NO_PROPERTIES: MessageProperties = {
  contentType: undefined,
  contentEncoding: undefined,
  headers: undefined,
  deliveryMode: undefined,
  priority: undefined,
  correlationId: undefined,
  replyTo: undefined,
  expiration: undefined,
  messageId: undefined,
  timestamp: undefined,
  type: undefined,
  userId: undefined,
  appId: undefined,
  clusterId: undefined,
}

function factsOf(facts: FakeFacts = {}): Opened {
  const wholeSecond = Math.floor(Date.now() / 1_000) * 1_000
  return { id: randomUUID(), time: new Date(wholeSecond), channel: 'test', kid: 'test', sender: undefined, inReplyTo: undefined, envelope: Buffer.from('not an envelope'), ...facts }
}
