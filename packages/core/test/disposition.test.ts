import { describe, expect, it } from 'vitest'
import { createDispositions, type DispositionOptions } from '../src/disposition.ts'
import { ERROR_CODES, SealbusError, type SealbusErrorCode } from '../src/errors.ts'
import { codeOf } from './support/thrown.ts'

const MINUTE = 60_000
const setup = (options: DispositionOptions = {}, parking = true): { decide: (code: SealbusErrorCode, attempts?: number, heldSinceMs?: number) => string; clock: { now: number } } => {
  const clock = { now: 1_000_000 }
  const dispositions = createDispositions(options, parking, () => clock.now)
  return { clock, decide: (code, attempts = 0, heldSinceMs = clock.now) => dispositions.decide(new SealbusError(code, 'x'), { attempts, heldSinceMs }).disposition }
}

describe('dispositions', () => {
  const FAULTS = ['ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_REFUSED', 'ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_UNSUPPORTED_VERSION', 'ERR_SEALBUS_CONTEXT_MISMATCH', 'ERR_SEALBUS_NOT_SEALED', 'ERR_SEALBUS_NOT_A_RECIPIENT', 'ERR_SEALBUS_KEY_DESTROYED', 'ERR_SEALBUS_KEY_REVOKED', 'ERR_SEALBUS_TOO_LARGE'] as const

  it.each(FAULTS)('%s: parked where there is a parking place, else stopped', (code) => {
    expect(setup().decide(code)).toBe('park')
    expect(setup({}, false).decide(code)).toBe('stop')
  })

  it.each(['ERR_SEALBUS_UNDECLARED_CHANNEL', 'ERR_SEALBUS_CLOSED', 'ERR_SEALBUS_KEY_FORBIDDEN'] as const)('%s is a mistake of the set-up: stop, whatever may be parked', (code) => {
    expect(setup().decide(code)).toBe('stop')
  })

  it('no code is skipped unless that was chosen', () => {
    for (const code of ERROR_CODES) expect(setup().decide(code)).not.toBe('skip')
    expect(setup({ notARecipient: 'skip' }).decide('ERR_SEALBUS_NOT_A_RECIPIENT')).toBe('skip')
    expect(setup({ keyDestroyed: 'skip' }).decide('ERR_SEALBUS_KEY_DESTROYED')).toBe('skip')
  })

  it('an unavailable key source is held for ever, or until the chosen end', () => {
    const forever = setup()
    forever.clock.now += 24 * 60 * MINUTE
    expect(forever.decide('ERR_SEALBUS_KEY_UNAVAILABLE', 1_000, 0)).toBe('hold')
    const bounded = setup({ unavailable: { stopAfterMs: MINUTE } })
    expect(bounded.decide('ERR_SEALBUS_KEY_UNAVAILABLE', 1, bounded.clock.now - MINUTE + 1)).toBe('hold')
    expect(bounded.decide('ERR_SEALBUS_KEY_UNAVAILABLE', 1, bounded.clock.now - MINUTE)).toBe('stop')
  })

  it('a key that only openSync() does not wait for is held: an outage is no poison message', () => {
    expect(setup().decide('ERR_SEALBUS_KEYS_NOT_READY')).toBe('hold')
  })

  it('every transient code is held, and no other', () => {
    for (const code of ERROR_CODES) expect([code, setup().decide(code) === 'hold']).toEqual([code, new SealbusError(code, 'x').transient])
  })

  it('a missing key is not held where that is chosen', () => {
    expect(setup({ keyMissingHoldMs: 0 }).decide('ERR_SEALBUS_KEY_MISSING')).toBe('park')
  })

  it('a missing key is held for five minutes, then parked', () => {
    const { decide, clock } = setup()
    expect(decide('ERR_SEALBUS_KEY_MISSING')).toBe('hold')
    expect(decide('ERR_SEALBUS_KEY_MISSING', 50, clock.now - 5 * MINUTE)).toBe('park')
    expect(setup({ keyMissing: 'stop' }).decide('ERR_SEALBUS_KEY_MISSING', 50, clock.now - 5 * MINUTE)).toBe('stop')
  })

  it('such holds have a budget per consumer of five minutes in any thirty: a flood of them cannot stall it', () => {
    const { decide, clock } = setup()
    let held = 0
    while (decide('ERR_SEALBUS_KEY_MISSING', 20) === 'hold') {
      held++
      expect(held).toBeLessThan(200)
    }
    // The longest pause is 5 s, give or take a quarter.
    expect(held).toBeGreaterThanOrEqual((5 * MINUTE) / 6_250)
    expect(decide('ERR_SEALBUS_KEY_UNAVAILABLE')).toBe('hold')
    clock.now += 30 * MINUTE
    expect(decide('ERR_SEALBUS_KEY_MISSING')).toBe('hold')
  })

  it('the pauses of a hold grow to the longest, with jitter', () => {
    const dispositions = createDispositions({}, true)
    const pause = (attempts: number): number => {
      const decision = dispositions.decide(new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'x'), { attempts, heldSinceMs: Date.now() })
      return decision.disposition === 'hold' ? decision.retryInMs : -1
    }
    for (const [attempts, expected] of [[0, 100], [1, 200], [3, 800], [30, 5_000]] as const) {
      for (let count = 0; count < 50; count++) {
        expect(pause(attempts)).toBeGreaterThanOrEqual(expected * 0.74)
        expect(pause(attempts)).toBeLessThanOrEqual(expected * 1.26)
      }
    }
  })

  it.each<[DispositionOptions, string]>([
    [{ failed: 'skip' as never }, 'dispositions: `failed` is one of park, stop'],
    [{ keyMissing: 'skip' as never }, 'dispositions: `keyMissing` is one of park, stop'],
    [{ keyDestroyed: 'stop' as never }, 'dispositions: `keyDestroyed` is one of park, skip'],
    [{ notARecipient: 'drop' as never }, 'dispositions: `notARecipient` is one of park, skip, stop'],
    [{ failed: 'park' }, "dispositions: `failed` is 'park', but no parking place is given"],
    [{ unavailable: { stopAfterMs: 0 } }, '`unavailable.stopAfterMs` is an integer from 1 to 604800000'],
    [{ holdBackoffMs: { first: 0, longest: 1 } }, '`holdBackoffMs.first` is an integer from 1 to 60000'],
    [{ holdBackoffMs: { first: 2, longest: 1 } }, '`holdBackoffMs.first` is not longer than `longest`'],
    [{ notRecipient: 'skip' } as never, '`dispositions` has no "notRecipient"'],
    [{ keyMissingHoldMs: -1 }, '`keyMissingHoldMs` is an integer from 0 to 1800000'],
  ])('a choice that is none is refused, and the error says which there are: %o', (options, words) => {
    expect(() => createDispositions(options, false)).toThrow(words)
  })

  it('every choice that there is can be made, and is followed', () => {
    const decided = (options: DispositionOptions, code: SealbusErrorCode): string => setup(options).decide(code, 0, 0)
    for (const choice of ['park', 'stop'] as const) {
      expect(decided({ failed: choice }, 'ERR_SEALBUS_MALFORMED')).toBe(choice)
      expect(decided({ keyMissing: choice }, 'ERR_SEALBUS_KEY_MISSING')).toBe(choice)
    }
    for (const choice of ['park', 'skip'] as const) expect(decided({ keyDestroyed: choice }, 'ERR_SEALBUS_KEY_DESTROYED')).toBe(choice)
    for (const choice of ['park', 'skip', 'stop'] as const) expect(decided({ notARecipient: choice }, 'ERR_SEALBUS_NOT_A_RECIPIENT')).toBe(choice)
    // Without a parking place, too, what is chosen is not parking.
    expect(setup({ failed: 'stop', keyDestroyed: 'skip' }, false).decide('ERR_SEALBUS_KEY_DESTROYED')).toBe('skip')
  })

  it.each(['ERR_SEALBUS_AMBIGUOUS_CHANNEL', 'ERR_SEALBUS_INVALID_OPTION'] as const)('%s stops, whatever may be parked', (code) => {
    expect(setup().decide(code)).toBe('stop')
  })

  it('a first pause as long as the longest is one, and a hold that is over to the millisecond has ended', () => {
    expect(setup({ holdBackoffMs: { first: 7, longest: 7 } }).decide('ERR_SEALBUS_KEY_UNAVAILABLE')).toBe('hold')
    const { decide, clock } = setup({ keyMissingHoldMs: 0 })
    expect(decide('ERR_SEALBUS_KEY_MISSING', 0, clock.now)).toBe('park')
  })

  it('the budget is whole again only after its window', () => {
    const { decide, clock } = setup({ keyMissingHoldMs: 1 })
    expect(decide('ERR_SEALBUS_KEY_MISSING')).toBe('hold')
    clock.now += 30 * MINUTE - 1
    expect(decide('ERR_SEALBUS_KEY_MISSING')).toBe('park')
    clock.now += 1
    expect(decide('ERR_SEALBUS_KEY_MISSING')).toBe('hold')
  })

  it.each<[string, DispositionOptions]>([
    ['parking without a place', { failed: 'park' }],
    ['skipping what failed', { failed: 'skip' as never }],
    ['skipping a missing key', { keyMissing: 'skip' as never }],
    ['an unknown word', { notARecipient: 'drop' as never }],
    ['a name that is no option', { notRecipient: 'skip' } as never],
    ['a hold that would never end', { keyMissingHoldMs: Number.NaN }],
    ['a hold longer than its budget can be', { keyMissingHoldMs: 30 * MINUTE + 1 }],
    ['an end that never comes', { unavailable: { stopAfterMs: Number.NaN } }],
    ['an end of another name', { unavailable: { stopAfter: 1 } as never }],
    ['no pause at all', { holdBackoffMs: { first: 0, longest: 0 } }],
    ['a first pause longer than the longest', { holdBackoffMs: { first: 2, longest: 1 } }],
  ])('%s is refused', (_title, options) => {
    expect(codeOf(() => createDispositions(options, false))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })
})
