import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { opened, SealbusError } from '@sealbus/core'
import { type DispositionOptions, PARK_HEADERS } from '@sealbus/core/adapter'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { channelHealth } from '../src/channel-health.ts'
import type { AmqpMessage } from '../src/client-shape.ts'
import { openChannel, type OpenChannelOptions } from '../src/consuming-channel.ts'
import { sealChannel } from '../src/publishing-channel.ts'
import { FakeChannel, FakeConfirmChannel, type Published } from './support/fake-channel.ts'
import { createWorld, type World } from './support/key-source.ts'

const quick = { holdBackoffMs: { first: 5, longest: 20 } }

let world: World
let raw: FakeChannel
let received: (string | null)[]
let messages: AmqpMessage[]

beforeEach(() => {
  world = createWorld({ orders: { to: ['billing'], match: ['orders', 'orders.eu'] }, invoices: { to: ['billing'] }, others: { to: ['shipping'], match: ['others'] }, metrics: 'plaintext' })
  raw = new FakeChannel()
  received = []
  messages = []
})

const take = (message: AmqpMessage | null): void => {
  received.push(message && message.content.toString())
  if (message) messages.push(message)
}

const sealed = (text: string, channel = 'orders'): Published => {
  const { bytes, contentType } = world.sealer.sealSync(Buffer.from(text), { channel, contentType: 'text/plain' })
  return { exchange: 'shop', routingKey: 'eu', content: bytes, options: { contentType, headers: { tenant: 'a' } } }
}

const garbled = (): Published => ({ ...sealed('x'), content: Buffer.from('{"protected":"nonsense"}') })

const wrapped = (options: Partial<OpenChannelOptions> = {}): FakeChannel => openChannel(raw, { opener: world.opener, onStopped: () => {}, dispositions: quick, ...options })

const parking = (): { place: FakeConfirmChannel; park: OpenChannelOptions['park'] & object } => {
  const place = new FakeConfirmChannel()
  return { place, park: { channel: place, exchange: 'parked' } }
}

describe('deliveries', () => {
  test('reach the handler opened, in the client’s own call', async () => {
    await wrapped().consume('orders', take)
    raw.deliver('orders', sealed('one'))
    expect(received).toEqual(['one'])
    expect(messages[0]?.properties).toMatchObject({ contentType: 'text/plain', headers: { tenant: 'a' } })
    expect(messages[0]?.fields).toMatchObject({ deliveryTag: 1, exchange: 'shop', routingKey: 'eu', consumerTag: 'consumer-0' })
    expect(opened(messages[0] ?? {})).toMatchObject({ channel: 'orders' })
  })

  test('keep their order however long each takes to open', async () => {
    await wrapped().consume('orders', take)
    world.source.answers = () => Math.random() * 8
    const texts = Array.from({ length: 50 }, (_, index) => String(index))
    for (const text of texts) {
      raw.deliver('orders', sealed(text))
      if (Math.random() < 0.2) await sleep(3)
      if (Math.random() < 0.2) world.source.answers = world.source.answers === 'now' ? () => Math.random() * 8 : 'now'
    }
    await expect.poll(() => received.length).toBe(50)
    expect(received).toEqual(texts)
  })

  test('that open at once do not overtake one that waits', async () => {
    await wrapped().consume('orders', take)
    world.source.answers = 20
    raw.deliver('orders', sealed('slow'))
    world.source.answers = 'now'
    raw.deliver('orders', sealed('quick'))
    expect(received).toEqual([])
    await expect.poll(() => received).toEqual(['slow', 'quick'])
  })

  test('open under the channel of their queue, whatever the broker says of their route', async () => {
    const { place, park } = parking()
    await wrapped({ park }).consume('orders', take)
    raw.deliver('orders', { ...sealed('theirs', 'invoices'), exchange: 'invoices', routingKey: 'invoices' })
    await expect.poll(() => raw.settled).toEqual(['ack 1'])
    expect(place.published[0]?.options?.headers?.[PARK_HEADERS.code]).toBe('ERR_SEALBUS_CONTEXT_MISMATCH')
    raw.deliver('orders', { ...sealed('ours'), exchange: 'invoices', routingKey: 'invoices' })
    expect(received).toEqual(['ours'])
  })

  test('of an opener that fails natively are told with a typed error, without its text', async () => {
    const onStopped = vi.fn<NonNullable<OpenChannelOptions['onStopped']>>()
    const broken = (): never => {
      throw new TypeError('secret')
    }
    await wrapped({ opener: { ...world.opener, openSync: broken, open: broken }, onStopped }).consume('orders', take)
    raw.deliver('orders', sealed('one'))
    await expect.poll(() => onStopped.mock.calls).toHaveLength(1)
    const error = onStopped.mock.calls[0]?.[0].error
    expect(error).toBeInstanceOf(SealbusError)
    expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain('secret')
  })

  test('of a plaintext channel pass as they are', async () => {
    await wrapped().consume('metrics', take, { noAck: true })
    raw.deliver('metrics', { exchange: '', routingKey: 'metrics', content: Buffer.from('{"protected":"'), options: {} })
    expect(received).toEqual(['{"protected":"'])
    expect(opened(messages[0] ?? {})).toBeUndefined()
  })

  test('of an undeclared queue are refused', async () => {
    await expect(wrapped().consume('elsewhere', take)).rejects.toMatchObject({ code: 'ERR_SEALBUS_UNDECLARED_CHANNEL' })
  })

  test('pitfall 18: a cancellation reaches the handler of an idle consumer, once, and nothing throws', async () => {
    await wrapped().consume('orders', take)
    raw.deliver('orders', sealed('one'))
    expect(() => raw.cancelByBroker('consumer-0')).not.toThrow()
    await sleep(10)
    expect(received).toEqual(['one', null])
  })

  test('a cancellation comes once, behind what waits', async () => {
    await wrapped().consume('orders', take)
    world.source.answers = 20
    raw.deliver('orders', sealed('one'))
    raw.cancelByBroker('consumer-0')
    await expect.poll(() => received).toEqual(['one', null])
    await sleep(30)
    expect(received).toEqual(['one', null])
  })
})

