import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Clock } from '../src/clock.ts'
import { createUnwrapPace, type UnwrapPace } from '../src/unwrap-pace.ts'

const NEVER = new AbortController().signal
const CLOCK: Clock = { monotonic: () => Date.now(), wall: () => Date.now() }

/** Callers in line, and which of them are inside. */
function callers(pace: UnwrapPace, count: number, key = 'k'): { inside: number[]; refused: number[] } {
  const inside: number[] = []
  const refused: number[] = []
  for (let caller = 0; caller < count; caller++) pace.enter(key, NEVER).then(() => inside.push(caller), () => refused.push(caller))
  return { inside, refused }
}

describe('pace of unwrapping', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
  afterEach(() => void vi.useRealTimers())
  const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0)

  it('no more at a time than are let in, in the order of arrival, and each key by itself', async () => {
    const pace = createUnwrapPace({ concurrency: 2, perSecond: 100 }, CLOCK)
    const { inside } = callers(pace, 5)
    const others = callers(pace, 1, 'other')
    await settle()
    expect(inside).toEqual([0, 1])
    expect(others.inside).toEqual([0])
    expect(pace.tryEnter('k')).toBe(false)
    pace.leave('k')
    await settle()
    expect(inside).toEqual([0, 1, 2])
    pace.leave('k')
    pace.leave('k')
    await settle()
    expect(inside).toEqual([0, 1, 2, 3, 4])
  })

  it('no more in a second, after a burst of as many', async () => {
    const pace = createUnwrapPace({ concurrency: 1_000, perSecond: 10 }, CLOCK)
    const { inside } = callers(pace, 40)
    await settle()
    expect(inside).toHaveLength(10)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(inside).toHaveLength(20)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(inside).toHaveLength(40)
  })

  it('a call that asked nobody costs nothing', () => {
    const pace = createUnwrapPace({ concurrency: 1, perSecond: 1 }, CLOCK)
    for (let call = 0; call < 100; call++) {
      expect(pace.tryEnter('k')).toBe(true)
      pace.leave('k', 'unused')
    }
  })

  it('who aborts leaves the line, and takes nobody\u2019s place', async () => {
    const pace = createUnwrapPace({ concurrency: 1, perSecond: 100 }, CLOCK)
    expect(pace.tryEnter('k')).toBe(true)
    const controller = new AbortController()
    const aborted = pace.enter('k', controller.signal).then(() => 'inside', () => 'aborted')
    const { inside } = callers(pace, 1)
    controller.abort()
    expect(await aborted).toBe('aborted')
    pace.leave('k')
    await settle()
    expect(inside).toEqual([0])
  })

  it('nobody passes those who wait, though there is room again', async () => {
    const pace = createUnwrapPace({ concurrency: 5, perSecond: 1 }, CLOCK)
    expect(pace.tryEnter('k')).toBe(true)
    const { inside } = callers(pace, 1)
    vi.setSystemTime(Date.now() + 1_000)
    // One could go in now, and it is the one in line.
    expect(pace.tryEnter('k')).toBe(false)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(inside).toEqual([0])
  })

  it('the next one goes in when its time has come: not earlier, and on one timer that ends with the line', async () => {
    const pace = createUnwrapPace({ concurrency: 10, perSecond: 2 }, CLOCK)
    const { inside } = callers(pace, 4)
    await settle()
    expect(inside).toEqual([0, 1])
    expect(vi.getTimerCount()).toBe(1)
    await vi.advanceTimersByTimeAsync(499)
    expect(inside).toEqual([0, 1])
    await vi.advanceTimersByTimeAsync(1)
    expect(inside).toEqual([0, 1, 2])
    await vi.advanceTimersByTimeAsync(500)
    expect(inside).toEqual([0, 1, 2, 3])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('time that has passed already counts for the next one in line', async () => {
    const pace = createUnwrapPace({ concurrency: 10, perSecond: 2 }, CLOCK)
    expect([pace.tryEnter('k'), pace.tryEnter('k')]).toEqual([true, true])
    await vi.advanceTimersByTimeAsync(250)
    const { inside } = callers(pace, 1)
    await vi.advanceTimersByTimeAsync(249)
    expect(inside).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    expect(inside).toEqual([0])
  })

  it('where all places are taken, no timer runs: whoever leaves lets the next one in', async () => {
    const pace = createUnwrapPace({ concurrency: 1, perSecond: 100 }, CLOCK)
    const { inside } = callers(pace, 2)
    await settle()
    expect(inside).toEqual([0])
    expect(vi.getTimerCount()).toBe(0)
    pace.leave('k')
    await settle()
    expect(inside).toEqual([0, 1])
    pace.leave('k')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('a call that was made costs its share of the second, and only one that was not is free', () => {
    const pace = createUnwrapPace({ concurrency: 10, perSecond: 2 }, CLOCK)
    for (let call = 0; call < 2; call++) {
      expect(pace.tryEnter('k')).toBe(true)
      pace.leave('k')
    }
    expect(pace.tryEnter('k')).toBe(false)
  })

  it('who has gone in is not waited for by its signal any more', async () => {
    const pace = createUnwrapPace({ concurrency: 1, perSecond: 100 }, CLOCK)
    const { signal } = new AbortController()
    const removed = vi.spyOn(signal, 'removeEventListener')
    await pace.enter('k', signal)
    expect(removed).toHaveBeenCalledExactlyOnceWith('abort', expect.any(Function))
  })
})
