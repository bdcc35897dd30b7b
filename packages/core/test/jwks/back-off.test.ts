import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { SealbusError } from '../../src/errors.ts'
import { backOffMs, failureOf, nextTryMs } from '../../src/jwks/back-off.ts'
import { testClock } from '../support/endpoint.ts'

/** What random numbers are, for one test. */
function chance(value: number): void {
  const random = vi.spyOn(Math, 'random').mockReturnValue(value)
  onTestFinished(() => random.mockRestore())
}

describe('[7.1] the wait after failures', () => {
  it('doubles from a second to a minute', () => {
    chance(0.5)
    expect([1, 2, 3, 4, 5, 6, 7, 8, 12, 10_000].map((count) => backOffMs(count))).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000])
  })

  it('differs by a half from process to process', () => {
    chance(0)
    expect(backOffMs(3)).toBe(2_000)
    chance(0.999_999)
    expect(backOffMs(3)).toBeCloseTo(6_000, 1)
  })

  it('is never less than the source asks for', () => {
    chance(0.5)
    expect([backOffMs(1, 30_000), backOffMs(7, 30_000)]).toEqual([30_000, 60_000])
  })

  it('goes down with the clock that has moved more, and ends at nothing', () => {
    const clock = testClock()
    const failure = failureOf(clock, 1, 1_000, new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', 'down'))
    expect(nextTryMs(clock, failure)).toBe(1_000)
    clock.advance(400)
    expect(nextTryMs(clock, failure)).toBe(600)
    clock.step(-300)
    expect(nextTryMs(clock, failure)).toBe(600)
    clock.step(800)
    expect(nextTryMs(clock, failure)).toBe(100)
    clock.advance(5_000)
    expect(nextTryMs(clock, failure)).toBe(0)
    expect(nextTryMs(clock, undefined)).toBe(0)
  })
})
