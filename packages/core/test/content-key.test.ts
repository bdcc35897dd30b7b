import { beforeAll, describe, expect, it } from 'vitest'
import { contentEncryption } from '../src/algorithms.ts'
import { createContentKeys, type ContentKeySessions, type SessionBounds } from '../src/content-key.ts'
import type { RecipientKey } from '../src/recipient.ts'
import { testKey, type TestKey } from './support/keys.ts'

type Mutable<Value> = { -readonly [Member in keyof Value]: Value[Member] }

let billing: TestKey
let shipping: TestKey
beforeAll(async () => {
  billing = await testKey('P-256', 'billing-1')
  shipping = await testKey('X25519', 'shipping-1')
})

const setup = (bounds: Partial<SessionBounds> = {}): { sessions: ContentKeySessions; clock: { at: number; wallAt: number } } => {
  const clock = { at: 0, wallAt: 0 }
  const row = contentEncryption('A256GCM') ?? expect.fail()
  return {
    clock,
    sessions: createContentKeys({ row, bounds: { messages: 100, ageMs: 1_000, bytes: 100, live: 10, ...bounds }, perMessage: false, serialization: 'general', clock: { monotonic: () => clock.at, wall: () => clock.wallAt } }),
  }
}

describe('a content-key session', () => {
  it.each(['at', 'wallAt'] as const)('[7.22] ends at its age, by either clock (%s)', (clockName) => {
    const { sessions, clock } = setup()
    const keys = [billing.recipientKey]
    const first = sessions.claim('c', keys, 1)
    clock[clockName] = 999
    expect(sessions.claim('c', keys, 1)).toBe(first)
    clock[clockName] = 1_000
    expect(sessions.claim('c', keys, 1)).not.toBe(first)
  })

  it('[7.22] ends with its last message, and the next one has a new key', () => {
    const { sessions } = setup({ messages: 3, bytes: 1_000 })
    const keys = [billing.recipientKey]
    const claimed = Array.from({ length: 7 }, () => sessions.claim('c', keys, 1))
    expect(claimed.map((session) => claimed.indexOf(session))).toEqual([0, 0, 0, 3, 3, 3, 6])
    expect(new Set(claimed.map(({ key }) => key.export().toString('hex'))).size).toBe(3)
  })

  it('[7.22] ends when the next message would pass the bytes, and not at the bound itself', () => {
    const { sessions } = setup()
    const keys = [billing.recipientKey]
    const first = sessions.claim('c', keys, 60)
    expect(sessions.claim('c', keys, 40)).toBe(first)
    expect(sessions.claim('c', keys, 1)).not.toBe(first)
  })

  it('takes one message over its bytes, drawn once, and nothing after it', () => {
    const { sessions } = setup()
    const keys = [billing.recipientKey]
    const large = sessions.claim('c', keys, 1_000)
    expect(sessions.claim('c', keys, 0)).not.toBe(large)
  })

  it('is the same for the same keys in any order, and whatever list holds them', () => {
    const { sessions } = setup()
    const session = sessions.claim('c', [billing.recipientKey, shipping.recipientKey], 1)
    expect(sessions.claim('c', [shipping.recipientKey, billing.recipientKey], 1)).toBe(session)
    expect(sessions.claim('c', [billing.recipientKey], 1)).not.toBe(session)
  })

  it('is another for a key that came back under another kid, which is on the wire', () => {
    const { sessions } = setup()
    const session = sessions.claim('c', [billing.recipientKey], 1)
    expect(sessions.claim('c', [{ ...billing.recipientKey, kid: 'billing-2' }], 1)).not.toBe(session)
  })

  it('is not begun by a wrapping that failed: the last one stays, and its bounds with it', () => {
    const { sessions } = setup()
    const broken = { ...shipping.recipientKey, publicKey: billing.recipientKey.publicKey, alg: 'RSA-OAEP-256' as const }
    const session = sessions.claim('c', [billing.recipientKey], 60)
    expect(() => sessions.claim('c', [billing.recipientKey, broken], 1)).toThrow(/no content key can be wrapped/)
    expect(sessions.claim('c', [billing.recipientKey], 40)).toBe(session)
    expect(sessions.claim('c', [billing.recipientKey], 1)).not.toBe(session)
  })

  it('whose bound is reached is not used again, though the next one cannot be wrapped', () => {
    const { sessions } = setup({ messages: 1 })
    const changing: Mutable<RecipientKey> = { ...billing.recipientKey }
    const session = sessions.claim('c', [changing], 1)
    changing.publicKey = shipping.recipientKey.publicKey
    changing.alg = 'RSA-OAEP-256'
    expect(() => sessions.claim('c', [changing], 1)).toThrow(/no content key can be wrapped/)
    Object.assign(changing, billing.recipientKey)
    expect(sessions.claim('c', [changing], 1)).not.toBe(session)
  })
})
