import { createRequire } from 'node:module'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { InnerConsumer, TopicPartitions } from '../src/client-shape.ts'
import { createHolds, type Holds, type Wait } from '../src/holds.ts'

interface Subscriptions {
  assign(topicPartitions: readonly TopicPartitions[]): void
  pause(topicPartitions: readonly TopicPartitions[]): void
  resume(topicPartitions: readonly TopicPartitions[]): void
  active(): { topic: string; partitions: number[] }[]
}
/** The client's own bookkeeping of pauses, with its rules: pausing one partition ends the pause of its whole topic. */
const SubscriptionState = createRequire(import.meta.url)('kafkajs/src/consumer/subscriptionState.js') as new () => Subscriptions

const topic = 'orders'
let client: Subscriptions
let holds: Holds
const active = (): number[] => client.active()[0]?.partitions ?? []
const only = (...partitions: number[]): TopicPartitions[] => [{ topic, partitions }]
const outage = (retryInMs: number): Wait => ({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE', waitingFor: 'key', retryInMs })
const hold = (partition: number, offset = '7'): void => holds.hold({ topic, partition }, offset, outage(1_000))

beforeEach(() => {
  vi.useFakeTimers()
  client = new SubscriptionState()
  client.assign([{ topic, partitions: [0, 1, 2] }])
  holds = createHolds(client as unknown as InnerConsumer)
})
afterEach(() => void vi.useRealTimers())

describe('holds', () => {
  it('pause their partition only, and resume it when the time has come', () => {
    hold(0)
    expect(active()).toEqual([1, 2])
    expect(holds.isPaused({ topic, partition: 0 })).toBe(true)
    vi.advanceTimersByTime(1_000)
    expect(active()).toEqual([0, 1, 2])
    expect(holds.isPaused({ topic, partition: 0 })).toBe(false)
  })

  it('count the attempts at one message, and keep the time of the first', () => {
    const since = Date.now()
    hold(0)
    vi.advanceTimersByTime(1_000)
    hold(0)
    expect(holds.attempt({ topic, partition: 0 }, '7')).toEqual({ attempts: 2, heldSinceMs: since })
    expect(holds.attempt({ topic, partition: 0 }, '8').attempts).toBe(0)
    holds.settled({ topic, partition: 0 }, '8')
    expect(holds.list()).toEqual([])
  })

  it('count anew when a message waits for something else: one failure of a parking place is the first, however long its key was away', () => {
    hold(0)
    hold(0)
    const wait: Wait = { code: 'ERR_SEALBUS_DECRYPT_FAILED', waitingFor: 'parking place', retryInMs: 1_000 }
    holds.hold({ topic, partition: 0 }, '7', wait)
    expect(holds.list()).toMatchObject([{ waitingFor: 'parking place', attempts: 1 }])
    holds.hold({ topic, partition: 0 }, '7', wait)
    expect(holds.list()).toMatchObject([{ attempts: 2 }])
  })

  it("leave the caller's pause of a whole topic in force", () => {
    holds.pause([{ topic }])
    hold(0)
    expect(active()).toEqual([])
    vi.advanceTimersByTime(1_000)
    expect(active()).toEqual([])
    holds.resume([{ topic }])
    expect(active()).toEqual([0, 1, 2])
  })

  it('go on in a partition that the caller resumed out of a paused topic', () => {
    holds.pause([{ topic }])
    holds.resume(only(0, 1))
    hold(0)
    expect(active()).toEqual([1])
    vi.advanceTimersByTime(1_000)
    expect(active()).toEqual([0, 1])
    expect(holds.isPaused({ topic, partition: 0 })).toBe(false)
    expect(holds.isPaused({ topic, partition: 2 })).toBe(true)
  })

  it("outlast the caller's resuming, of the partition, of the topic, and out of a paused topic", () => {
    hold(0)
    holds.resume(only(0))
    expect(active()).toEqual([1, 2])
    holds.resume([{ topic }])
    expect(active()).toEqual([1, 2])
    holds.pause([{ topic }])
    holds.resume(only(0, 2))
    expect(active()).toEqual([2])
  })

  it("outlast the client's own rule that pausing one partition ends the pause of the topic", () => {
    hold(0)
    holds.pause([{ topic }])
    holds.pause(only(1))
    expect(active()).toEqual([2])
  })

  it("a pause that the client refuses is none: a later hold does not wait for its end", () => {
    const resume = vi.fn<InnerConsumer['resume']>()
    const own = createHolds({ ...inner(), resume, pause: vi.fn<InnerConsumer['pause']>().mockImplementationOnce(() => { throw new Error('not running') }) })
    expect(() => own.pause([{ topic }])).toThrow('not running')
    own.hold({ topic, partition: 0 }, '7', outage(10))
    vi.advanceTimersByTime(10)
    expect(resume).toHaveBeenCalledWith(only(0))
  })

  it('a client that has stopped meanwhile is no reason to throw: kafkajs would end the consumer for a TypeError', () => {
    const gone = { ...inner(), pause: () => { throw new TypeError('no group') }, resume: () => { throw new TypeError('no group') } }
    const own = createHolds(gone)
    own.hold({ topic, partition: 0 }, '7', outage(10))
    own.stop({ topic, partition: 1 }, '3', 'ERR_SEALBUS_MALFORMED')
    expect(() => vi.advanceTimersByTime(10)).not.toThrow()
  })

  it('end with their client, which forgets all pauses: what it delivers anew is not held back', () => {
    holds.pause(only(1))
    hold(0)
    holds.stop({ topic, partition: 2 }, '3', 'ERR_SEALBUS_MALFORMED')
    holds.end()
    client = new SubscriptionState()
    client.assign([{ topic, partitions: [0, 1, 2] }])
    for (const partition of [0, 1, 2]) expect(holds.isPaused({ topic, partition })).toBe(false)
    expect(vi.getTimerCount()).toBe(0)
    expect(holds.attempt({ topic, partition: 0 }, '7').attempts).toBe(1)
  })

  it('end when the client goes on after all, and their partitions with it', () => {
    hold(0)
    holds.stop({ topic, partition: 2 }, '3', 'ERR_SEALBUS_MALFORMED')
    holds.end()
    expect(active()).toEqual([1])
    holds.releaseAll()
    expect(active().toSorted((a, b) => a - b)).toEqual([0, 1, 2])
    expect(holds.list()).toEqual([])
  })

  it('of partitions that went to another member are forgotten, and do not come back paused', () => {
    hold(0)
    hold(1)
    holds.keepOnly(({ partition }) => partition === 1)
    expect(holds.list().map(({ partition }) => partition)).toEqual([1])
    expect(active()).toEqual([0, 2])
    vi.advanceTimersByTime(1_000)
    expect(active()).toEqual([0, 1, 2])
  })

  it('an answer that comes after a hold was replaced wakes nobody', async () => {
    const late = Promise.withResolvers<void>()
    holds.hold({ topic, partition: 0 }, '7', { ...outage(10_000), until: late.promise })
    holds.stop({ topic, partition: 0 }, '7', 'ERR_SEALBUS_KEY_UNAVAILABLE')
    late.resolve()
    await vi.advanceTimersByTimeAsync(20_000)
    expect(active()).toEqual([1, 2])
  })
})

const inner = (): InnerConsumer => ({ run: async () => {}, pause: () => {}, resume: () => {}, seek: () => {}, stop: async () => {}, disconnect: async () => {} })
