import type { JWK } from 'jose'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { SealbusError } from '../src/errors.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectionOf } from './support/thrown.ts'

let key: TestKey
beforeAll(async () => {
  key = await testKey('P-256', 'one')
})

describe('static directory', () => {
  it('resolves one key or a set, always to the same object', async () => {
    const directory = createStaticDirectory({ billing: key.publicJwk, shipping: { keys: [key.publicJwk] } })
    expect(directory.peek('billing')).toMatchObject({ kid: 'one', thumbprint: key.identity.thumbprint })
    expect(await directory.resolve('billing')).toBe(directory.peek('billing'))
    expect(directory.peek('shipping')?.kid).toBe('one')
  })

  it('refuses unusable keys at construction, with the reason', () => {
    expect(() => createStaticDirectory({ billing: { ...key.publicJwk, use: 'sig' } })).toThrow('use is not enc')
    expect(codeOf(() => createStaticDirectory({ billing: { keys: [] } }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    expect(() => createStaticDirectory({ billing: { keys: [] } })).toThrow('recipient "billing" has no usable key: it has no keys')
    expect(() => createStaticDirectory({ billing: { keys: Array.from({ length: 101 }, () => key.publicJwk) } })).toThrow('it has 101 keys, more than 100')
  })

  it('an unknown name', async () => {
    const directory = createStaticDirectory({ billing: key.publicJwk })
    expect(() => directory.peek('toString')).toThrow('the directory has no recipient "toString"')
    expect(codeOf(() => directory.peek('toString'))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
    expect(await rejectionOf(directory.resolve('audit'))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
  })

  it('a key past its exp is not sealed for', () => {
    const directory = createStaticDirectory({ billing: { ...key.publicJwk, exp: 1 } as JWK })
    expect(codeOf(() => directory.peek('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    expect(() => directory.peek('billing')).toThrow('the key of recipient "billing" is expired, or not valid yet')
  })

  it('a key that is not valid yet is taken from its time on, and one that expires until then', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 })
    onTestFinished(() => void vi.useRealTimers())
    const directory = createStaticDirectory({ billing: { ...key.publicJwk, nbf: 2_000, exp: 3_000 } as JWK })
    const at = (ms: number): string | undefined => {
      vi.setSystemTime(ms)
      try {
        return directory.peek('billing')?.kid
      } catch (error) {
        return (error as SealbusError).code
      }
    }
    expect([at(1_999_999), at(2_000_000), at(2_999_999), at(3_000_000)]).toEqual(['ERR_SEALBUS_NO_USABLE_KEY', 'one', 'one', 'ERR_SEALBUS_NO_USABLE_KEY'])
  })

  it('of a set the bad keys are left out; one with only such is refused, and so is what is neither a key nor a set', () => {
    const bad = { ...key.publicJwk, kid: 'bad', use: 'sig' }
    const directory = createStaticDirectory({ billing: { keys: [bad, { ...key.publicJwk, use: 'enc' }] } })
    expect(directory.peek('billing')?.kid).toBe('one')
    expect(codeOf(() => createStaticDirectory({ billing: { keys: [bad, bad] } }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    expect(() => createStaticDirectory({ billing: { keys: [bad] } })).toThrow('recipient "billing" has no usable key: its use is not enc')
    expect(codeOf(() => createStaticDirectory({ billing: { keys: 'none' } as never }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })
})
