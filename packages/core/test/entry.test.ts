import { beforeAll, describe, expect, it, vi } from 'vitest'
import { contentEncryption, KEY_MANAGEMENT_ALGORITHMS } from '../src/algorithms.ts'
import { createEntryFinder, type EntryFinder } from '../src/entry.ts'
import type { Entry, Envelope } from '../src/envelope.ts'
import type { Identity, IdentityStore, Tombstone } from '../src/identity.ts'
import { wrapKey } from '../src/wrap.ts'
import { testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectionOf } from './support/thrown.ts'

let billing: TestKey
let shipping: TestKey
beforeAll(async () => {
  billing = await testKey('P-256', 'billing-1')
  shipping = await testKey('X25519', 'shipping-1')
})

const entryFor = ({ recipientKey }: TestKey, kid: string | undefined): Entry => {
  const { alg, epk, encryptedKey } = wrapKey(recipientKey, Buffer.alloc(32, 1))
  return { kid, shared: { alg, ...(epk && { epk }) }, own: undefined, encryptedKey }
}

const envelopeOf = (entries: readonly Entry[], to: readonly string[] = ['billing']): Envelope => ({
  enc: contentEncryption('A256GCM') ?? expect.fail(),
  aad: Buffer.alloc(0),
  cty: undefined,
  native: { context: { id: 'x', iat: 1, channel: 'orders', to }, commitment: Buffer.alloc(32) },
  entries,
  iv: Buffer.alloc(12),
  ciphertext: Buffer.alloc(0),
  tag: Buffer.alloc(16),
})

/** A store whose keys a test can change, with a clock that it can turn. */
function setup(...known: (Identity | Tombstone)[]): { finder: EntryFinder; known: (Identity | Tombstone)[]; store: IdentityStore & { refresh: ReturnType<typeof vi.fn<() => Promise<void>>> }; clock: { at: number } } {
  const clock = { at: 0 }
  const store = {
    find: (kid: string) => known.find((each) => each.kid === kid),
    list: () => known.filter((each) => 'unwrap' in each),
    refresh: vi.fn<() => Promise<void>>(async () => {}),
  }
  const finder = createEntryFinder('billing', store, new Set(KEY_MANAGEMENT_ALGORITHMS), { monotonic: () => clock.at, wall: () => 0 })
  return { finder, known, store, clock }
}

describe('entries that come again', () => {
  it('give the very same candidates', () => {
    const { finder } = setup(billing.identity)
    const entries = [entryFor(billing, 'billing-1'), entryFor(shipping, 'shipping-1')]
    const candidates = finder.find(envelopeOf(entries))
    expect(candidates).toHaveLength(1)
    expect(finder.find(envelopeOf(entries))).toBe(candidates)
  })

  it('are looked at again when another identity answers, of ours or of a kid that was unknown', () => {
    const { finder, known } = setup(billing.identity)
    const entries = [entryFor(billing, 'billing-1'), entryFor(shipping, 'shipping-1')]
    finder.find(envelopeOf(entries))
    known.push(shipping.identity)
    expect(finder.find(envelopeOf(entries)).map(({ identity }) => identity)).toEqual([billing.identity, shipping.identity])
    const changed = { ...billing.identity }
    known[0] = changed
    expect(finder.find(envelopeOf(entries))[0]?.identity).toBe(changed)
    known[0] = { kid: 'billing-1', destroyed: { at: new Date(0) } }
    expect(finder.find(envelopeOf(entries)).map(({ identity }) => identity)).toEqual([shipping.identity])
  })

  it('are refused at once when one of ours is revoked, also by a store that changes its object in place', () => {
    const mutable = { ...billing.identity, state: 'active' as Identity['state'] }
    const { finder } = setup(mutable, shipping.identity)
    const entries = [entryFor(billing, 'billing-1'), entryFor(shipping, 'shipping-1')]
    expect(finder.find(envelopeOf(entries))).toHaveLength(2)
    mutable.state = 'revoked'
    expect(finder.find(envelopeOf(entries)).map(({ identity }) => identity)).toEqual([shipping.identity])
    const alone = [entryFor(billing, 'billing-1')]
    mutable.state = 'active'
    finder.find(envelopeOf(alone))
    mutable.state = 'revoked'
    expect(codeOf(() => finder.find(envelopeOf(alone)))).toBe('ERR_SEALBUS_KEY_REVOKED')
  })

  it('without a kid are looked for each time: a second key that fits makes them nobody\'s', async () => {
    const twin = await testKey('P-256', 'billing-2')
    const { finder, known } = setup(billing.identity)
    const entries = [entryFor(billing, undefined)]
    expect(finder.find(envelopeOf(entries))).toHaveLength(1)
    known.push(twin.identity)
    expect(codeOf(() => finder.find(envelopeOf(entries)))).toBe('ERR_SEALBUS_KEY_MISSING')
  })

  it('without a kid are not for a revoked key', async () => {
    const revoked = await testKey('P-256', 'old', 'revoked')
    expect(setup(revoked.identity, billing.identity).finder.find(envelopeOf([entryFor(billing, undefined)]))[0]?.identity).toBe(billing.identity)
    expect(codeOf(() => setup(revoked.identity).finder.find(envelopeOf([entryFor(revoked, undefined)])))).toBe('ERR_SEALBUS_KEY_MISSING')
  })
})

