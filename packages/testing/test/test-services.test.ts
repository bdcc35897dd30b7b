import { createSealer, defineChannels, opened } from '@sealbus/core'
import { sealKafka } from '@sealbus/kafka'
import { sealAmqp } from '@sealbus/rabbitmq'
import { describe, expect, it } from 'vitest'
import { createMemoryAmqp, createMemoryKafka, createTestService, createTestServices, type TestKeyType } from '../src/index.ts'

const channels = defineChannels({ orders: { to: ['billing', 'shipping'] } })
const headerOf = (envelope: Buffer): Record<string, unknown> => {
  const { protected: encoded } = JSON.parse(envelope.toString()) as { protected: string }
  return JSON.parse(Buffer.from(encoded, 'base64url').toString()) as Record<string, unknown>
}

describe('test services', () => {
  it.each<[TestKeyType, string]>([['P-256', 'ECDH-ES+A256KW'], ['P-384', 'ECDH-ES+A256KW'], ['P-521', 'ECDH-ES+A256KW'], ['X25519', 'ECDH-ES+A256KW'], ['RSA', 'RSA-OAEP-256']])('%s: real keys, ready at once', async (key, alg) => {
    using services = await createTestServices(channels, ['billing', 'shipping'], { key })
    const sealed = services.sealer.sealSync('9', { channel: 'orders' })
    expect(headerOf(sealed.bytes)).toMatchObject({ alg, typ: 'sealbus+jwe' })
    for (const name of ['billing', 'shipping']) {
      expect(services.opener(name).openSync(sealed.bytes, { channel: 'orders' })).toMatchObject({ plaintext: Buffer.from('9'), kid: `${name}-1` })
    }
  })

  it('rotation: the next message is for the new key, and earlier ones still open', async () => {
    using services = await createTestServices(channels, ['billing', 'shipping'])
    const opener = services.opener('billing')
    const before = services.sealer.sealSync('before', { channel: 'orders' })
    expect(await services.rotate('billing')).toBe('billing-2')
    const after = services.sealer.sealSync('after', { channel: 'orders' })
    expect([before, after].map(({ bytes }) => opener.openSync(bytes, { channel: 'orders' }).kid)).toEqual(['billing-1', 'billing-2'])
    expect(services.opener('shipping').openSync(after.bytes, { channel: 'orders' }).kid).toBe('shipping-1')
    const { identities } = services.named('billing')
    expect(identities.list().map(({ kid, state }) => [kid, state])).toEqual([['billing-1', 'retiring'], ['billing-2', 'active']])
  })

  it('a destroyed key opens nothing any more, and says so', async () => {
    using services = await createTestServices(channels, ['billing', 'shipping'])
    const { bytes } = services.sealer.sealSync('x', { channel: 'orders' })
    const billing = services.named('billing')
    await expect(billing.destroy('billing-1')).rejects.toThrow(RangeError)
    await billing.rotate()
    await billing.destroy('billing-1')
    expect(() => services.opener('billing').openSync(bytes, { channel: 'orders' })).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_KEY_DESTROYED' }) as Error)
    await expect(billing.destroy('billing-7')).rejects.toThrow(RangeError)
  })

  it('sealFor seals for those that are named, and for no others', async () => {
    using services = await createTestServices(channels, ['billing', 'shipping', 'audit'])
    const sealed = services.sealFor('audit', { total: 9 }, { id: 'm-1', key: 'k' })
    expect(services.opener('audit').openSync(sealed.bytes, { channel: 'orders', key: 'k' })).toMatchObject({ plaintext: Buffer.from('{"total":9}'), contentType: 'application/json', id: 'm-1' })
    expect(() => services.opener('billing').openSync(sealed.bytes, { channel: 'orders', key: 'k' })).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_NOT_A_RECIPIENT' }) as Error)
    const both = services.sealFor(['audit', 'billing'], 'text')
    for (const name of ['audit', 'billing']) expect(services.opener(name).openSync(both.bytes, { channel: 'orders' })).toMatchObject({ plaintext: Buffer.from('text'), contentType: undefined })
    expect(() => services.sealFor('nobody', 'x')).toThrow(RangeError)
  })

  it('sealFor needs a channel where there is a choice', async () => {
    using services = await createTestServices(defineChannels({ orders: { to: ['billing'] }, refunds: { to: ['billing'] }, metrics: 'plaintext' }), ['billing'])
    expect(() => services.sealFor('billing', 'x')).toThrow(TypeError)
    const { bytes } = services.sealFor('billing', 'x', { channel: 'refunds' })
    expect(services.opener('billing').openSync(bytes, { channel: 'refunds' }).channel).toBe('refunds')
  })

  it('the directory knows its services only, and the options of a sealer are taken', async () => {
    using services = await createTestServices(channels, ['billing'], { realm: 'test' })
    const toShipping = createSealer({ directory: services.directory, channels })
    await expect(toShipping.seal('x', { channel: 'orders' })).rejects.toMatchObject({ code: 'ERR_SEALBUS_UNKNOWN_RECIPIENT' })
    expect(services.sealer.describe().realm).toBe('test')
    const { bytes } = services.sealFor('billing', 'x')
    expect(services.opener('billing', { realm: 'test' }).openSync(bytes, { channel: 'orders' }).plaintext).toEqual(Buffer.from('x'))
    expect(() => services.opener('billing', { realm: 'live' }).openSync(bytes, { channel: 'orders' })).toThrow()
    await expect(createTestService('')).rejects.toThrow(TypeError)
  })

  it('serve wrapped clients on the brokers in memory: a tampered message is parked as the broker had it', async () => {
    using services = await createTestServices(channels, ['billing', 'shipping'])
    const kafka = createMemoryKafka({ partitions: 1 })
    const parking = kafka.producer()
    const sealed = sealKafka(kafka, { sealer: services.sealer, opener: services.opener('billing'), park: { topic: 'parked', producer: parking } })
    const [producer, consumer] = [sealed.producer(), sealed.consumer({ groupId: 'billing' })]
    await Promise.all([parking.connect(), producer.connect(), consumer.connect()])
    kafka.tamper('orders', ({ key, value }) => (String(key) === '2' && value ? { value: flipCiphertext(value) } : undefined))
    await producer.send({ topic: 'orders', messages: ['1', '2', '3'].map((key) => ({ key, value: `order ${key}` })) })
    await consumer.subscribe({ topic: 'orders', fromBeginning: true })
    const seen: string[] = []
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(`${String(message.value)} ${opened(message)?.kid}`) })
    await expect.poll(() => seen).toEqual(['order 1 billing-1', 'order 3 billing-1'])
    expect(kafka.records('parked').map(({ value }) => value)).toEqual([kafka.records('orders')[1]?.value])
    expect(kafka.records('orders').some(({ value }) => value?.includes('order'))).toBe(false)
    await consumer.disconnect()

    const memory = createMemoryAmqp()
    const connection = sealAmqp(await memory.connect(), { sealer: services.sealer, opener: services.opener('billing'), onStopped: () => {} })
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('orders')
    channel.sendToQueue('orders', Buffer.from('secret'))
    await channel.waitForConfirms()
    expect(memory.messages('orders').map(({ content }) => content.includes('secret'))).toEqual([false])
    const got = await channel.get('orders')
    expect(got && [String(got.content), opened(got)?.kid]).toEqual(['secret', 'billing-1'])
    await connection.close()
  })
})

function flipCiphertext(envelope: Buffer): Buffer {
  const jwe = JSON.parse(envelope.toString()) as { ciphertext: string }
  const bytes = Buffer.from(jwe.ciphertext, 'base64url')
  bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0)
  return Buffer.from(JSON.stringify({ ...jwe, ciphertext: bytes.toString('base64url') }))
}
