import { describe, expect, it } from 'vitest'
import { createRandomSource } from '../src/random.ts'

describe('random bytes drawn in blocks', () => {
  it('are handed out once each: what was taken is never written to again', () => {
    const random = createRandomSource()
    const taken = Array.from({ length: 3_000 }, () => random.take(12))
    const copies = taken.map((bytes) => bytes.toString('hex'))
    expect(new Set(copies).size).toBe(taken.length)
    for (let more = 0; more < 3_000; more++) random.take(12)
    expect(taken.map((bytes) => bytes.toString('hex'))).toEqual(copies)
  })

  it('a block is used to its last byte, and one that is asked for more than a block gets it', () => {
    const random = createRandomSource()
    const [first, last, next] = [random.take(8_180), random.take(12), random.take(12)]
    expect(last.buffer).toBe(first.buffer)
    expect(next.buffer).not.toBe(first.buffer)
    expect(random.take(10_000)).toHaveLength(10_000)
  })

  it('after reset() nothing that was drawn ahead is used', () => {
    const random = createRandomSource()
    const before = random.take(12)
    random.reset()
    expect(random.take(12).buffer).not.toBe(before.buffer)
  })
})