describe('a handler that throws', () => {
  const broken = (): never => {
    throw new Error('handler')
  }

  test('throws into the client where nothing waited', async () => {
    await wrapped().consume('orders', broken)
    expect(() => raw.deliver('orders', sealed('one'))).toThrow('handler')
  })

  test('closes the channel with its error where the message had waited', async () => {
    const errors: unknown[] = []
    raw.on('error', (error) => errors.push(error))
    await wrapped().consume('orders', broken)
    world.source.answers = 5
    raw.deliver('orders', sealed('one'))
    await expect.poll(() => errors).toEqual([new Error('handler')])
    expect(raw.closed).toBe(true)
  })

  test('is told to `handler-error` where somebody listens, and the next message comes', async () => {
    const errors: unknown[] = []
    const channel = wrapped()
    channel.on('handler-error', (error, event) => errors.push(error, event))
    await channel.consume('orders', (message) => (message?.content.toString() === 'one' ? broken() : take(message)))
    world.source.answers = 5
    raw.deliver('orders', sealed('one'))
    raw.deliver('orders', sealed('two'))
    await expect.poll(() => received).toEqual(['two'])
    expect(errors).toEqual([new Error('handler'), 'delivery'])
    expect(raw.closed).toBe(false)
  })
})

describe('acknowledgements', () => {
  const given = async (count: number): Promise<FakeChannel> => {
    const channel = wrapped()
    await channel.consume('orders', take)
    for (let index = 0; index < count; index++) raw.deliver('orders', sealed(String(index)))
    return channel
  }

  test('of one message are the client’s', async () => {
    const channel = await given(4)
    const [one, two, three, four] = messages as [AmqpMessage, AmqpMessage, AmqpMessage, AmqpMessage]
    channel.ack({ ...one })
    channel.nack(two, false, false)
    channel.nack(three)
    channel.reject(four)
    expect(raw.settled).toEqual(['ack 1', 'nack 2', 'nack 3 requeue', 'reject 4 requeue'])
  })

  test('of all that were given go as one', async () => {
    const channel = await given(5)
    channel.ack(messages[1] as AmqpMessage, true)
    channel.nack(messages[2] as AmqpMessage, true, false)
    channel.ackAll()
    channel.ackAll()
    channel.nackAll()
    expect(raw.settled).toEqual(['ack 2 multiple', 'nack 3 multiple', 'ack 5 multiple'])
  })

  test('never take a delivery with them that is withheld', async () => {
    const channel = wrapped()
    await channel.consume('orders', take)
    await channel.consume('orders.eu', take)
    raw.deliver('orders', sealed('one'))
    world.source.answers = 'down'
    raw.deliver('orders.eu', sealed('held'))
    world.source.answers = 'now'
    raw.deliver('orders', sealed('three'))
    raw.deliver('orders', sealed('four'))
    expect(received).toEqual(['one', 'three', 'four'])
    world.source.answers = 'down'
    channel.ack(messages[1] as AmqpMessage, true)
    expect(raw.settled).toEqual(['ack 1', 'ack 3'])
    channel.nackAll(false)
    expect(raw.settled).toEqual(['ack 1', 'ack 3', 'nack 4'])
    world.source.answers = 'now'
    await expect.poll(() => received).toContain('held')
    channel.ackAll()
    expect(raw.settled.at(-1)).toBe('ack 2 multiple')
  })

  test('pitfall 23: go to the channel that delivered, also when there is a newer one', async () => {
    const older = await given(1)
    const next = new FakeChannel()
    const newer = openChannel(next, { opener: world.opener, onStopped: () => {} })
    await newer.consume('orders', take)
    next.deliver('orders', sealed('again'))
    older.ack(messages[0] as AmqpMessage)
    newer.nack(messages[1] as AmqpMessage)
    expect([raw.settled, next.settled]).toEqual([['ack 1'], ['nack 1 requeue']])
  })

  test('after recover() know nothing of what the broker took back', async () => {
    const channel = wrapped()
    await channel.consume('orders', take)
    world.source.answers = 'down'
    raw.deliver('orders', sealed('again'))
    await channel.recover()
    channel.ackAll()
    world.source.answers = 'now'
    raw.deliver('orders', sealed('redelivered'))
    await expect.poll(() => received).toEqual(['redelivered'])
    channel.ackAll()
    expect(raw.settled).toEqual(['ack 2 multiple'])
  })
})

