import { describe, expect, it } from 'vitest'
import { become, DEFAULT_HORIZON, destroyableFrom, KEY_STATES, type KeyEntry, type KeyState, mayBecome, nextKey, since } from '../../src/keys/life-cycle.ts'

const NOW = new Date('2026-06-01T12:00:00.000Z')
const EARLIER = '2026-05-01T00:00:00.000Z'
const entry = (state: KeyState, more: Record<string, string> = {}): KeyEntry => ({ kid: 'k', state, kty: 'OKP', crv: 'X25519', x: 'x', d: 'secret', ...more })

describe('what a key may become', () => {
  const allowed: Record<KeyState, KeyState[]> = {
    pending: ['active', 'revoked', 'destroyed'],
    active: ['retiring', 'revoked'],
    retiring: ['active', 'archived', 'revoked', 'destroyed'],
    archived: ['revoked', 'destroyed'],
    revoked: ['destroyed'],
    destroyed: [],
  }
  it.each(KEY_STATES.flatMap((from) => KEY_STATES.map((to) => [from, to, allowed[from].includes(to)] as const)))('%s to %s: %s', (from, to, may) => {
    expect(mayBecome(from, to)).toBe(may)
  })

  it('no way leads back from a state in which the private half may be known, or is gone', () => {
    const reached = (from: KeyState): KeyState[] => KEY_STATES.filter((to) => mayBecome(from, to))
    expect(reached('revoked')).toEqual(['destroyed'])
    expect(reached('destroyed')).toEqual([])
  })
})

describe('a change', () => {
  it.each<[KeyState, KeyState, string]>([
    ['pending', 'active', 'activated_at'],
    ['active', 'retiring', 'retired_at'],
    ['retiring', 'archived', 'archived_at'],
    ['active', 'revoked', 'revoked_at'],
  ])('%s to %s notes %s, and changes nothing else', (from, to, time) => {
    expect(become(entry(from, { created_at: EARLIER, note: 'mine' }), to, { now: NOW })).toEqual({ ...entry(to, { created_at: EARLIER, note: 'mine' }), [time]: NOW.toISOString() })
  })

  it('of a destroyed key keeps its names, times and reason, and nothing else', () => {
    const destroyed = become(entry('retiring', { created_at: EARLIER, retired_at: EARLIER, note: 'mine' }), 'destroyed', { now: NOW, thumbprint: 'print', reason: 'retention' })
    expect(destroyed).toEqual({ kid: 'k', state: 'destroyed', thumbprint: 'print', reason: 'retention', created_at: EARLIER, retired_at: EARLIER, destroyed_at: NOW.toISOString() })
  })

  it('back to active forgets when it was retired, which is no longer so', () => {
    expect(become(entry('retiring', { retired_at: EARLIER }), 'active', { now: NOW })).toEqual(entry('active', { activated_at: NOW.toISOString() }))
  })
})

it.each<[string, KeyEntry, string | undefined]>([
  ['its state', entry('retiring', { created_at: '2026-01-01T00:00:00.000Z', retired_at: EARLIER }), EARLIER],
  ['its making, where that is all that was noted', entry('active', { created_at: EARLIER }), EARLIER],
  ['nobody knows when', entry('active'), undefined],
  ['nobody knows when, because it is no time', entry('active', { activated_at: 'yesterday' }), undefined],
])('since %s', (_title, key, expected) => {
  expect(since(key)?.toISOString()).toBe(expected)
})

describe('the next key', () => {
  const pending = (kid: string, created?: string): KeyEntry => ({ ...entry('pending', created === undefined ? {} : { created_at: created }), kid })
  it.each<[string, KeyEntry[], string | undefined]>([
    ['the newest pending one', [pending('a', '2026-01-03T00:00:00Z'), pending('b', '2026-01-01T00:00:00Z'), entry('active')], 'a'],
    ['the last of the document, where times are equal', [pending('a', EARLIER), pending('b', EARLIER)], 'b'],
    ['the last of the document, where there are no times', [pending('a'), pending('b')], 'b'],
    ['none, where none is pending', [entry('active'), entry('retiring')], undefined],
  ])('is %s', (_title, entries, kid) => {
    expect(nextKey(entries)?.kid).toBe(kid)
  })
})

describe('a key may be destroyed', () => {
  const HOUR = 3_600_000
  // Fresh for up to 1 h, stale for 1 h more, a session of up to 1 h, 5 minutes between clocks.
  const AFTER = 3 * HOUR + 300_000
  const at = (offset: number): string => new Date(Date.parse(EARLIER) + offset).toISOString()
  it.each<[string, KeyEntry, Partial<typeof DEFAULT_HORIZON>, string | undefined]>([
    ['never while it is published', entry('active', { retired_at: EARLIER }), {}, undefined],
    ['at once, when it never was published', entry('pending', { created_at: EARLIER }), {}, EARLIER],
    ['at once, when it was revoked before it was published', entry('revoked', { created_at: EARLIER, revoked_at: at(HOUR) }), {}, EARLIER],
    ['once sealers have forgotten it', entry('retiring', { retired_at: EARLIER }), {}, at(AFTER)],
    ['later, where sealers may be stale for longer', entry('retiring', { retired_at: EARLIER }), { maxStaleMs: 24 * HOUR }, at(AFTER + 23 * HOUR)],
    ['later, where messages are kept', entry('archived', { retired_at: EARLIER, archived_at: at(50 * HOUR) }), { retentionMs: 7 * 24 * HOUR }, at(AFTER + 7 * 24 * HOUR)],
    ['counted from its revocation, when that is what ended it', entry('revoked', { activated_at: at(-HOUR), revoked_at: EARLIER }), {}, at(AFTER)],
    ['counted from its retirement, when it was revoked later', entry('revoked', { activated_at: at(-HOUR), retired_at: EARLIER, revoked_at: at(9 * HOUR) }), {}, at(AFTER)],
    ['nobody knows when, where its end was not noted', entry('retiring'), {}, undefined],
  ])('%s', (_title, key, horizon, expected) => {
    expect(destroyableFrom(key, { ...DEFAULT_HORIZON, ...horizon })?.toISOString()).toBe(expected)
  })
})
