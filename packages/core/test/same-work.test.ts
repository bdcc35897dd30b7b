import type * as Crypto from 'node:crypto'
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import type { Identity } from '../src/identity.ts'
import { createOpener, type Opener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import { forge, keyMembers, knownContentKey } from '../fuzz/forgery.ts'
import { testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { rejectedBy, thrownBy } from './support/thrown.ts'

/** Every private-key operation, MAC of a content and decryption, in order, with the cipher and the size of what is decrypted. */
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
    createHmac: ((...given: Parameters<typeof crypto.createHmac>) => {
      // The others are of key commitments.
      if (given[0] === 'sha512') work.push('sha512')
      return crypto.createHmac(...given)
    }) as typeof crypto.createHmac,
  }
})

interface Jwe {
  recipients: [{ encrypted_key: string }]
  ciphertext: string
  tag: string
}

/** Flips a bit of a base64url text's first character. */
const flipped = (text: string): string => `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`
const wrongKey = (jwe: Jwe): Jwe => ({ ...jwe, recipients: [{ encrypted_key: flipped(jwe.recipients[0].encrypted_key) }] })
const wrongTag = (jwe: Jwe): Jwe => ({ ...jwe, tag: flipped(jwe.tag) })

const channels = defineChannels({ orders: { to: ['billing'], foreign: true } })

interface Outcome {
  readonly work: readonly string[]
  readonly error: unknown
}

/** The error's text is compared, too: nothing else may tell one cause from another. */
function expectSame(one: Outcome, other: Outcome): void {
  expect(one.work).toEqual(other.work)
  expect(one.error).toMatchObject({ code: 'ERR_SEALBUS_DECRYPT_FAILED' })
  expect(String(one.error)).toBe(String(other.error))
  expect((one.error as Error).cause).toBeUndefined()
}

function openerOf(key: TestKey): Opener {
  const unwrap: Identity['unwrap'] = (request) => {
    work.push('unwrap')
    return key.identity.unwrap(request)
  }
  return createOpener({ name: 'billing', identities: testIdentities({ ...key.identity, unwrap }), channels })
}

const bytesOf = (jwe: object): Buffer => Buffer.from(JSON.stringify(jwe))

function opening(opener: Opener, bytes: Buffer): Outcome {
  work.length = 0
  const error = thrownBy(() => opener.openSync(bytes, { channel: 'orders' }))
  return { work: [...work], error }
}

async function openingLater(opener: Opener, bytes: Buffer): Promise<Outcome> {
  work.length = 0
  const error = await rejectedBy(opener.open(bytes, { channel: 'orders' }))
  return { work: [...work], error }
}

describe.each(['P-256', 'X25519', 'RSA'] as const)('a wrong key and a wrong tag cost the same work and say the same: %s', (kind) => {
  let key: TestKey
  let opener: Opener
  let seal: () => Jwe
  beforeAll(async () => {
    key = await testKey(kind, 'billing-1')
  })
  beforeEach(() => {
    opener = openerOf(key)
    const sealer = createSealer({ directory: testDirectory({ billing: key.recipientKey }), channels })
    seal = () => JSON.parse(sealer.sealSync('sixteen bytes...', { channel: 'orders' }).bytes.toString()) as Jwe
  })

  it('the first time', () => {
    const jwe = seal()
    const [byKey, byTag] = [opening(opener, bytesOf(wrongKey(jwe))), opening(opener, bytesOf(wrongTag(jwe)))]
    expect(byKey.work.at(0)).toBe('unwrap')
    expect(byKey.work.at(-1)).toBe('aes-256-gcm 16')
    expectSame(byKey, byTag)
  })

  it('again, when both outcomes are remembered', () => {
    const jwe = seal()
    opener.openSync(bytesOf(jwe), { channel: 'orders' })
    opening(opener, bytesOf(wrongKey(jwe)))
    const [byKey, byTag] = [opening(opener, bytesOf(wrongKey(jwe))), opening(opener, bytesOf(wrongTag(jwe)))]
    expect(byKey.work).toEqual(['aes-256-gcm 16'])
    expectSame(byKey, byTag)
  })

  it('where it is waited for, the first time and again', async () => {
    const jwe = seal()
    const [byKey, byTag] = [await openingLater(opener, bytesOf(wrongKey(jwe))), await openingLater(opener, bytesOf(wrongTag(jwe)))]
    expect(byKey.work.at(0)).toBe('unwrap')
    expectSame(byKey, byTag)
    await opener.open(bytesOf(jwe), { channel: 'orders' })
    const [again, tagAgain] = [await openingLater(opener, bytesOf(wrongKey(jwe))), await openingLater(opener, bytesOf(wrongTag(jwe)))]
    expect(again.work).toEqual(['aes-256-gcm 16'])
    expectSame(again, tagAgain)
  })
})

