import { expect, it } from 'vitest'
import { parseDuration } from '../src/duration.ts'

it.each([
  ['0s', 0],
  ['90s', 90_000],
  ['15m', 900_000],
  ['36h', 129_600_000],
  ['7d', 604_800_000],
])('%s', (given, ms) => {
  expect(parseDuration(given)).toBe(ms)
})

it.each(['', '7', 'd', '-1d', '1.5h', '1w', '7d ', '1234567s'])('%j is none', (given) => {
  expect(() => parseDuration(given)).toThrow('such as 7d')
})
