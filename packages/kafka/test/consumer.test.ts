import { opened, type Opener, SealbusError } from '@sealbus/core'
import { beforeEach, describe, expect, it } from 'vitest'
import type { DeliveredRecord } from '../src/client-shape.ts'
import { consumerHealth, openConsumer, type OpenConsumerOptions, type ParkedMessage, type StoppedMessage } from '../src/index.ts'
import { FakeConsumer, FakeProducer, type Keys, makeKeys, notInMemory, record } from './support/fakes.ts'
import { makePayload } from './support/payload.ts'

let keys: Keys
beforeEach(async () => {
  keys = await makeKeys()
})
const sealed = (text: string): Buffer => keys.sealer.sealSync(text, { channel: 'orders', key: null, contentType: 'text/plain' }).bytes
const broken = (): Buffer => Buffer.from(JSON.stringify({ ...(JSON.parse(sealed('x').toString()) as object), tag: Buffer.alloc(16).toString('base64url') }))

function start(log: DeliveredRecord[], options: Partial<OpenConsumerOptions> = {}): { inner: FakeConsumer; consumer: FakeConsumer; parking: FakeProducer; stopped: StoppedMessage[]; parked: ParkedMessage[] } {
  const [inner, parking, stopped, parked] = [new FakeConsumer(log), new FakeProducer(), [] as StoppedMessage[], [] as ParkedMessage[]]
  const consumer = openConsumer(inner, { opener: keys.opener, groupId: 'billing', onStopped: (message) => void stopped.push(message), onParked: (message) => void parked.push(message), ...options })
  return { inner, consumer, parking, stopped, parked }
}
/** An opener whose key source is down until it is switched on. */
function downOpener(): Opener & { up: boolean } {
  const opener = {
    ...keys.opener,
    openSync: notInMemory,
    up: false,
    open: (...args: Parameters<Opener['open']>) => (opener.up ? keys.opener.open(...args) : Promise.reject(new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'down'))),
  }
  return opener
}

