import { expect, it } from 'vitest'
import { createRefreshLimit } from '../../src/jwks/refresh-limit.ts'
import { testClock } from '../support/endpoint.ts'

it('two at once, then one each 30 s, for each source by itself', () => {
  const clock = testClock()
  const limit = createRefreshLimit(clock)
  expect([limit.take('a'), limit.take('a'), limit.take('a')]).toEqual([0, 0, 30_000])
  expect(limit.take('b')).toBe(0)
  clock.advance(10_000)
  expect(limit.take('a')).toBe(20_000)
  clock.advance(20_000)
  expect([limit.take('a'), limit.take('a')]).toEqual([0, 30_000])
  clock.advance(3_600_000)
  // No more than two are saved up.
  expect([limit.take('a'), limit.take('a'), limit.take('a')]).toEqual([0, 0, 30_000])
})
