import { createPublicKey } from 'node:crypto'
import { FlattenedEncrypt } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { createOpener, type OpenerOptions } from '../src/open.ts'
import { createSealer, type SealerOptions, type SealOptions } from '../src/seal.ts'
import { testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { rejectedBy, thrownBy } from './support/thrown.ts'

/** What an error says to the person who reads it: which option, which name, which sizes, and the way out. */

let billing: TestKey
beforeAll(async () => {
  billing = await testKey('P-256', 'billing-1')
})

const channels = defineChannels({ orders: { to: ['billing'] }, other: { to: ['billing'] }, both: { to: ['billing', 'audit'] }, metrics: 'plaintext' })
const sealer = (options: Partial<SealerOptions> = {}) => createSealer({ directory: testDirectory({ billing: billing.recipientKey }), channels, ...options })
const opener = (options: Partial<OpenerOptions> = {}) => createOpener({ name: 'billing', identities: testIdentities(billing.identity), channels, ...options })
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : expect.fail('no error'))
const said = (call: () => unknown): string => messageOf(thrownBy(call))

describe('what a sealer says', () => {
  it.each<[Partial<SealerOptions>, string]>([
    [{ enc: 'A256CBC-HS512' as never }, "`enc` is 'A256GCM' or 'A128GCM'"],
    [{ enc: 'none' as never }, "`enc` is 'A256GCM' or 'A128GCM'"],
    [{ keyManagementAlgorithms: [] }, '`keyManagementAlgorithms` is a list of ECDH-ES+A256KW, RSA-OAEP-256'],
    [{ keyManagementAlgorithms: ['RSA-OAEP-256', 'dir' as never] }, '`keyManagementAlgorithms` is a list of ECDH-ES+A256KW, RSA-OAEP-256'],
    [{ contentKeys: 'never' as never }, "`contentKeys` is 'session' or 'per-message'"],
    [{ serialization: 'flattened' as never }, "`serialization` is 'general' or 'compact'"],
    [{ serialization: 'compact' }, 'compact serialization is for one recipient, and channel "both" may have more'],
    [{ realm: '' }, '`realm` is a text of 1 to 255 characters'],
    [{ session: { messages: 0 } }, '`session.messages` is an integer from 1 to 1048576'],
    [{ maxPayloadBytes: 0 }, '`maxPayloadBytes` is an integer from 1 to 16777216'],
    [{ realms: 'prod' } as never, 'a sealer has no "realms"'],
    [{ directory: undefined as never }, 'a sealer needs `directory`, which has peek() and resolve()'],
    [{ directory: { peek: () => undefined } as never }, 'a sealer needs `directory`, which has peek() and resolve()'],
    [{ channels: null as never }, 'a sealer needs `channels`, which has get()'],
    [{ channels: { orders: { to: ['billing'] } } as never, serialization: 'compact' }, 'a sealer needs `channels`, which has get()'],
    [{ session: { message: 1 } as never }, '`session` has no "message"'],
  ])('of options: %o', (options, words) => {
    expect(said(() => sealer(options))).toBe(words)
  })

  it.each<[SealOptions, string]>([
    [{ channel: 'metrics' }, 'channel "metrics" is declared as plaintext'],
    [{ channel: 'both' }, 'keys of channel "both" are not in memory yet: await sealer.ready() first'],
    [{ channel: 'orders', id: '' }, '`id` is a text of 1 to 128 characters'],
    [{ channel: 'orders', inReplyTo: '' }, '`inReplyTo` is a text of 1 to 128 characters'],
    [{ channel: 'orders', contentType: 7 as never }, '`contentType` is a text'],
    [{ channel: 'orders', contentType: 'application/jose' }, "this value is an envelope already: only an opened message's own `envelope` passes through"],
    [{ channel: 'orders', contentType: `text/${'x'.repeat(16_384)}` }, 'the protected header exceeds 16384 bytes: fewer or shorter ids, recipients or bound headers'],
  ])('of a message: %o', (options, words) => {
    const each = sealer({ directory: { ...testDirectory({}), peek: (name) => (name === 'billing' ? billing.recipientKey : undefined), resolve: async () => billing.recipientKey } })
    expect(said(() => each.sealSync('x', options))).toBe(words)
  })

  it('without any options', () => {
    expect(said(() => createSealer(undefined as never))).toBe('a sealer needs `directory`, which has peek() and resolve()')
    expect(said(() => createOpener(undefined as never))).toBe('an opener needs `identities`, which has find() and list()')
  })

  it('of sizes, algorithms, and channels that do not fit', () => {
    expect(said(() => sealer({ maxPayloadBytes: 3 }).sealSync('four', { channel: 'orders' }))).toBe('the payload has 4 bytes, more than 3')
    expect(said(() => sealer({ keyManagementAlgorithms: ['RSA-OAEP-256'] }).sealSync('x', { channel: 'orders' }))).toBe('the key of recipient "billing" is for ECDH-ES+A256KW, which this sealer does not permit')
    const { envelope } = opener().openSync(sealer().sealSync('x', { channel: 'orders' }).bytes, { channel: 'orders' })
    expect(said(() => sealer().sealSync(envelope, { channel: 'other' }))).toBe('an envelope of channel "orders" cannot open on "other": add the destination to the first one\'s `match`')
  })

  it('when it is closed', () => {
    const closed = sealer()
    closed.close()
    expect(said(() => closed.sealSync('x', { channel: 'orders' }))).toBe('the sealer is closed')
  })
})

