import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createEmit } from '../../src/jwks/events.ts'
import { MINUTE, observe, set, UNAVAILABLE, until } from '../support/directories.ts'
import { json, startEndpoint, status } from '../support/endpoint.ts'
import { testKey, type TestKey } from '../support/keys.ts'
import { codeOf, rejectionOf } from '../support/thrown.ts'

let one: TestKey
let two: TestKey
beforeAll(async () => {
  one = await testKey('P-256', 'one')
  two = await testKey('P-256', 'two')
})

describe('events', () => {
  it('every fetch is told with its outcome, and every change with the thumbprints', async () => {
    const endpoint = await startEndpoint(json(set(one), { etag: '"v1"' }))
    const { directory, clock, events } = observe({ recipients: { billing: endpoint.url } })
    await directory.resolve('billing')
    for (const answer of [status(304), json(set(two, one)), status(503), json(set(two)), status(410)]) {
      endpoint.answer = answer
      clock.advance(MINUTE)
      await directory.refresh('billing').catch(() => {})
    }
    const [a, b] = [one.identity.thumbprint, two.identity.thumbprint]
    expect(events.map(({ kind, ...facts }) => [kind, ...Object.entries(facts).filter(([name]) => ['outcome', 'status', 'error', 'added', 'removed'].includes(name)).map(([, value]) => value as unknown)])).toEqual([
      ['fetched', 'set', 200],
      ['changed', [a], []],
      ['fetched', 'unchanged', 304],
      ['fetched', 'set', 200],
      ['changed', [b], []],
      ['fetched', 'failed', 503, UNAVAILABLE],
      ['fetched', 'set', 200],
      ['changed', [], [a]],
      ['fetched', 'gone', 410],
      ['changed', [], [b]],
    ])
    expect(events[0]).toMatchObject({ name: 'billing', ms: expect.any(Number) as number, bytes: JSON.stringify(set(one)).length })
  })

  it('a 404 at first is unknown, and no answer at all has no status', async () => {
    const endpoint = await startEndpoint(status(404))
    const { directory, told } = observe({ recipients: { billing: endpoint.url, shipping: 'http://127.0.0.1:1/' } })
    await rejectionOf(directory.resolve('billing'))
    await rejectionOf(directory.resolve('shipping'))
    expect(told('fetched')).toMatchObject([{ outcome: 'unknown', status: 404, error: 'ERR_SEALBUS_UNKNOWN_RECIPIENT' }, { outcome: 'failed', error: UNAVAILABLE }])
    for (const fact of ['status', 'bytes']) expect(told('fetched')[1]).not.toHaveProperty(fact)
    expect(told('fetched')[0]).not.toHaveProperty('bytes')
  })

  it('[7.10] [7.11] each refused key is told once for a set, a leaked private key in plain words', async () => {
    const bad = { keys: [{ kty: 'AKP', kid: 'pq' }, 'key', { ...two.publicJwk, d: 'AAAA' }, one.publicJwk] }
    const endpoint = await startEndpoint(json(bad))
    const { directory, clock, told } = observe({ recipients: { billing: endpoint.url } })
    expect((await directory.resolve('billing')).kid).toBe('one')
    clock.advance(MINUTE)
    await directory.refresh('billing')
    expect(told('rejected')).toEqual([
      { kind: 'rejected', name: 'billing', index: 0, kid: 'pq', reason: 'its key type, curve or alg is not permitted' },
      { kind: 'rejected', name: 'billing', index: 1, reason: 'it is not an object' },
      { kind: 'rejected', name: 'billing', index: 2, kid: 'two', reason: 'it holds private members: that key is compromised' },
    ])
    endpoint.answer = json({ keys: [{ kty: 'AKP', kid: 'pq' }, one.publicJwk] })
    clock.advance(MINUTE)
    await directory.refresh('billing')
    expect(told('rejected')).toHaveLength(4)
  })

  it('[7.2] stale is told once for each failed attempt, expired once, and health says the same', async () => {
    const endpoint = await startEndpoint(json(set(one)))
    const { directory, clock, told } = observe({ recipients: { billing: endpoint.url }, maxStaleMs: 10 * MINUTE })
    expect(directory.health()).toEqual([{ name: 'billing', state: 'cold' }])
    await directory.resolve('billing')
    expect(directory.health()).toEqual([{ name: 'billing', state: 'fresh', ageMs: 0 }])
    endpoint.answer = status(503)
    clock.advance(6 * MINUTE)
    directory.peek('billing')
    await until(() => directory.health()[0]?.lastError !== undefined)
    for (let count = 0; count < 1_000; count++) directory.peek('billing')
    expect(told('stale')).toEqual([{ kind: 'stale', name: 'billing', ageMs: 6 * MINUTE, remainingMs: 4 * MINUTE }])
    expect(directory.health()).toEqual([{ name: 'billing', state: 'stale', ageMs: 6 * MINUTE, lastError: UNAVAILABLE, nextTryMs: expect.any(Number) as number }])
    clock.advance(2 * MINUTE)
    directory.peek('billing')
    await until(() => endpoint.requests.length === 3 && told('fetched').length === 3)
    directory.peek('billing')
    expect(told('stale')).toHaveLength(2)
    clock.advance(2 * MINUTE)
    for (let count = 0; count < 100; count++) await rejectionOf(directory.resolve('billing'))
    expect(told('expired')).toEqual([{ kind: 'expired', name: 'billing', ageMs: 10 * MINUTE }])
    expect(directory.health()).toMatchObject([{ state: 'failing', lastError: UNAVAILABLE }])
    for (let window = 0; window < 3; window++) {
      clock.advance(2 * MINUTE)
      await rejectionOf(directory.resolve('billing'))
    }
    expect(told('expired')).toHaveLength(1)
    endpoint.answer = json(set(one))
    clock.advance(2 * MINUTE)
    await directory.resolve('billing')
    expect(directory.health()).toEqual([{ name: 'billing', state: 'fresh', ageMs: 0 }])
  })

  it('the refused keys of a recipient that leaves a registry are told no more', async () => {
    const endpoint = await startEndpoint(json({ recipients: { billing: set(one), shipping: { keys: ['key'] } } }))
    const { directory, clock, told } = observe({ registry: endpoint.url })
    await directory.resolve('billing')
    endpoint.answer = json({ recipients: { billing: set(one) } })
    clock.advance(MINUTE)
    await directory.refresh('billing')
    expect(told('rejected')).toEqual([{ kind: 'rejected', name: 'shipping', index: 0, reason: 'it is not an object' }])
    expect(told('fetched')).toHaveLength(2)
  })

  it('[7.2] a set that is found too old is told as expired when its source fails, and again after another success', async () => {
    const endpoint = await startEndpoint(json(set(one)))
    const { directory, clock, told } = observe({ recipients: { billing: endpoint.url }, maxStaleMs: 10 * MINUTE })
    for (let outage = 1; outage <= 2; outage++) {
      endpoint.answer = json(set(one))
      await directory.resolve('billing')
      endpoint.answer = status(503)
      clock.advance(3 * 24 * 60 * MINUTE)
      expect(directory.peek('billing')).toBeUndefined()
      expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
      // Until now nobody knew that the source fails.
      expect(told('expired')).toHaveLength(outage - 1)
      for (let count = 0; count < 3; count++) expect(codeOf(() => directory.peek('billing'))).toBe(UNAVAILABLE)
      expect(told('expired')).toHaveLength(outage)
      clock.advance(2 * MINUTE)
    }
    expect(told('stale')).toEqual([])
  })

  it('a set that is due but still fresh is not told as stale', async () => {
    const endpoint = await startEndpoint(json(set(one)))
    const { directory, clock, told } = observe({ recipients: { billing: endpoint.url } })
    await directory.resolve('billing')
    endpoint.answer = status(503)
    clock.advance(5 * MINUTE - 1)
    directory.peek('billing')
    await until(() => told('fetched').length === 2)
    directory.peek('billing')
    expect([told('stale'), directory.health()[0]?.state]).toEqual([[], 'fresh'])
    clock.advance(1)
    directory.peek('billing')
    expect([told('stale').length, directory.health()[0]?.state]).toEqual([1, 'stale'])
  })

  it('an old set whose source nobody has asked since is cold, and no failure', async () => {
    const { directory, clock, told } = observe({ recipients: { billing: 'https://keys.example/' }, fetch: async () => new Response(JSON.stringify(set(one))) })
    await directory.resolve('billing')
    clock.advance(60 * MINUTE - 1)
    expect(directory.health()).toEqual([{ name: 'billing', state: 'stale', ageMs: 60 * MINUTE - 1 }])
    clock.advance(1)
    expect(directory.health()).toEqual([{ name: 'billing', state: 'cold', ageMs: 60 * MINUTE }])
    expect(told('expired')).toEqual([])
  })

  it('[7.9] a fresh set without a usable key is failing, with the reason in the error', async () => {
    const endpoint = await startEndpoint(json({ keys: [{ ...one.publicJwk, use: 'sig' }] }))
    const { directory } = observe({ recipients: { billing: endpoint.url } })
    expect(await rejectionOf(directory.resolve('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    expect(() => directory.peek('billing')).toThrow('has no key that can be sealed for now: its use is not enc')
    expect(directory.health()).toEqual([{ name: 'billing', state: 'failing', ageMs: 0, lastError: 'ERR_SEALBUS_NO_USABLE_KEY' }])
    endpoint.answer = json({ keys: [{ ...one.publicJwk, exp: 1 }] })
    const expired = observe({ recipients: { billing: endpoint.url } })
    await expect(expired.directory.resolve('billing')).rejects.toThrow('all are expired, or not valid yet')
  })

  it('are published on a diagnostics channel too', async () => {
    const seen: unknown[] = []
    const listener = (event: unknown): void => void seen.push(event)
    subscribe('sealbus:directory', listener)
    onTestFinished(() => void unsubscribe('sealbus:directory', listener))
    const endpoint = await startEndpoint(json(set(one)))
    const { directory, events } = observe({ recipients: { billing: endpoint.url } })
    await directory.resolve('billing')
    expect(seen).toEqual(events)
    expect(events.map(({ kind }) => kind)).toEqual(['fetched', 'changed'])
  })

  it('nobody need listen', () => {
    const uncaught = vi.fn<(task: () => void) => void>()
    vi.stubGlobal('queueMicrotask', uncaught)
    onTestFinished(() => void vi.unstubAllGlobals())
    createEmit(undefined)({ kind: 'snapshot-failed', reason: 'none' })
    expect(uncaught).not.toHaveBeenCalled()
  })

  it('a listener that throws takes nothing with it but is heard', async () => {
    const endpoint = await startEndpoint(json(set(one)))
    const { directory } = observe({
      recipients: { billing: endpoint.url },
      onEvent: () => {
        throw new Error('listener')
      },
    })
    const uncaught: unknown[] = []
    const listeners = process.rawListeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => uncaught.push(error))
    onTestFinished(() => {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener as NodeJS.UncaughtExceptionListener)
    })
    expect((await directory.resolve('billing')).kid).toBe('one')
    await until(() => uncaught.length === 2)
    expect(codeOf(() => directory.peek('audit'))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
  })
})