describe('hold', () => {
  test('leaves the message unsettled, and later ones behind it, until the key is there', async () => {
    const channel = wrapped()
    await channel.consume('orders', take)
    world.source.answers = 'down'
    raw.deliver('orders', sealed('one'))
    raw.deliver('orders', sealed('two'))
    await expect.poll(() => channelHealth(channel).consumers[0]?.state).toBe('holding')
    expect(channelHealth(channel)).toEqual({ healthy: true, consumers: [{ queue: 'orders', consumerTag: 'consumer-0', state: 'holding', waitingFor: 'key', code: 'ERR_SEALBUS_KEY_UNAVAILABLE' }] })
    await sleep(60)
    expect(world.source.calls).toBeGreaterThan(3)
    expect([received, raw.settled]).toEqual([[], []])
    // However long it takes: the key source has its own alarm.
    expect(channelHealth(channel).healthy).toBe(true)
    world.source.answers = 'now'
    await expect.poll(() => received).toEqual(['one', 'two'])
    expect(channelHealth(channel).consumers[0]).toMatchObject({ state: 'running', waitingFor: undefined, code: undefined })
    expect(raw.settled).toEqual([])
  })

  test('gives everything back once before the broker’s time-out', async () => {
    await wrapped({ consumerTimeoutMs: 1_000 }).consume('orders', take)
    world.source.answers = 'down'
    const one = sealed('one')
    const two = sealed('two')
    raw.deliver('orders', one)
    raw.deliver('orders', two)
    await sleep(700)
    expect(raw.settled).toEqual([])
    await expect.poll(() => raw.settled).toEqual(['nack 1 requeue', 'nack 2 requeue'])
    raw.deliver('orders', one)
    raw.deliver('orders', two)
    world.source.answers = 'now'
    await expect.poll(() => received).toEqual(['one', 'two'])
    expect(raw.settled).toHaveLength(2)
    expect(raw.cancelled).toEqual([])
  })

  test('without acknowledgements outlasts the broker’s time-out, which knows of no delivery: there is nothing to give back', async () => {
    await wrapped({ park: parking().park, consumerTimeoutMs: 1_000 }).consume('orders', take, { noAck: true })
    world.source.answers = 'down'
    const one = sealed('one')
    // As of a queue that a consumer with acknowledgements would leave.
    raw.deliver('orders', { ...one, options: { ...one.options, headers: { 'x-delivery-count': 1 } } })
    raw.deliver('orders', sealed('two'))
    await sleep(1_200)
    expect(received).toEqual([])
    world.source.answers = 'now'
    await expect.poll(() => received).toEqual(['one', 'two'])
    expect([raw.settled, raw.cancelled]).toEqual([[], []])
  })

  test('of one message is not that of another, which comes in its place after a release', async () => {
    const { place, park } = parking()
    await wrapped({ park, consumerTimeoutMs: 1_000, dispositions: { ...quick, keyMissingHoldMs: 700 } }).consume('orders', take)
    world.source.answers = 'down'
    raw.deliver('orders', sealed('one'))
    await expect.poll(() => raw.settled, { timeout: 2_000 }).toEqual(['nack 1 requeue'])
    world.source.answers = 'now'
    world.source.lose()
    raw.deliver('orders', sealed('two'))
    await sleep(100)
    expect(place.published).toEqual([])
    world.source.restore()
    await expect.poll(() => received).toEqual(['two'])
  })

  test('leaves a queue that counts deliveries until the key is there', async () => {
    await wrapped({ consumerTimeoutMs: 1_000 }).consume('orders', take, { priority: 3 } as object)
    world.source.answers = 'down'
    const one = sealed('one')
    raw.deliver('orders', { ...one, options: { ...one.options, headers: { 'x-delivery-count': 1 } } })
    await expect.poll(() => raw.settled, { timeout: 2_000 }).toEqual(['nack 1 requeue'])
    expect(raw.cancelled).toEqual(['consumer-0'])
    await sleep(1_000)
    expect(raw.consumers.size).toBe(0)
    world.source.answers = 'now'
    await expect.poll(() => raw.consumers.get('consumer-0')?.options).toEqual({ priority: 3, consumerTag: 'consumer-0' })
    raw.deliver('orders', one)
    expect(received).toEqual(['one'])
    expect(raw.settled).toHaveLength(1)
  })

  test('does not come back to a queue that the broker took from it', async () => {
    await wrapped({ consumerTimeoutMs: 1_000 }).consume('orders', take)
    world.source.answers = 'down'
    const one = sealed('one')
    raw.deliver('orders', { ...one, options: { headers: { 'x-delivery-count': 1 } } })
    raw.cancelByBroker('consumer-0')
    await expect.poll(() => received, { timeout: 2_000 }).toEqual([null])
    expect(raw.settled).toEqual(['nack 1 requeue'])
    world.source.answers = 'now'
    await sleep(50)
    expect([received, raw.consumers.size]).toEqual([[null], 0])
  })

  test('that ends while its consumer is being cancelled does not bring it back', async () => {
    const channel = wrapped({ consumerTimeoutMs: 1_000 })
    await channel.consume('orders', take)
    world.source.answers = 'down'
    const one = sealed('one')
    raw.deliver('orders', { ...one, options: { headers: { 'x-delivery-count': 1 } } })
    await expect.poll(() => raw.cancelled, { timeout: 2_000 }).toHaveLength(1)
    const answered = Promise.withResolvers<void>()
    raw.cancel = async (consumerTag) => {
      await answered.promise
      return { consumerTag }
    }
    const cancelling = channel.cancel('consumer-0')
    world.source.answers = 'now'
    await sleep(100)
    answered.resolve()
    await cancelling
    await sleep(20)
    expect([raw.consumers.size, channelHealth(channel).consumers]).toEqual([0, []])
  })

  test('goes on with a stream at the message that it left', async () => {
    await wrapped({ consumerTimeoutMs: 1_000 }).consume('orders', take, { arguments: { 'x-stream-offset': 'first' } })
    world.source.answers = 'down'
    const one = sealed('one')
    raw.deliver('orders', { ...one, options: { headers: { 'x-stream-offset': 41 } } })
    await expect.poll(() => raw.cancelled, { timeout: 2_000 }).toHaveLength(1)
    world.source.answers = 'now'
    await expect.poll(() => raw.consumers.get('consumer-0')?.options?.arguments).toEqual({ 'x-stream-offset': 41 })
  })

  test.each(['close', 'cancel'] as const)('ends with %s', async (how) => {
    const channel = wrapped()
    await channel.consume('orders', take)
    world.source.answers = 'down'
    raw.deliver('orders', sealed('one'))
    raw.deliver('orders', sealed('two'))
    await sleep(20)
    const { calls } = world.source
    await (how === 'close' ? channel.close() : channel.cancel('consumer-0'))
    world.source.answers = 'now'
    await sleep(50)
    expect([received, world.source.calls]).toEqual([[], calls])
    expect(raw.settled).toEqual(how === 'close' ? [] : ['nack 1 requeue', 'nack 2 requeue'])
  })

  test('ends when the client closes the channel by itself', async () => {
    await wrapped().consume('orders', take)
    world.source.answers = 'down'
    raw.deliver('orders', sealed('one'))
    await sleep(20)
    raw.emit('close')
    const { calls } = world.source
    await sleep(50)
    expect(world.source.calls).toBe(calls)
  })

  test('for a missing key ends after its time, and parks', async () => {
    const { place, park } = parking()
    world.source.lose()
    await wrapped({ park, dispositions: { ...quick, keyMissingHoldMs: 60 } }).consume('orders', take)
    raw.deliver('orders', sealed('one'))
    await sleep(30)
    expect(place.published).toEqual([])
    await expect.poll(() => raw.settled).toEqual(['ack 1'])
    expect(place.published[0]?.options?.headers?.[PARK_HEADERS.code]).toBe('ERR_SEALBUS_KEY_MISSING')
  })
})

