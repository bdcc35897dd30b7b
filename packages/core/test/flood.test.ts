import { expect, it } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import type { Identity } from '../src/identity.ts'
import { createOpener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import { testDirectory, testKey } from './support/keys.ts'
import { rejectionOf } from './support/thrown.ts'

it('§7.24 100,000 unknown kids through three openers: no private key is used, their source is read again once, and known keys go on', async () => {
  const { identity, recipientKey } = await testKey('X25519', 'known')
  let [unwraps, reads] = [0, 0]
  const counted: Identity = { ...identity, unwrap: (request) => (unwraps++, identity.unwrap(request)) }
  const store = { find: (kid: string) => (kid === 'known' ? counted : undefined), list: () => [counted], refresh: async () => void reads++ }
  const channels = defineChannels({ orders: { to: ['billing'] } })
  const openers = [1, 2, 3].map(() => createOpener({ name: 'billing', identities: store, channels }))
  const message = createSealer({ directory: testDirectory({ billing: recipientKey }), channels }).sealSync('paid', { channel: 'orders' }).bytes
  const where = { channel: 'orders' }

  const { protected: header, ...rest } = JSON.parse(message.toString()) as { protected: string }
  const [before = '', after = ''] = Buffer.from(header, 'base64url').toString().split('"known"')
  const unknown = (kid: string): Buffer => Buffer.from(JSON.stringify({ protected: Buffer.from(`${before}"${kid}"${after}`).toString('base64url'), ...rest }))
  const codes = new Map<string, number>()
  const began = performance.now()
  for (let round = 0; round < 100; round++) {
    await Promise.all(Array.from({ length: 1_000 }, async (_, index) => {
      const code = await rejectionOf(openers[index % 3]?.open(unknown(`${round}-${index}`), where) ?? Promise.resolve())
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }))
    for (const opener of openers) expect(opener.openSync(message, where).plaintext.toString()).toBe('paid')
  }
  expect(Object.fromEntries(codes)).toEqual({ ERR_SEALBUS_KEY_MISSING: 100_000 })
  // One for each opener's known message, whose content key is cached then.
  expect(unwraps).toBe(3)
  expect(reads).toBeGreaterThan(0)
  expect(reads).toBeLessThanOrEqual(1 + Math.floor((performance.now() - began) / 30_000))
}, 180_000)
