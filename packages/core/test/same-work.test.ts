import type * as Crypto from 'node:crypto'
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import type { Identity } from '../src/identity.ts'
import { createOpener, type Opener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import { testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { thrownBy } from './support/thrown.ts'

/** Every private-key operation and every decryption, in order, with the cipher and the size of what is decrypted. */
const work: string[] = []

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof Crypto>()
  return {
    ...crypto,
    createDecipheriv: ((...given: Parameters<typeof crypto.createDecipheriv>) => {
      const decipher = crypto.createDecipheriv(...given)
      const update = decipher.update.bind(decipher)
      Reflect.set(decipher, 'update', (bytes: Buffer) => {
        work.push(`${given[0]} ${bytes.length}`)
        return update(bytes)
      })
      return decipher
    }) as typeof crypto.createDecipheriv,
  }
})

interface Jwe {
  recipients: [{ encrypted_key: string }]
  tag: string
}

/** Flips a bit of a base64url text's first character. */
const flipped = (text: string): string => `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`
const wrongKey = (jwe: Jwe): Jwe => ({ ...jwe, recipients: [{ encrypted_key: flipped(jwe.recipients[0].encrypted_key) }] })
const wrongTag = (jwe: Jwe): Jwe => ({ ...jwe, tag: flipped(jwe.tag) })

describe.each(['P-256', 'X25519', 'RSA'] as const)('a wrong key and a wrong tag cost the same work and say the same: %s', (kind) => {
  let key: TestKey
  let opener: Opener
  let seal: () => Jwe
  beforeAll(async () => {
    key = await testKey(kind, 'billing-1')
  })
  beforeEach(() => {
    const channels = defineChannels({ orders: { to: ['billing'] } })
    const unwrap: Identity['unwrap'] = (request) => {
      work.push('unwrap')
      return key.identity.unwrap(request)
    }
    opener = createOpener({ name: 'billing', identities: testIdentities({ ...key.identity, unwrap }), channels })
    const sealer = createSealer({ directory: testDirectory({ billing: key.recipientKey }), channels })
    seal = () => JSON.parse(sealer.sealSync('sixteen bytes...', { channel: 'orders' }).bytes.toString()) as Jwe
  })

  const opening = (jwe: Jwe): { work: readonly string[]; error: unknown } => {
    work.length = 0
    const error = thrownBy(() => opener.openSync(Buffer.from(JSON.stringify(jwe)), { channel: 'orders' }))
    return { work: [...work], error }
  }

  it('the first time', () => {
    const jwe = seal()
    const [key1, tag1] = [opening(wrongKey(jwe)), opening(wrongTag(jwe))]
    expect(key1.work.at(0)).toBe('unwrap')
    expect(key1.work.at(-1)).toBe('aes-256-gcm 16')
    expect(key1.work).toEqual(tag1.work)
    expect(key1.error).toMatchObject({ code: 'ERR_SEALBUS_DECRYPT_FAILED' })
    expect(String(key1.error)).toBe(String(tag1.error))
    expect((key1.error as Error).cause).toBeUndefined()
  })

  it('again, when both outcomes are remembered', () => {
    const jwe = seal()
    opener.openSync(Buffer.from(JSON.stringify(jwe)), { channel: 'orders' })
    opening(wrongKey(jwe))
    const [key2, tag2] = [opening(wrongKey(jwe)), opening(wrongTag(jwe))]
    expect(key2.work).toEqual(['aes-256-gcm 16'])
    expect(tag2.work).toEqual(key2.work)
    expect(String(key2.error)).toBe(String(tag2.error))
  })
})
