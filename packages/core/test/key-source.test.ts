import { beforeAll, describe, expect, it, vi } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { SealbusError } from '../src/errors.ts'
import type { Identity } from '../src/identity.ts'
import { createOpener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import { testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { rejectedBy } from './support/thrown.ts'

const channels = defineChannels({ orders: { to: ['billing'] } })
let billing: TestKey
let message: Buffer
beforeAll(async () => {
  billing = await testKey('P-256', 'billing-1')
  message = createSealer({ directory: testDirectory({ billing: billing.recipientKey }), channels }).sealSync('paid', { channel: 'orders' }).bytes
})

/** What comes of opening, where the private half is behind this. */
async function outcome(unwrap: Identity['unwrap'], bytes: Buffer = message): Promise<{ code: unknown; transient: unknown; shown: string }> {
  const opener = createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels, unwrap: { timeoutMs: 100 } })
  const error = (await rejectedBy(opener.open(bytes, { channel: 'orders' }))) as SealbusError
  return { code: error.code, transient: error.transient, shown: `${error.message} ${String(error.cause)}` }
}

describe('§7.26 a source of keys', () => {
  it.each<[string, string, boolean, Identity['unwrap']]>([
    ['throttles', 'ERR_SEALBUS_KEY_UNAVAILABLE', true, async () => Promise.reject(Object.assign(new Error('rate token-123'), { status: 429 }))],
    ['fails within', 'ERR_SEALBUS_KEY_UNAVAILABLE', true, () => { throw new TypeError('token-123') }],
    ['forbids', 'ERR_SEALBUS_KEY_FORBIDDEN', false, async () => Promise.reject(new SealbusError('ERR_SEALBUS_KEY_FORBIDDEN', 'token-123'))],
    ['does not answer', 'ERR_SEALBUS_KEY_UNAVAILABLE', true, async () => new Promise(() => {})],
    ['answers what is no key', 'ERR_SEALBUS_KEY_UNAVAILABLE', true, async () => 'token-123' as never],
    ['says that it is not for this key', 'ERR_SEALBUS_DECRYPT_FAILED', false, async () => null],
    ['answers with too short a key', 'ERR_SEALBUS_DECRYPT_FAILED', false, async () => Buffer.alloc(31)],
    ['answers with too long a key', 'ERR_SEALBUS_DECRYPT_FAILED', false, async () => Buffer.alloc(33)],
    ['answers with another key', 'ERR_SEALBUS_DECRYPT_FAILED', false, async () => Buffer.alloc(32)],
  ])('that %s: %s', async (_title, code, transient, unwrap) => {
    const { shown, ...facts } = await outcome(unwrap)
    expect(facts).toEqual({ code, transient })
    expect(shown).not.toContain('token-123')
  })

  /** The same message, with this ephemeral key. */
  const withEphemeral = (epk: object): Buffer => {
    const { protected: header, ...rest } = JSON.parse(message.toString()) as { protected: string }
    const members = JSON.parse(Buffer.from(header, 'base64url').toString()) as object
    return Buffer.from(JSON.stringify({ protected: Buffer.from(JSON.stringify({ ...members, epk })).toString('base64url'), ...rest }))
  }

  it('is not asked for an ephemeral key on another curve', async () => {
    const { publicJwk: { x, y } } = await testKey('P-384', 'other')
    const unwrap = vi.fn<Identity['unwrap']>((request) => billing.identity.unwrap(request))
    for (const crv of ['P-384', 'P-256']) expect(await outcome(unwrap, withEphemeral({ kty: 'EC', crv, x, y }))).toMatchObject({ code: 'ERR_SEALBUS_MALFORMED' })
    expect(unwrap).not.toHaveBeenCalled()
  })

  it('in this process is told nothing by an ephemeral key off its curve: the failure is the generic one', async () => {
    const { x } = billing.publicJwk
    expect(await outcome((request) => billing.identity.unwrap(request), withEphemeral({ kty: 'EC', crv: 'P-256', x, y: x }))).toMatchObject({ code: 'ERR_SEALBUS_DECRYPT_FAILED' })
  })

  it('may hold two of the keys that a message was sealed for', async () => {
    const audit = await testKey('X25519', 'audit-1')
    const both = defineChannels({ orders: { to: ['billing', 'audit'] } })
    const { bytes } = createSealer({ directory: testDirectory({ billing: billing.recipientKey, audit: audit.recipientKey }), channels: both }).sealSync('paid', { channel: 'orders' })
    const remote = ({ identity }: TestKey): Identity => ({ ...identity, unwrap: async (request) => identity.unwrap(request) })
    const opener = createOpener({ name: 'billing', identities: testIdentities(remote(billing), remote(audit)), channels: both })
    expect((await opener.open(bytes, { channel: 'orders' })).plaintext.toString()).toBe('paid')
  })

  it('is told nothing by our own public key as the ephemeral one: the failure is the generic one', async () => {
    const { kty, crv, x, y } = billing.publicJwk
    expect(await outcome((request) => billing.identity.unwrap(request), withEphemeral({ kty, crv, x, y }))).toMatchObject({ code: 'ERR_SEALBUS_DECRYPT_FAILED' })
  })
})