describe('the budget for holds', () => {
  test('is the consumer’s: behind one message that used it up, others with missing keys park at once, and another queue’s wait', async () => {
    const { place, park } = parking()
    world.source.lose()
    const channel = wrapped({ park, dispositions: { ...quick, keyMissingHoldMs: 400 } })
    await channel.consume('orders', take)
    await channel.consume('orders.eu', take)
    const start = Date.now()
    for (const text of ['one', 'two', 'three']) raw.deliver('orders', sealed(text))
    await expect.poll(() => place.published, { interval: 5 }).toHaveLength(3)
    // One hold, not three.
    expect(Date.now() - start).toBeLessThan(800)
    raw.deliver('orders.eu', sealed('four'))
    await sleep(50)
    expect(place.published).toHaveLength(3)
    world.source.restore()
    await expect.poll(() => received).toEqual(['four'])
  })
})

describe('park', () => {
  test('keeps bytes, properties and headers, and acknowledges after the confirm', async () => {
    const { place, park } = parking()
    place.answer = 'nothing'
    const onParked = vi.fn()
    await wrapped({ park, onParked }).consume('orders', take)
    const { content } = garbled()
    const headers = { tenant: 'a', CC: ['orders'] }
    raw.deliver('orders', { exchange: 'shop', routingKey: 'eu', content, options: { contentType: 'application/jose+json', messageId: 'm', expiration: '5', userId: 'u', headers } as object })
    raw.deliver('orders', sealed('next'))
    await expect.poll(() => place.published).toHaveLength(1)
    await sleep(20)
    expect([raw.settled, onParked.mock.calls, received]).toEqual([[], [], []])
    place.confirmed[0]?.(null)
    await expect.poll(() => received).toEqual(['next'])
    expect(raw.settled).toEqual(['ack 1'])
    const [copy] = place.published
    expect(copy).toMatchObject({ exchange: 'parked', routingKey: 'orders', content })
    expect(copy?.options).toEqual({
      contentType: 'application/jose+json',
      contentEncoding: undefined,
      messageId: 'm',
      deliveryMode: 2,
      mandatory: true,
      headers: {
        tenant: 'a',
        [PARK_HEADERS.id]: expect.stringMatching(/^[\w-]{43}$/),
        [PARK_HEADERS.code]: 'ERR_SEALBUS_MALFORMED',
        [PARK_HEADERS.by]: 'orders',
        [PARK_HEADERS.origin]: 'shop/eu',
        [PARK_HEADERS.time]: expect.stringMatching(/Z$/),
      },
    })
    expect(onParked.mock.calls).toEqual([[{ queue: 'orders', code: 'ERR_SEALBUS_MALFORMED', id: copy?.options?.headers?.[PARK_HEADERS.id] }]])
  })

  test.each(['nack', 'return', 'closed'] as const)('tries again after: %s', async (failure) => {
    const { place, park } = parking()
    const onParked = vi.fn()
    if (failure === 'closed') place.closed = true
    else place.answer = failure
    const channel = wrapped({ park, onParked })
    await channel.consume('orders', take)
    raw.deliver('orders', garbled())
    raw.deliver('orders', sealed('next'))
    // Once may be chance. From the second failure on, somebody has to look.
    const waiting = { state: 'holding', waitingFor: 'parking place', code: 'ERR_SEALBUS_MALFORMED' }
    await expect.poll(() => channelHealth(channel), { interval: 10 }).toMatchObject({ healthy: true, consumers: [waiting] })
    await expect.poll(() => channelHealth(channel)).toMatchObject({ healthy: false, consumers: [waiting] })
    expect([raw.settled, onParked.mock.calls, received]).toEqual([[], [], []])
    place.answer = 'confirm'
    place.closed = false
    await expect.poll(() => received).toEqual(['next'])
    expect(channelHealth(channel)).toMatchObject({ healthy: true, consumers: [{ state: 'running', waitingFor: undefined, code: undefined }] })
    expect(raw.settled).toEqual(['ack 1'])
    expect(new Set(place.published.map(({ options }) => options?.headers?.[PARK_HEADERS.id])).size).toBe(1)
    expect(onParked).toHaveBeenCalledTimes(1)
  })

  test('counts only its own failures: the first after a wait for a key is the first', async () => {
    const { place, park } = parking()
    place.answer = 'nack'
    world.source.lose()
    const channel = wrapped({ park, dispositions: { ...quick, keyMissingHoldMs: 25 } })
    await channel.consume('orders', take)
    raw.deliver('orders', sealed('one'))
    const waiting = { state: 'holding', waitingFor: 'parking place', code: 'ERR_SEALBUS_KEY_MISSING' }
    await expect.poll(() => channelHealth(channel).consumers, { interval: 5 }).toMatchObject([waiting])
    expect(channelHealth(channel).healthy).toBe(true)
    await expect.poll(() => channelHealth(channel), { timeout: 8_000 }).toMatchObject({ healthy: false, consumers: [waiting] })
  })

  test('takes what the client can read and not write, without it', async () => {
    const { place, park } = parking()
    await wrapped({ park }).consume('orders', take)
    raw.deliver('orders', { ...garbled(), options: { headers: { tenant: 'a', forged: { '!': 'x' }, much: 'x'.repeat(70_000) } } })
    raw.deliver('orders', sealed('next'))
    await expect.poll(() => received).toEqual(['next'])
    expect(Object.keys(place.published[0]?.options?.headers ?? {})).toEqual(['tenant', ...Object.values(PARK_HEADERS)])
  })

  test('takes messages for others and for destroyed keys', async () => {
    const { place, park } = parking()
    await wrapped({ park }).consume('others', take)
    world.source.lose()
    raw.deliver('others', sealed('theirs', 'others'))
    await expect.poll(() => raw.settled).toEqual(['ack 1'])
    world.source.destroy()
    raw.deliver('others', sealed('ours once', 'others'))
    await expect.poll(() => raw.settled).toEqual(['ack 1', 'ack 2'])
    expect(place.published.map(({ options }) => options?.headers?.[PARK_HEADERS.code])).toEqual(['ERR_SEALBUS_NOT_A_RECIPIENT', 'ERR_SEALBUS_KEY_DESTROYED'])
  })
})

