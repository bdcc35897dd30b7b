import { beforeAll, describe, expect, it } from 'vitest'
import { SealbusError, type SealbusErrorCode } from '../src/errors.ts'
import { firstOf } from '../src/first-of.ts'
import type { RecipientDirectory } from '../src/recipient.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { MINUTE, observe, set, UNAVAILABLE, until } from './support/directories.ts'
import { json, startEndpoint, status } from './support/endpoint.ts'
import { testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectedBy, rejectionOf } from './support/thrown.ts'

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
    directory.keepWarm?.(['billing'])
    expect(warm).toEqual([['billing'], ['billing']])
    expect(directory.revocationMs?.()).toBe(7)
    expect(firstOf(jwks, createStaticDirectory({})).revocationMs?.()).toBe(Infinity)
    expect(codeOf(() => firstOf())).toBe('ERR_SEALBUS_INVALID_OPTION')
  })
})
