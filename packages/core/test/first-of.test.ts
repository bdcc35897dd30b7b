import { setImmediate as nextTurn } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { SealbusError, type SealbusErrorCode } from '../src/errors.ts'
import { firstOf } from '../src/first-of.ts'
import type { RecipientDirectory } from '../src/recipient.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { MINUTE, observe, set, UNAVAILABLE, until } from './support/directories.ts'
import { json, startEndpoint, status } from './support/endpoint.ts'
import { testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectedBy, rejectionOf, thrownBy } from './support/thrown.ts'

let one: TestKey
let two: TestKey
beforeAll(async () => {
  one = await testKey('P-256', 'one')
  two = await testKey('P-256', 'two')
})

function refusing(code: SealbusErrorCode): RecipientDirectory & { asked: number } {
  const directory = {
    asked: 0,
    peek(): never {
      throw new SealbusError(code, code)
    },
    async resolve(): Promise<never> {
      directory.asked++
      throw new SealbusError(code, code)
    },
  }
  return directory
}

describe('firstOf', () => {
  it('the first that is in order answers, and no other is asked', async () => {
    const second = refusing('ERR_SEALBUS_NO_USABLE_KEY')
    const directory = firstOf(createStaticDirectory({ billing: one.publicJwk }), second)
    expect(directory.peek('billing')?.kid).toBe('one')
    expect((await directory.resolve('billing')).kid).toBe('one')
    expect(second.asked).toBe(0)
  })

  it('an outage falls through; with one everywhere, the first says so', async () => {
    const directory = firstOf(refusing(UNAVAILABLE), createStaticDirectory({ billing: two.publicJwk }))
    expect(directory.peek('billing')?.kid).toBe('two')
    expect((await directory.resolve('billing')).kid).toBe('two')
    expect((await directory.resolve('billing', {})).kid).toBe('two')
    const first = refusing(UNAVAILABLE)
    const none = firstOf(first, refusing(UNAVAILABLE))
    expect(codeOf(() => none.peek('billing'))).toBe(UNAVAILABLE)
    expect(await rejectionOf(none.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it.each<SealbusErrorCode>(['ERR_SEALBUS_NO_USABLE_KEY', 'ERR_SEALBUS_UNKNOWN_RECIPIENT', 'ERR_SEALBUS_CLOSED', 'ERR_SEALBUS_INVALID_OPTION'])('%s is an answer, which nobody overrules', async (code) => {
    const directory = firstOf(refusing(code), createStaticDirectory({ billing: two.publicJwk }))
    expect(codeOf(() => directory.peek('billing'))).toBe(code)
    expect(await rejectionOf(directory.resolve('billing'))).toBe(code)
  })

  it('what is no error of ours goes through', async () => {
    const broken: RecipientDirectory = { peek: () => { throw new TypeError('broken') }, resolve: () => Promise.reject(new TypeError('broken')) }
    const directory = firstOf(broken, createStaticDirectory({ billing: two.publicJwk }))
    expect(() => directory.peek('billing')).toThrow(TypeError)
    expect(await rejectedBy(directory.resolve('billing'))).toBeInstanceOf(TypeError)
  })

  it('[7.2] an endpoint that fails is bridged by a static key without anyone waiting, and taken again when it is back', async () => {
    const endpoint = await startEndpoint(status(503))
    const { directory: first, clock } = observe({ recipients: { billing: endpoint.url } })
    const directory = firstOf(first, createStaticDirectory({ billing: two.publicJwk }))
    // Cold: nobody knows yet whether it is an outage.
    expect(directory.peek('billing')).toBeUndefined()
    expect((await directory.resolve('billing')).kid).toBe('two')
    const { length } = endpoint.requests
    for (let window = 1; window <= 3; window++) {
      clock.advance(2 * MINUTE)
      for (let count = 0; count < 100; count++) expect(directory.peek('billing')?.kid).toBe('two')
      await until(() => endpoint.requests.length === length + window && first.health()[0]?.nextTryMs !== 0)
    }
    endpoint.answer = json(set(one))
    clock.advance(2 * MINUTE)
    directory.peek('billing')
    await until(() => directory.peek('billing')?.kid === 'one')
    endpoint.answer = json({ keys: [] })
    clock.advance(MINUTE)
    await first.refresh('billing')
    expect(codeOf(() => directory.peek('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })

  /** A member whose answers a test decides: a key, undefined for one that must be waited for, or an outage. */
  function member(): RecipientDirectory & { now: Record<string, TestKey | 'wait' | 'out'>; asked: string[] } {
    const its = {
      now: {} as Record<string, TestKey | 'wait' | 'out'>,
      asked: [] as string[],
      peek(name: string) {
        const answer = its.now[name]
        if (answer === 'out') throw new SealbusError(UNAVAILABLE, name)
        return answer === 'wait' ? undefined : answer?.recipientKey
      },
      async resolve(name: string) {
        its.asked.push(name)
        await nextTurn()
        const answer = its.now[name]
        return answer === undefined || answer === 'wait' || answer === 'out' ? Promise.reject(new SealbusError(UNAVAILABLE, name)) : answer.recipientKey
      },
    }
    return its
  }
  const second = (): RecipientDirectory => createStaticDirectory({ billing: two.publicJwk, shipping: two.publicJwk })

  it('a member that was out of order is not waited for, by that name, and asked once at a time until it has a key', async () => {
    const first = member()
    const directory = firstOf(first, second())
    first.now = { billing: 'out', shipping: 'wait' }
    expect(directory.peek('billing')?.kid).toBe('two')
    expect(directory.peek('shipping'), 'that name is not out').toBeUndefined()
    first.now['billing'] = 'wait'
    for (let count = 0; count < 10; count++) expect(directory.peek('billing')?.kid).toBe('two')
    expect(first.asked).toEqual(['billing'])
    await until(() => (directory.peek('billing'), first.asked.length === 2))
    first.now['billing'] = one
    await nextTurn()
    await nextTurn()
    first.now['billing'] = 'wait'
    expect(directory.peek('billing'), 'it was in order').toBeUndefined()
  })

  it('a member that answers who waits is in order again', async () => {
    const first = member()
    const directory = firstOf(first, second())
    first.now = { billing: 'out' }
    expect((await directory.resolve('billing')).kid).toBe('two')
    first.now = { billing: 'wait' }
    expect(directory.peek('billing')?.kid).toBe('two')
    first.now = { billing: one }
    expect((await directory.resolve('billing')).kid).toBe('one')
    first.now = { billing: 'wait' }
    expect(directory.peek('billing')).toBeUndefined()
  })

  it('where all are out of order the error is the first one\'s; where one is to be waited for, it is waited for', async () => {
    const [first, last] = [member(), member()]
    const directory = firstOf(first, last)
    first.now = last.now = { billing: 'out' }
    const [a, b] = [new SealbusError(UNAVAILABLE, 'first'), new SealbusError(UNAVAILABLE, 'last')]
    for (const [each, error] of [[first, a], [last, b]] as const) Object.assign(each, { peek: () => { throw error }, resolve: () => Promise.reject(error) })
    expect(thrownBy(() => directory.peek('billing'))).toBe(a)
    expect(await rejectedBy(directory.resolve('billing'))).toBe(a)
    const alone = member()
    const only = firstOf(alone)
    alone.now = { billing: 'out' }
    expect(codeOf(() => only.peek('billing'))).toBe(UNAVAILABLE)
    alone.now = { billing: 'wait' }
    expect(only.peek('billing')).toBeUndefined()
  })

  it('who leaves waiting is not sent to the next', async () => {
    const endpoint = await startEndpoint(() => {})
    const { directory: first } = observe({ recipients: { billing: endpoint.url } })
    const controller = new AbortController()
    const second = refusing('ERR_SEALBUS_NO_USABLE_KEY')
    const waiting = firstOf(first, second).resolve('billing', { signal: controller.signal })
    controller.abort()
    expect(await rejectionOf(waiting)).toBe(UNAVAILABLE)
    expect(second.asked).toBe(0)
  })

  it('keeps all warm, and its revocation time is the longest, or none that is known', () => {
    const warm: string[][] = []
    const jwks: RecipientDirectory = { ...refusing(UNAVAILABLE), keepWarm: (names) => void warm.push([...names]), revocationMs: () => 5 }
    const directory = firstOf(jwks, { ...jwks, revocationMs: () => 7 })
    expect(() => firstOf(createStaticDirectory({})).keepWarm?.(['billing']), 'that has nothing to keep warm').not.toThrow()
    directory.keepWarm?.(['billing'])
    expect(warm).toEqual([['billing'], ['billing']])
    expect(directory.revocationMs?.()).toBe(7)
    expect(firstOf(jwks, createStaticDirectory({})).revocationMs?.()).toBe(Infinity)
    expect(codeOf(() => firstOf())).toBe('ERR_SEALBUS_INVALID_OPTION')
  })
})