describe('what an opener says', () => {
  it.each<[Partial<OpenerOptions>, string]>([
    [{ name: '' }, '`name` is this service as a recipient'],
    [{ name: 7 as never }, '`name` is this service as a recipient'],
    [{ keyManagementAlgorithms: [] }, '`keyManagementAlgorithms` is a list of ECDH-ES+A256KW, RSA-OAEP-256'],
    [{ keyManagementAlgorithms: ['RSA-OAEP-256', 'dir' as never] }, '`keyManagementAlgorithms` is a list of ECDH-ES+A256KW, RSA-OAEP-256'],
    [{ contentEncryptionAlgorithms: [] }, '`contentEncryptionAlgorithms` is a list of A256GCM, A128GCM, A256CBC-HS512'],
    [{ maxPayloadBytes: 0 }, '`maxPayloadBytes` is an integer from 1 to 16777216'],
    [{ realm: '' }, '`realm` is a text of 1 to 255 characters'],
    [{ contentKeyCache: { entries: 0 } }, '`contentKeyCache.entries` is an integer from 1 to 1000000'],
    [{ contentKeyCache: { ageMs: 600_001 } }, '`contentKeyCache.ageMs` is an integer from 1000 to 600000'],
    [{ unwrap: { timeoutMs: 1 } }, '`unwrap.timeoutMs` is an integer from 100 to 60000'],
    [{ realms: 'prod' } as never, 'an opener has no "realms"'],
    [{ identities: undefined as never }, 'an opener needs `identities`, which has find() and list()'],
    [{ identities: { find: () => undefined } as never }, 'an opener needs `identities`, which has find() and list()'],
    [{ channels: 'orders' as never }, 'an opener needs `channels`, which has get()'],
  ])('of options: %o', (options, words) => {
    expect(said(() => opener(options))).toBe(words)
  })

  it('of a message', async () => {
    const { bytes } = sealer().sealSync('four', { channel: 'orders' })
    const open = (options: Partial<OpenerOptions> = {}, given: Buffer = bytes): string => said(() => opener(options).openSync(given, { channel: 'orders' }))
    expect(open({}, Buffer.from('plain'))).toBe('a message on channel "orders" is not sealed')
    expect(open({ contentEncryptionAlgorithms: ['A128GCM'] })).toContain('its `enc` is not permitted here')
    expect(open({ maxPayloadBytes: 3 })).toBe('the payload has 4 bytes, more than 3')
    const changed = JSON.parse(bytes.toString()) as { tag: string }
    changed.tag = `${changed.tag.startsWith('A') ? 'B' : 'A'}${changed.tag.slice(1)}`
    expect(open({}, Buffer.from(JSON.stringify(changed)))).toBe('the message cannot be decrypted: it was changed, or not sealed for this key')
    const foreign = await new FlattenedEncrypt(Buffer.from('x')).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: 'billing-1' }).encrypt(createPublicKey(billing.privateKey))
    expect(open({}, Buffer.from(JSON.stringify(foreign)))).toContain('it is no Sealbus message, and its channel does not accept `foreign` ones')
  })

  it('of keys that answer later, cannot answer, or are refused', async () => {
    const { bytes } = sealer().sealSync('x', { channel: 'orders' })
    const withUnwrap = (unwrap: TestKey['identity']['unwrap']) => opener({ identities: testIdentities({ ...billing.identity, unwrap }) })
    expect(said(() => withUnwrap(async (request) => billing.identity.unwrap(request)).openSync(bytes, { channel: 'orders' }))).toBe('the key "billing-1" answers later: use open()')
    const failing = withUnwrap(() => {
      throw new Error('token-123')
    })
    expect(messageOf(await rejectedBy(failing.open(bytes, { channel: 'orders' })))).toBe('the source of the key "billing-1" cannot answer now')
  })

  it('of what is no bytes', () => {
    expect(said(() => opener().openSync('text' as never, { channel: 'orders' }))).toBe('bytes are a Buffer or a Uint8Array')
  })

  it('when it is closed', () => {
    const closed = opener()
    closed.close()
    expect(said(() => closed.openSync(Buffer.from('{}'), { channel: 'orders' }))).toBe('the opener is closed')
  })
})