describe('the queue’s own dead-letter exchange', () => {
  test('gets what does not open, without requeue, and the next message comes', async () => {
    const onParked = vi.fn()
    await wrapped({ park: { deadLetter: true }, onParked }).consume('orders', take)
    raw.deliver('orders', garbled())
    raw.deliver('orders', sealed('next'))
    await expect.poll(() => received).toEqual(['next'])
    expect(raw.settled).toEqual(['nack 1'])
    expect(onParked.mock.calls).toEqual([[{ queue: 'orders', code: 'ERR_SEALBUS_MALFORMED', id: expect.any(String) as string }]])
  })

  test('is only used where it is said to be there, and with acknowledgements', async () => {
    const refused = expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    for (const park of [{ deadLetter: false }, { deadLetter: true, exchange: 'x' }]) expect(() => wrapped({ park: park as never })).toThrow(refused)
    await expect(wrapped({ park: { deadLetter: true } }).consume('orders', take, { noAck: true })).rejects.toThrow(refused)
  })

  test('is not there for direct replies: one that does not open stops its consumer', async () => {
    world = createWorld({ orders: { to: ['billing'], match: ['amq.rabbitmq.reply-to'] } })
    const channel = wrapped({ park: { deadLetter: true } })
    await channel.consume('amq.rabbitmq.reply-to', take, { noAck: true })
    raw.deliver('amq.rabbitmq.reply-to', garbled())
    await expect.poll(() => channelHealth(channel).healthy).toBe(false)
    expect([raw.settled, raw.cancelled]).toEqual([[], ['consumer-0']])
  })
})