describe('opened consumer', () => {
  it('the inner consumer always runs eachBatch with auto-resolve off', async () => {
    const { inner, consumer } = start([])
    await consumer.run({ eachMessage: async () => {}, autoCommit: false })
    expect(inner.config).toMatchObject({ eachBatchAutoResolve: false, autoCommit: false, eachBatch: expect.any(Function) as unknown })
    expect(inner.config).not.toHaveProperty('eachMessage')
    await consumer.stop()
  })

  it('eachMessage: plaintext, all other members as they were, and the mark of an opened message', async () => {
    const seen: DeliveredRecord[] = []
    const given = { ...record(0, sealed('hello'), { headers: { a: Buffer.from('b') } }), timestamp: '7', attributes: 0, batchContext: {} }
    const { consumer, inner } = start([given, record(1, null)])
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(message) })
    await expect.poll(() => inner.committed).toBe(2)
    expect(seen[0]).toMatchObject({ offset: '0', timestamp: '7', attributes: 0, value: Buffer.from('hello'), headers: { a: Buffer.from('b'), 'content-type': Buffer.from('text/plain') } })
    expect(opened(seen[0] ?? {})?.envelope).toBe(given.value)
    expect(seen[1]).toBe(inner.log[1])
    expect(opened(seen[1] ?? {})).toBeUndefined()
    await consumer.stop()
  })

  it('pitfalls 9 and 10: a batch keeps its methods, and resolving the last visible message moves past a parked tail', async () => {
    const [parkingProducer, handled] = [new FakeProducer(), [] as string[]]
    const { consumer, inner, parked } = start([record(0, broken()), record(1, sealed('a')), record(2, broken()), record(3, sealed('b')), record(4, broken())], { park: { topic: 'parked', producer: parkingProducer } })
    const lasts: unknown[] = []
    await consumer.run({
      eachBatchAutoResolve: false,
      eachBatch: async ({ batch, resolveOffset }) => {
        lasts.push((batch as typeof batch & { lastOffset(): string }).lastOffset())
        for (const message of batch.messages) {
          handled.push(String(message.value))
          resolveOffset(message.offset)
        }
      },
    })
    await expect.poll(() => inner.committed).toBe(5)
    expect([handled, lasts, parked.map(({ id }) => id)]).toEqual([['a', 'b'], ['4'], ['billing/orders/0/0', 'billing/orders/0/2', 'billing/orders/0/4']])
    expect(parkingProducer.sent.map(({ topic }) => topic)).toEqual(['parked', 'parked', 'parked'])
    await consumer.stop()
  })

  it('a batch cut short by a hold shows its last delivered message as lastOffset(), and only that far is resolved', async () => {
    const opener = downOpener()
    opener.open = async (bytes, options) => {
      if (String(bytes).includes(cut.toString()) && !opener.up) throw new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'down')
      return keys.opener.open(bytes, options)
    }
    const cut = sealed('c')
    const batches: [string[], string][] = []
    const { consumer, inner } = start([record(0, sealed('a')), record(1, sealed('b')), record(2, cut), record(3, sealed('d'))], { opener })
    await consumer.run({ eachBatch: async ({ batch }) => void batches.push([batch.messages.map(({ value }) => String(value)), (batch as typeof batch & { lastOffset(): string }).lastOffset()]) })
    await expect.poll(() => inner.committed).toBe(2)
    expect(consumerHealth(consumer)).toMatchObject({ healthy: true, halted: [{ topic: 'orders', partition: 0, offset: '2', state: 'holding' }] })
    opener.up = true
    await expect.poll(() => inner.committed).toBe(4)
    expect(batches).toEqual([[['a', 'b'], '1'], [['c', 'd'], '3']])
    await consumer.stop()
  })

  it("the caller's pause outlasts a hold, and a hold outlasts the caller's resume", async () => {
    const opener = downOpener()
    const seen: string[] = []
    const { consumer, inner } = start([record(0, sealed('a'))], { opener })
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => consumerHealth(consumer).halted.length).toBe(1)
    consumer.resume([{ topic: 'orders', partitions: [0] }])
    expect(inner.paused.size).toBe(1)
    consumer.pause([{ topic: 'orders', partitions: [0] }])
    opener.up = true
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(seen).toEqual([])
    consumer.resume([{ topic: 'orders', partitions: [0] }])
    await expect.poll(() => seen).toEqual(['a'])
    await consumer.stop()
  })

  it('a parking place that fails is waited for: nothing is lost, nothing is passed', async () => {
    const parkingProducer = new FakeProducer()
    let failures = 2
    const send = parkingProducer.send.bind(parkingProducer)
    parkingProducer.send = (given) => (failures-- > 0 ? Promise.reject(new Error('down')) : send(given))
    const { consumer, inner, parked } = start([record(0, broken()), record(1, sealed('next'))], { park: { topic: 'parked', producer: parkingProducer } })
    const seen: string[] = []
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen, { timeout: 5_000 }).toEqual(['next'])
    expect([parked.length, inner.committed <= 2]).toEqual([1, true])
    expect(consumerHealth(consumer)).toEqual({ healthy: true, halted: [] })
    await consumer.stop()
  })

  it('a parking place that fails again and again is told by health; a key outage is not unhealthy', async () => {
    const parkingProducer = new FakeProducer()
    parkingProducer.send = () => Promise.reject(new Error('down'))
    const { consumer } = start([record(0, broken())], { park: { topic: 'parked', producer: parkingProducer } })
    await consumer.run({ eachMessage: async () => {} })
    await expect.poll(() => consumerHealth(consumer).healthy, { timeout: 5_000 }).toBe(false)
    expect(consumerHealth(consumer).halted).toMatchObject([{ state: 'holding', waitingFor: 'parking place', code: 'ERR_SEALBUS_DECRYPT_FAILED' }])
    await consumer.stop()
    const { consumer: waiting } = start([record(0, sealed('a'))], { opener: downOpener() })
    await waiting.run({ eachMessage: async () => {} })
    await new Promise((resolve) => void setTimeout(resolve, 400))
    expect(consumerHealth(waiting)).toMatchObject({ healthy: true, halted: [{ state: 'holding', waitingFor: 'key' }] })
    await waiting.stop()
  })

  it('a held message is counted once, however often it is tried', async () => {
    let tries = 0
    const opener = { ...keys.opener, openSync: notInMemory, open: (...args: Parameters<Opener['open']>) => (++tries < 3 ? Promise.reject(new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'down')) : keys.opener.open(...args)) }
    const { consumer, inner } = start([record(0, sealed('a'))], { opener, dispositions: { holdBackoffMs: { first: 5, longest: 5 } } })
    await consumer.run({ eachMessage: async () => {} })
    await expect.poll(() => inner.committed).toBe(1)
    expect(tries).toBe(3)
    expect(keys.opener.counts()['orders']).toMatchObject({ sealed: 1, opened: 1, plain: 0 })
    await consumer.stop()
  })

  it('pitfall 8: stop happens once, and what escapes is never of a kind that ends a kafkajs consumer', async () => {
    const { consumer, inner, stopped } = start([record(0, broken()), record(1, sealed('x'))], { opener: { ...keys.opener, openSync: notInMemory, open: () => Promise.reject(new TypeError('a native error')) } })
    await consumer.run({ eachMessage: async () => expect.unreachable('nothing can be handled') })
    await expect.poll(() => stopped.length).toBe(1)
    expect(stopped[0]?.error).toBeInstanceOf(SealbusError)
    expect([inner.committed, consumerHealth(consumer).healthy]).toEqual([0, false])
    await consumer.stop()
  })

  it("a handler's error reaches the client as the same object", async () => {
    const thrown = new TypeError('mine')
    const { inner, consumer } = start([])
    await consumer.run({ eachMessage: () => Promise.reject(thrown) })
    const payload = { batch: { topic: 'orders', partition: 0, messages: [record(0, sealed('x'))] }, resolveOffset: () => expect.fail('not handled'), heartbeat: async () => {}, pause: () => () => {}, commitOffsetsIfNecessary: async () => {}, isRunning: () => true, isStale: () => false }
    await expect(inner.config?.eachBatch?.(payload)).rejects.toBe(thrown)
    await consumer.stop()
  })

  it('pitfall 12: nothing of a stale batch is delivered', async () => {
    const { inner, consumer } = start([])
    let stale = false
    const seen: string[] = []
    await consumer.run({ eachMessage: async ({ message }) => {
      seen.push(message.offset)
      stale = true
    } })
    await inner.config?.eachBatch?.({ batch: { topic: 'orders', partition: 0, messages: [record(0, sealed('x')), record(1, sealed('y'))] }, resolveOffset: () => {}, heartbeat: async () => {}, pause: () => () => {}, commitOffsetsIfNecessary: async () => {}, isRunning: () => true, isStale: () => stale })
    expect(seen).toEqual(['0'])
    await consumer.stop()
  })

  it('stop() and run() again: pauses of the first run are over, and so is the hold, whose message is tried anew', async () => {
    const opener = downOpener()
    const seen: string[] = []
    const { consumer, inner } = start([record(0, sealed('a')), record(1, sealed('b'))], { opener })
    const config = { eachMessage: async ({ message }: { message: DeliveredRecord }) => void seen.push(String(message.value)) }
    await consumer.run(config)
    await expect.poll(() => consumerHealth(consumer).halted.length).toBe(1)
    consumer.pause([{ topic: 'orders', partitions: [0] }])
    await consumer.stop()
    // As kafkajs: a new group of its own, which knows of no pause.
    inner.paused.clear()
    await consumer.run(config)
    await expect.poll(() => consumerHealth(consumer).halted[0]?.state).toBe('holding')
    opener.up = true
    await expect.poll(() => seen, { timeout: 5_000 }).toEqual(['a', 'b'])
    await consumer.stop()
  })

  it('a client that crashes and starts anew by itself: a hold afterwards ends, though the caller had paused before', async () => {
    const opener = downOpener()
    const seen: string[] = []
    const { consumer, inner } = start([], { opener })
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    consumer.pause([{ topic: 'orders' }])
    inner.emit('STOP')
    inner.paused.clear()
    inner.log.push(record(0, sealed('a')))
    await expect.poll(() => consumerHealth(consumer).halted.length).toBe(1)
    opener.up = true
    await expect.poll(() => seen, { timeout: 5_000 }).toEqual(['a'])
    await consumer.stop()
  })

  it('a second run() that the client ignores does not keep stop() from ending the waits of the first', async () => {
    const signals: (AbortSignal | undefined)[] = []
    const opener = { ...keys.opener, openSync: notInMemory, open: (...[, { signal }]: Parameters<Opener['open']>) => {
      signals.push(signal)
      return new Promise<never>(() => {})
    } }
    const { consumer } = start([record(0, sealed('a'))], { opener })
    const config = { eachMessage: async () => {} }
    await consumer.run(config)
    await expect.poll(() => signals.length).toBe(1)
    void consumer.run(config)
    await consumer.stop()
    expect(signals[0]?.aborted).toBe(true)
  })

  it('after a rebalance, only the partitions that are still here stay halted', async () => {
    const opener = downOpener()
    const { consumer, inner } = start([record(0, sealed('a'))], { opener })
    await consumer.run({ eachMessage: async () => {} })
    await expect.poll(() => consumerHealth(consumer).halted.length).toBe(1)
    inner.emit('GROUP_JOIN', { memberAssignment: { orders: [0, 3] } })
    expect(consumerHealth(consumer).halted).toHaveLength(1)
    opener.up = true
    inner.emit('GROUP_JOIN', { memberAssignment: { other: [0] } })
    expect(consumerHealth(consumer).halted).toEqual([])
    await consumer.stop()
  })

  it('seeking past a message that stopped its partition goes on there, also from within onStopped', async () => {
    const seen: string[] = []
    const { consumer } = start([record(0, broken()), record(1, sealed('next'))], { onStopped: ({ topic, partition, offset }) => consumer.seek({ topic, partition, offset: `${Number(offset) + 1}` }) })
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen).toEqual(['next'])
    expect(consumerHealth(consumer)).toEqual({ healthy: true, halted: [] })
    await consumer.stop()
  })

  it('a batch whose handler fails is retried by the client: its parked messages have one copy each', async () => {
    const parkingProducer = new FakeProducer()
    const { inner, consumer, parked } = start([], { park: { topic: 'parked', producer: parkingProducer } })
    let failures = 2
    await consumer.run({ eachBatch: async () => {
      if (failures-- > 0) throw new Error('handler')
    } })
    const messages = [record(0, sealed('a')), record(1, broken()), record(2, sealed('b'))]
    for (let time = 0; time < 3; time++) await inner.config?.eachBatch?.(makePayload(messages)).catch(() => {})
    expect([parkingProducer.calls.length, parked.length]).toEqual([1, 1])
    await consumer.stop()
  })

  it('options that would lose messages are refused at construction', () => {
    const make = (options: object): unknown => openConsumer(new FakeConsumer([]), { opener: keys.opener, groupId: 'billing', ...options })
    const invalid = expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' }) as Error
    expect(() => make({})).toThrow(invalid)
    expect(() => make({ onStopped: () => {}, onPraked: () => {} })).toThrow(/onPraked/)
    expect(() => make({ onStopped: () => {}, groupId: '' })).toThrow(invalid)
    expect(() => make({ park: { topic: '', producer: new FakeProducer() } })).toThrow(invalid)
    expect(() => make({ onStopped: () => {}, dispositions: { failed: 'park' } })).toThrow(invalid)
    expect(() => consumerHealth({})).toThrow(invalid)
  })
})
