import { describe, expect, it } from 'vitest'
import { within } from '../src/bounds.ts'
import { codeOf } from './support/thrown.ts'

const BOUNDS = { messages: { default: 5, least: 1, most: 10 } }

describe('bounds', () => {
  it('what was checked cannot be changed afterwards', () => {
    const checked = within('session', BOUNDS, undefined)
    expect(() => Object.assign(checked, { messages: 1_000 })).toThrow(TypeError)
    expect(checked).toEqual({ messages: 5 })
  })

  it('the least and the most are allowed, and nothing beyond', () => {
    for (const messages of [1, 10]) expect(within('session', BOUNDS, { messages })).toEqual({ messages })
    for (const messages of [0, 11, 1.5, Number.NaN, '5' as never, null as never]) expect(codeOf(() => within('session', BOUNDS, { messages }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })
})