describe('requests and replies', () => {
  const asking = async (): Promise<{ channel: FakeChannel; reply: (to: string) => Published }> => {
    const channel = sealChannel(wrapped(), { sealer: world.sealer })
    await channel.consume('orders', take)
    const reply = (to: string): Published => {
      raw.deliver('orders', raw.published.find(({ options }) => options?.messageId === to) ?? expect.fail())
      channel.sendToQueue('orders.eu', Buffer.from(`answer to ${to}`), { correlationId: `c-${to}` })
      return raw.published.at(-1) ?? expect.fail()
    }
    await channel.consume('orders.eu', take)
    for (const id of ['one', 'two']) channel.sendToQueue('orders', Buffer.from('question'), { messageId: id, replyTo: 'orders.eu', correlationId: `c-${id}` })
    return { channel, reply }
  }

  test('a reply names the request that it answers', async () => {
    const { reply } = await asking()
    for (const id of ['one', 'two']) raw.deliver('orders.eu', reply(id))
    expect(messages.filter(({ content }) => content.includes('answer')).map((message) => opened(message)?.inReplyTo)).toEqual(['one', 'two'])
  })

  test('a reply that names no request is delivered: its sender may remember none', async () => {
    const { channel } = await asking()
    raw.deliver('orders.eu', { ...sealed('answer'), options: { correlationId: 'c-one' } })
    expect(received).toEqual(['answer'])
    expect(opened(messages[0] ?? {})).toMatchObject({ channel: 'orders', inReplyTo: undefined })
    expect(channelHealth(channel).healthy).toBe(true)
  })

  test('a reply to another request stops its consumer', async () => {
    const { channel, reply } = await asking()
    const one = reply('one')
    raw.deliver('orders.eu', { ...one, options: { ...one.options, correlationId: 'c-two' } })
    await expect.poll(() => channelHealth(channel).consumers.find(({ state }) => state === 'stopped')).toMatchObject({ queue: 'orders.eu', code: 'ERR_SEALBUS_CONTEXT_MISMATCH' })
    expect(received).toEqual(['question'])
  })
})

describe('skip', () => {
  test('acknowledges, and the next message comes', async () => {
    world.source.lose()
    await wrapped({ dispositions: { notARecipient: 'skip' } }).consume('others', take)
    raw.deliver('others', sealed('theirs', 'others'))
    await expect.poll(() => raw.settled).toEqual(['ack 1'])
    world.source.restore()
    raw.deliver('others', sealed('ours', 'others'))
    expect(received).toEqual(['ours'])
  })
})

