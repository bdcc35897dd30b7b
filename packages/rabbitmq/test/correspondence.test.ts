import { defineChannels } from '@sealbus/core'
import { expect, test } from 'vitest'
import type { AmqpMessage } from '../src/client-shape.ts'
import { type Correspondence, correspondenceOf } from '../src/correspondence.ts'

const fresh = (): Correspondence => correspondenceOf(defineChannels({ orders: { to: ['billing'] } }))
const delivery = (properties: AmqpMessage['properties']): AmqpMessage => ({ content: Buffer.alloc(0), fields: { deliveryTag: 1, exchange: '', routingKey: '' }, properties })

test('a reply is to the request with its correlation id, by its reply queue', () => {
  const memory = fresh()
  memory.asked(delivery({ replyTo: 'replies', correlationId: 'c' }), 'request')
  expect(memory.answered({ exchange: '', routingKey: 'replies' }, { correlationId: 'c' })).toBe('request')
  for (const [exchange, routingKey, correlationId] of [['', 'others', 'c'], ['', 'replies', 'd'], ['shop', 'replies', 'c']] as const) {
    expect(memory.answered({ exchange, routingKey }, { correlationId })).toBeUndefined()
  }
  expect(memory.answered({ exchange: '', routingKey: 'replies' }, {})).toBeUndefined()
})

test('who asked expects the id of the request, on the queue that it named', () => {
  const memory = fresh()
  memory.asks({ replyTo: 'replies', correlationId: 'c' }, 'request')
  expect(memory.expected('replies', delivery({ correlationId: 'c' }))).toEqual(new Set(['request']))
  expect(memory.expected('others', delivery({ correlationId: 'c' }))).toBeUndefined()
  expect(memory.expected('replies', delivery({ correlationId: 'd' }))).toBeUndefined()
  expect(memory.expected('replies', delivery({}))).toBeUndefined()
})

test('asking and being asked are two things', () => {
  const memory = fresh()
  memory.asks({ replyTo: 'replies', correlationId: 'c' }, 'ours')
  expect(memory.answered({ exchange: '', routingKey: 'replies' }, { correlationId: 'c' })).toBeUndefined()
  memory.asked(delivery({ replyTo: 'replies', correlationId: 'd' }), 'theirs')
  expect(memory.expected('replies', delivery({ correlationId: 'd' }))).toBeUndefined()
})

test('requests that share a correlation id: a reply to any of them is expected, and the latest is answered', () => {
  const memory = fresh()
  for (const id of ['one', 'two']) {
    memory.asks({ replyTo: 'replies', correlationId: 'conversation' }, id)
    memory.asked(delivery({ replyTo: 'replies', correlationId: 'conversation' }), id)
  }
  expect(memory.expected('replies', delivery({ correlationId: 'conversation' }))).toEqual(new Set(['one', 'two']))
  expect(memory.answered({ exchange: '', routingKey: 'replies' }, { correlationId: 'conversation' })).toBe('two')
})

test.each([
  ['each by its own correlation id', (count: number) => `${count}`],
  ['all by one correlation id', () => 'conversation'],
])('the last 10,000 are remembered, %s', (_, correlationIdOf) => {
  const memory = fresh()
  // A request that is repeated counts once.
  for (let count = 0; count <= 10_000; count++) for (let time = 0; time < 2; time++) memory.asks({ replyTo: 'replies', correlationId: correlationIdOf(count) }, `${count}`)
  const knows = (count: number): boolean => memory.expected('replies', delivery({ correlationId: correlationIdOf(count) }))?.has(`${count}`) ?? false
  expect([0, 1, 10_000].map(knows)).toEqual([false, true, true])
})

test('one for each declaration of channels, whoever asks for it', () => {
  const channels = defineChannels({ orders: { to: ['billing'] } })
  expect(correspondenceOf(channels)).toBe(correspondenceOf(channels))
  expect(correspondenceOf(channels)).not.toBe(fresh())
})