describe('reading the identities again', () => {
  const unknown = (): Envelope => envelopeOf([entryFor(billing, 'billing-9')])

  it('is for unknown keys only, and not for what is refused', async () => {
    const { finder, store } = setup({ ...billing.identity, state: 'revoked' })
    await rejectionOf(finder.findAfterRefresh(envelopeOf([entryFor(billing, 'billing-1')])))
    expect(store.refresh).not.toHaveBeenCalled()
    expect(await rejectionOf(finder.findAfterRefresh(unknown()))).toBe('ERR_SEALBUS_KEY_MISSING')
    expect(store.refresh).toHaveBeenCalledTimes(1)
  })

  it('is done for a message that does not name us too: we may be known by another name', async () => {
    const { finder, known, store } = setup()
    store.refresh.mockImplementation(async () => void known.push(billing.identity))
    expect(await finder.findAfterRefresh(envelopeOf([entryFor(billing, 'billing-1')], ['accounts']))).toHaveLength(1)
  })

  it('happens once for all who wait, and then not for 30 s', async () => {
    const { finder, store, clock } = setup()
    await Promise.all([1, 2, 3].map(() => rejectionOf(finder.findAfterRefresh(unknown()))))
    clock.at = 29_999
    await rejectionOf(finder.findAfterRefresh(unknown()))
    expect(store.refresh).toHaveBeenCalledTimes(1)
    clock.at = 30_000
    await rejectionOf(finder.findAfterRefresh(unknown()))
    expect(store.refresh).toHaveBeenCalledTimes(2)
  })

  it('happens once for all openers over one store, who also share its outcome', async () => {
    const { store, finder, clock } = setup()
    store.refresh.mockRejectedValueOnce(new Error('down'))
    const others = [1, 2].map(() => createEntryFinder('billing', store, new Set(KEY_MANAGEMENT_ALGORITHMS), { monotonic: () => clock.at, wall: () => 0 }))
    for (const each of [finder, ...others]) expect(await rejectionOf(each.findAfterRefresh(unknown()))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(store.refresh).toHaveBeenCalledTimes(1)
    clock.at = 30_000
    for (const each of others) expect(await rejectionOf(each.findAfterRefresh(unknown()))).toBe('ERR_SEALBUS_KEY_MISSING')
    expect(store.refresh).toHaveBeenCalledTimes(2)
  })

  it('is an outage for as long as it fails, and a missing key once it succeeds', async () => {
    const { finder, store, clock } = setup()
    store.refresh.mockRejectedValueOnce(new Error('down'))
    expect(await rejectionOf(finder.findAfterRefresh(unknown()))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(await rejectionOf(finder.findAfterRefresh(unknown()))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(await rejectionOf(finder.findAfterRefresh(envelopeOf([entryFor(billing, 'billing-9')], ['accounts'])))).toBe('ERR_SEALBUS_NOT_A_RECIPIENT')
    clock.at = 30_000
    expect(await rejectionOf(finder.findAfterRefresh(unknown()))).toBe('ERR_SEALBUS_KEY_MISSING')
  })

  it('quotes 80 characters of a name, and no more', () => {
    const long = 'k'.repeat(200)
    const { finder } = setup({ kid: long, destroyed: { at: new Date(0) } })
    expect(() => finder.find(envelopeOf([entryFor(billing, long)]))).toThrow(new RegExp(`"k{80}" that this message was sealed for was destroyed at 1970-01-01T00:00:00.000Z`))
  })
})