describe('stop', () => {
  test('cancels the consumer, returns what nobody was given, and says so once', async () => {
    const onStopped = vi.fn()
    const channel = wrapped({ onStopped })
    await channel.consume('orders', take)
    raw.deliver('orders', sealed('one'))
    raw.deliver('orders', garbled())
    raw.deliver('orders', sealed('three'))
    await expect.poll(() => onStopped.mock.calls).toHaveLength(1)
    expect(onStopped.mock.calls[0]).toEqual([{ queue: 'orders', error: expect.any(SealbusError), deliveryTag: 2 }])
    expect(raw.cancelled).toEqual(['consumer-0'])
    expect(raw.settled).toEqual(['nack 2 requeue', 'nack 3 requeue'])
    expect(received).toEqual(['one'])
    expect(channelHealth(channel)).toMatchObject({ healthy: false, consumers: [{ state: 'stopped', waitingFor: 'operator', code: 'ERR_SEALBUS_MALFORMED' }] })
    channel.ackAll()
    expect(raw.settled.at(-1)).toBe('ack 1 multiple')
    await channel.consume('orders', take)
    expect(channelHealth(channel).healthy).toBe(true)
    raw.deliver('orders', sealed('four'))
    expect(received).toEqual(['one', 'four'])
  })

  test.each([
    ['at once', {}, {}],
    ['after a hold without its consumer', { 'x-delivery-count': 1 }, { unavailable: { stopAfterMs: 900 } }],
  ] as const)('%s, without `onStopped`, beside a parking place, is a warning of the process: it is never silent', async (when, headers, dispositions) => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const { place, park } = parking()
    const forbidden = new SealbusError('ERR_SEALBUS_KEY_FORBIDDEN', 'why')
    const refusing = (): never => {
      throw forbidden
    }
    const channel = openChannel(raw, { opener: when === 'at once' ? { ...world.opener, openSync: refusing } : world.opener, park, consumerTimeoutMs: 1_000, dispositions: { ...quick, ...dispositions } })
    await channel.consume('orders', take)
    world.source.answers = 'down'
    const one = sealed('one')
    raw.deliver('orders', { ...one, options: { ...one.options, headers } })
    await expect.poll(() => channelHealth(channel).healthy, { timeout: 2_000 }).toBe(false)
    await expect.poll(() => warned.mock.calls).toHaveLength(1)
    const { code = '' } = channelHealth(channel).consumers[0] ?? {}
    expect(code).toBe(when === 'at once' ? 'ERR_SEALBUS_KEY_FORBIDDEN' : 'ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(warned.mock.calls).toEqual([[expect.stringMatching(/^message 1 stopped the consumer of the queue "orders": ./), { type: 'SealbusWarning', code }]])
    expect([raw.settled, place.published]).toEqual([['nack 1 requeue'], []])
    warned.mockRestore()
  })

  test('returns nothing before the broker has cancelled the consumer', async () => {
    const cancelled = Promise.withResolvers<{ consumerTag: string }>()
    raw.cancel = (consumerTag) => {
      raw.cancelled.push(consumerTag)
      return cancelled.promise
    }
    await wrapped().consume('orders', take)
    raw.deliver('orders', garbled())
    raw.deliver('orders', sealed('two'))
    await expect.poll(() => raw.cancelled).toHaveLength(1)
    await sleep(10)
    expect(raw.settled).toEqual([])
    cancelled.resolve({ consumerTag: 'consumer-0' })
    await expect.poll(() => raw.settled).toEqual(['nack 1 requeue', 'nack 2 requeue'])
  })

  test('ends a hold that is to end', async () => {
    const onStopped = vi.fn()
    await wrapped({ onStopped, dispositions: { ...quick, unavailable: { stopAfterMs: 50 } } }).consume('orders', take)
    world.source.answers = 'down'
    raw.deliver('orders', sealed('one'))
    await expect.poll(() => onStopped.mock.calls[0]?.[0]).toMatchObject({ error: { code: 'ERR_SEALBUS_KEY_UNAVAILABLE' } })
    expect(raw.settled).toEqual(['nack 1 requeue'])
  })
})

