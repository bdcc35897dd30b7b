import { opened } from '@sealbus/core'
import { describe, expect, test } from 'vitest'
import { checkProperties, toOpenedMessage, toSealedOptions, toSealOptions } from '../src/properties.ts'

const sealed = { bytes: Buffer.from('{}'), contentType: 'application/jose+json', id: 'one' }
const facts = { id: 'one', time: new Date(0), channel: 'orders', kid: 'k', sender: undefined, inReplyTo: undefined, envelope: sealed.bytes }

describe('what goes inside', () => {
  test('content type, content encoding and message id', () => {
    const headers = { tenant: 'a' }
    expect(toSealOptions('orders', { contentType: 'application/json', contentEncoding: 'gzip', messageId: 'm-1', headers })).toEqual({
      channel: 'orders',
      contentType: 'application/json',
      contentEncoding: 'gzip',
      id: 'm-1',
      headers,
    })
  })

  test('nothing of what is absent or empty, and no record key', () => {
    expect(toSealOptions('orders', { messageId: '' })).toStrictEqual({ channel: 'orders' })
  })

  test.each(['contentType', 'contentEncoding', 'messageId'])('a %s that is no text is refused', (name) => {
    expect(() => toSealOptions('orders', { [name]: 1 })).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' }))
  })
})

describe('what stays outside', () => {
  test('all other properties, in fresh objects', () => {
    const given = Object.freeze({
      contentType: 'text/plain',
      contentEncoding: 'gzip',
      messageId: 'm-1',
      correlationId: 'c',
      priority: 3,
      persistent: true,
      headers: Object.freeze({ tenant: 'a', nothing: undefined }),
    })
    const options = toSealedOptions(given, sealed)
    const { contentEncoding: _, ...rest } = given
    expect(options).toStrictEqual({ ...rest, contentType: 'application/jose+json' })
    expect(options.headers).not.toBe(given.headers)
    expect(Object.isFrozen(options.headers)).toBe(false)
  })

  test('but for what a stream said of a message that is forwarded', () => {
    expect(toSealedOptions({ headers: { tenant: 'a', 'x-stream-offset': 4 } }, sealed).headers).toStrictEqual({ tenant: 'a' })
  })
})

describe('what the handler sees', () => {
  const message = Object.freeze({
    content: sealed.bytes,
    fields: Object.freeze({ deliveryTag: 7, exchange: 'e', routingKey: 'r', redelivered: true, consumerTag: 'c' }),
    properties: Object.freeze({ contentType: 'application/jose+json', contentEncoding: undefined, headers: { tenant: 'a' }, messageId: 'm-1' }),
  })

  test('the plaintext with its own properties, in a fresh message', () => {
    const view = toOpenedMessage(message, { ...facts, plaintext: Buffer.from('hi'), contentType: 'text/plain', contentEncoding: 'gzip' })
    expect(view.content.toString()).toBe('hi')
    expect(view.fields).toEqual(message.fields)
    expect(view.properties).toStrictEqual({ ...message.properties, contentType: 'text/plain', contentEncoding: 'gzip' })
    expect(opened({ ...view })).toEqual(facts)
    expect(opened(message)).toBeUndefined()
  })

  test('properties that were absent are absent', () => {
    const { properties } = toOpenedMessage(message, { ...facts, plaintext: Buffer.alloc(0), contentType: undefined, contentEncoding: undefined })
    expect(properties.contentType).toBeUndefined()
    expect(properties.contentEncoding).toBeUndefined()
  })
})

describe('properties that the client could not encode', () => {
  const tooLarge = expect.objectContaining({ code: 'ERR_SEALBUS_TOO_LARGE' })
  test.each([
    ['a long header', { headers: { a: 'x'.repeat(65_536) } }],
    ['a header of many bytes', { headers: { a: Buffer.alloc(65_536) } }],
    ['many headers', { headers: Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`header-${index}`, index])) }],
    ['nested ones', { headers: { a: { b: [{ c: 'x'.repeat(65_536) }] } } }],
    ['many copies', { CC: Array.from({ length: 2_000 }, () => 'a-queue-of-some-length-and-more') }],
    ['characters of several bytes', { headers: { a: 'ä'.repeat(33_000) } }],
  ])('%s', (_, options) => {
    expect(() => checkProperties(options)).toThrow(tooLarge)
  })

  test('what fits passes', () => {
    expect(() => checkProperties({ headers: { a: 'x'.repeat(60_000), none: undefined, nothing: null, number: 1, flag: true } })).not.toThrow()
  })
})