describe('a wrong commitment costs the work of a wrong tag and says the same', () => {
  it.each(['sync', 'later'])('%s', async (how) => {
    const key = await testKey('P-256', 'billing-1')
    const content = knownContentKey('A256GCM', [key])
    const msg = { v: 1, id: 'm-1', iat: 1, ch: 'orders', to: ['billing'] }
    const good = forge(content, JSON.stringify({ ...keyMembers(content), msg }), Buffer.from('sixteen bytes...'))
    // Its tag is right: whoever holds the content key can write any header.
    const uncommitted = forge(content, JSON.stringify({ ...keyMembers({ ...content, kc: flipped(content.kc) }), msg }), Buffer.from('sixteen bytes...'))
    const tagged = bytesOf(wrongTag(JSON.parse(good.toString()) as Jwe))
    const outcome = how === 'sync' ? opening : openingLater
    expectSame(await outcome(openerOf(key), uncommitted), await outcome(openerOf(key), tagged))
    const opener = openerOf(key)
    opener.openSync(good, { channel: 'orders' })
    const again = await outcome(opener, uncommitted)
    expect(again.work).toEqual(['aes-256-gcm 16'])
    expectSame(again, await outcome(opener, tagged))
  })
})

describe('A256CBC-HS512', () => {
  let key: TestKey
  let jwe: Jwe
  beforeAll(async () => {
    key = await testKey('P-256', 'billing-1')
    const content = knownContentKey('A256CBC-HS512', [key])
    const { kc: _kc, typ: _typ, ...members } = keyMembers(content)
    jwe = JSON.parse(forge(content, JSON.stringify(members), Buffer.from('sixteen bytes...')).toString()) as Jwe
  })

  it('compares the MAC first: nothing is decrypted where it is wrong, so that no padding is told from another', () => {
    const opener = openerOf(key)
    work.length = 0
    expect(opener.openSync(bytesOf(jwe), { channel: 'orders' }).plaintext.toString()).toBe('sixteen bytes...')
    expect(work.slice(-2)).toEqual(['sha512', 'aes-256-cbc 32'])
    for (const wrong of [wrongTag(jwe), { ...jwe, ciphertext: flipped(jwe.ciphertext) }]) expect(opening(opener, bytesOf(wrong)).work).toEqual(['sha512'])
  })

  it.each(['sync', 'later'])('a wrong key and a wrong tag cost the same work and say the same, the first time and again: %s', async (how) => {
    const outcome = how === 'sync' ? opening : openingLater
    const opener = openerOf(key)
    const [byKey, byTag] = [await outcome(opener, bytesOf(wrongKey(jwe))), await outcome(opener, bytesOf(wrongTag(jwe)))]
    expect(byKey.work.at(0)).toBe('unwrap')
    expect(byKey.work.at(-1)).toBe('sha512')
    expectSame(byKey, byTag)
    opener.openSync(bytesOf(jwe), { channel: 'orders' })
    const [again, tagAgain] = [await outcome(opener, bytesOf(wrongKey(jwe))), await outcome(opener, bytesOf(wrongTag(jwe)))]
    expect(again.work).toEqual(['sha512'])
    expectSame(again, tagAgain)
  })
})
