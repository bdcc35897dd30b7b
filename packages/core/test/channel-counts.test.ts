import { beforeAll, describe, expect, it, vi } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { createOpener } from '../src/open.ts'
import { createSealer, type Sealer } from '../src/seal.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { loadIdentities } from '../src/identities.ts'
import type { IdentityStore } from '../src/identity.ts'
import { generateKeyPairSync } from 'node:crypto'

describe('counts of a migration', () => {
  const channels = defineChannels({ orders: { to: ['billing'], accept: 'sealed-or-plain' }, invoices: { to: ['billing'] }, metrics: 'plaintext' })
  const where = { channel: 'orders' }
  let identities: IdentityStore
  let sealer: Sealer

  beforeAll(async () => {
    identities = await loadIdentities({ keys: [{ ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid: 'k' }] as never })
    const [identity] = identities.list()
    if (!identity) return expect.fail('no identity')
    sealer = createSealer({ directory: createStaticDirectory({ billing: identity.publicJwk }), channels })
  })

  it('an opener counts plain and sealed by channel, what of the sealed opened, and when the last plain one came', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 5_000 })
    try {
      const opener = createOpener({ name: 'billing', identities, channels })
      expect(opener.counts()).toEqual({})
      const { bytes } = sealer.sealSync('x', where)
      const broken = Buffer.from(bytes.toString().replace(/"tag":"../, '"tag":"AA'))
      opener.isPlain(Buffer.from('plain'), where)
      vi.setSystemTime(9_000)
      for (const each of [bytes, bytes, broken]) {
        expect(opener.isPlain(each, where)).toBe(false)
        await opener.open(each, where).catch(() => {})
      }
      opener.isPlain(Buffer.from('1'), { channel: 'metrics' })
      expect(opener.counts()).toEqual({
        orders: { sealed: 3, opened: 2, plain: 1, lastPlain: new Date(5_000) },
        metrics: { sealed: 0, opened: 0, plain: 1, lastPlain: new Date(9_000) },
      })
      opener.close()
    } finally {
      vi.useRealTimers()
    }
  })

  it('a plain message that an enforced channel refuses is none that was delivered plain', async () => {
    const opener = createOpener({ name: 'billing', identities, channels })
    expect(opener.isPlain(Buffer.from('plain'), { channel: 'invoices' })).toBe(false)
    await expect(opener.open(Buffer.from('plain'), { channel: 'invoices' })).rejects.toMatchObject({ code: 'ERR_SEALBUS_NOT_SEALED' })
    expect(opener.counts()).toEqual({ invoices: { sealed: 1, opened: 0, plain: 0, lastPlain: undefined } })
  })

  it('a sealer counts what it sealed, and what went out plain as declared; not what failed', async () => {
    const own = createSealer({ directory: { peek: () => undefined, resolve: () => Promise.reject(new Error('none')) }, channels })
    expect(() => own.sealSync('x', where)).toThrow()
    expect(own.counts()).toEqual({})
    const [identity] = identities.list()
    if (!identity) return expect.fail('no identity')
    const counting = createSealer({ directory: createStaticDirectory({ billing: identity.publicJwk }), channels })
    counting.sealSync('x', where)
    await counting.seal('y', where)
    counting.countPlain('metrics', 3)
    counting.countPlain('metrics')
    const counts = counting.counts()
    expect(counts).toEqual({ orders: { sealed: 2, plain: 0, lastPlain: undefined }, metrics: { sealed: 0, plain: 4, lastPlain: expect.any(Date) } })
    expect(counting.counts(), 'what was read is a copy').not.toBe(counts)
  })
})
