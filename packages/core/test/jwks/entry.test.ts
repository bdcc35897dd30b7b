import { beforeAll, describe, expect, it } from 'vitest'
import { type Entry, healthOf, newSlot, usableKey } from '../../src/jwks/entry.ts'
import type { SetKey } from '../../src/jwks/parse.ts'
import { testClock } from '../support/endpoint.ts'
import { testKey } from '../support/keys.ts'
import { codeOf } from '../support/thrown.ts'

let one: SetKey
let two: SetKey
beforeAll(async () => {
  one = (await testKey('P-256', 'one')).recipientKey
  two = (await testKey('P-256', 'two')).recipientKey
})
const slot = (...keys: SetKey[]): ReturnType<typeof newSlot> => newSlot({ keys, rejected: [] }, undefined)

describe('a slot', () => {
  it('has the very objects of the one before, in whatever order, for keys that are the same', () => {
    const { keys } = newSlot({ keys: [{ ...two }, { ...one }], rejected: [] }, slot(one, two))
    expect([keys[0] === two, keys[1] === one]).toEqual([true, true])
  })

  it.each<[string, Partial<SetKey>]>([['kid', { kid: 'other' }], ['nbf', { notBefore: 1 }], ['iat', { issuedAt: 1 }], ['exp', { notAfter: 1 }]])('has another object for a key with another %s', (_title, change) => {
    const changed = { ...one, ...change }
    expect(newSlot({ keys: [changed], rejected: [] }, slot(one)).keys[0]).toBe(changed)
    expect(newSlot({ keys: [one], rejected: [] }, slot(changed)).keys[0]).toBe(one)
  })

  it('is looked through again at the moment that a key comes or goes, and then without end', () => {
    const its = slot({ ...one, notAfter: 300 }, { ...two, notBefore: 100, notAfter: 200 })
    const at = (now: number): string => usableKey(its, now, 'x').kid
    expect([0, 99, 100, 199, 200, 299].map(at)).toEqual(['one', 'one', 'two', 'two', 'one', 'one'])
    for (const now of [300, 1e15]) expect(codeOf(() => at(now))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })
})

describe('health', () => {
  const clock = testClock()
  const held = (keys: ReturnType<typeof slot>): Entry => ({ subject: 'x', maxStaleMs: 0, held: { slots: new Map([['billing', keys]]), terms: '', validators: {}, fetchedAt: { monotonic: 0, wall: clock.wall() }, freshMs: 1, refreshAtMs: 1, issuedAt: undefined } })

  it('is failing while no key can be sealed for, and that of a registry does not look at its recipients', () => {
    expect(healthOf('billing', held(slot(one)), clock)).toEqual({ name: 'billing', state: 'fresh', ageMs: 0 })
    expect(healthOf('billing', held(slot({ ...one, notAfter: 1 })), clock)).toEqual({ name: 'billing', state: 'failing', ageMs: 0, lastError: 'ERR_SEALBUS_NO_USABLE_KEY' })
    expect(healthOf('registry', held(slot()), clock)).toEqual({ name: 'registry', state: 'fresh', ageMs: 0 })
  })
})