describe('get', () => {
  const fetchable = (...published: Published[]): void => {
    raw.fetchable.push(...published.map((each) => raw.message(each)))
  }

  test('returns the next message that opens, or false', async () => {
    const { place, park } = parking()
    const channel = wrapped({ park })
    fetchable(garbled(), sealed('one'))
    const message = await channel.get('orders')
    expect(message && message.content.toString()).toBe('one')
    expect(place.published).toHaveLength(1)
    expect(raw.settled).toEqual(['ack 1'])
    expect(await channel.get('orders')).toBe(false)
    channel.ackAll()
    expect(raw.settled).toEqual(['ack 1', 'ack 2 multiple'])
  })

  test('with noAck acknowledges only what it has opened', async () => {
    const channel = wrapped()
    const get = vi.spyOn(raw, 'get')
    fetchable(sealed('one'))
    expect(await channel.get('orders', { noAck: true })).toMatchObject({ content: Buffer.from('one') })
    expect(get.mock.calls.map(([queue, options]) => [queue, options])).toEqual([['orders', { noAck: false }]])
    expect(raw.settled).toEqual(['ack 1'])
  })

  test.each([
    ['that would stop a consumer', garbled, 'ERR_SEALBUS_MALFORMED', 'now'],
    ['whose key is out of reach', (): Published => sealed('one'), 'ERR_SEALBUS_KEY_UNAVAILABLE', 'down'],
  ] as const)('returns a message to its queue %s, and rejects', async (_, make, code, answers) => {
    const channel = wrapped()
    world.source.answers = answers
    fetchable(make())
    await expect(channel.get('orders')).rejects.toMatchObject({ code })
    expect(raw.settled).toEqual(['nack 1 requeue'])
  })

  const counted = (text: string): Published => ({ ...sealed(text), options: { headers: { 'x-delivery-count': 1 } } })
  const text = (message: AmqpMessage | false): string => message ? message.content.toString() : ''

  test('keeps a message for the next call that its queue would drop when it came back too often', async () => {
    const channel = wrapped()
    world.source.answers = 'down'
    fetchable(counted('one'), counted('two'))
    for (let call = 0; call < 30; call++) await expect(channel.get('orders')).rejects.toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    channel.ackAll()
    expect(raw.settled).toEqual([])
    world.source.answers = 'now'
    expect([text(await channel.get('orders')), text(await channel.get('orders')), await channel.get('orders')]).toEqual(['one', 'two', false])
    channel.ackAll()
    expect(raw.settled).toEqual(['ack 2 multiple'])
  })

  test('gives such a message back before the broker’s time-out, and forgets it when the broker took it back', async () => {
    const channel = wrapped({ consumerTimeoutMs: 1_000 })
    world.source.answers = 'down'
    fetchable(counted('one'))
    await expect(channel.get('orders')).rejects.toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    await expect.poll(() => raw.settled, { timeout: 2_000 }).toEqual(['nack 1 requeue'])
    expect(await channel.get('orders')).toBe(false)
    fetchable(counted('two'))
    await expect(channel.get('orders')).rejects.toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    await channel.recover()
    expect(await channel.get('orders')).toBe(false)
  })

  test('does not take a message of a queue for one of a stream, whatever its headers say', async () => {
    const channel = wrapped()
    world.source.answers = 'down'
    fetchable({ ...sealed('forwarded'), options: { headers: { 'x-stream-offset': 7 } } })
    await expect(channel.get('orders')).rejects.toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
    expect(raw.settled).toEqual(['nack 1 requeue'])
  })
})

describe('options', () => {
  const invalid = expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' })

  test('onStopped is required without a parking place', () => {
    expect(() => openChannel(raw, { opener: world.opener })).toThrow(invalid)
    expect(() => openChannel(new FakeChannel(), { opener: world.opener, park: parking().park })).not.toThrow()
  })

  test.each<[string, () => OpenChannelOptions['park']]>([
    ['is no confirm channel', () => ({ channel: new FakeChannel() as FakeConfirmChannel, exchange: 'parked' })],
    ['is wrapped', () => ({ channel: openChannel(new FakeConfirmChannel(), { opener: world.opener, onStopped: () => {} }), exchange: 'parked' })],
    ['is the queue itself', () => ({ channel: new FakeConfirmChannel(), exchange: '' })],
  ])('a parking place that %s', (_, park) => {
    expect(() => wrapped({ park: park() as OpenChannelOptions['park'] & object })).toThrow(invalid)
  })

  test('a parking place that is the queue by name', async () => {
    const channel = wrapped({ park: { channel: new FakeConfirmChannel(), exchange: '', routingKey: 'orders' } })
    await expect(channel.consume('orders', take)).rejects.toThrow(invalid)
  })

  test.each([0, 999, 1.5, Number.NaN])('a consumer time-out of %s ms', (consumerTimeoutMs) => {
    expect(() => wrapped({ consumerTimeoutMs })).toThrow(invalid)
  })

  test('a disposition that needs a parking place', () => {
    expect(() => wrapped({ dispositions: { failed: 'park' } })).toThrow(invalid)
  })

  test('noAck needs a parking place', async () => {
    const { park, place } = parking()
    await expect(wrapped().consume('orders', take, { noAck: true })).rejects.toThrow(invalid)
    raw = new FakeChannel()
    await wrapped({ park }).consume('orders', take, { noAck: true })
    raw.deliver('orders', garbled())
    raw.deliver('orders', sealed('one'))
    await expect.poll(() => received).toEqual(['one'])
    expect([place.published.length, raw.settled]).toEqual([1, []])
  })

  test.each<[string, DispositionOptions]>([
    ['keyMissing', { keyMissing: 'stop' }],
    ['notARecipient', { notARecipient: 'stop' }],
    ['failed', { failed: 'stop' }],
    ['unavailable', { unavailable: { stopAfterMs: 60_000 } }],
  ])('noAck beside a parking place, where `%s` may stop the consumer', async (_, dispositions) => {
    const { park } = parking()
    await expect(wrapped({ park, dispositions }).consume('orders', take, { noAck: true })).rejects.toThrow(invalid)
    expect(raw.consumers.size).toBe(0)
  })

  test('health is of wrapped channels', () => {
    expect(() => channelHealth(raw)).toThrow(invalid)
  })
})
