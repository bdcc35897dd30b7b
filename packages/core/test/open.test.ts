import { createHmac } from 'node:crypto'
import { tracingChannel } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { CompactEncrypt, FlattenedEncrypt, GeneralEncrypt } from 'jose'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { type ChannelDeclaration, defineChannels } from '../src/channels.ts'
import { createOpener, type Opener, type OpenerOptions } from '../src/open.ts'
import { isSealbusError, SealbusError } from '../src/errors.ts'
import type { Identity, Tombstone, UnwrapRequest } from '../src/identity.ts'
import { createSealer, type SealerOptions } from '../src/seal.ts'
import { type KeyKind, testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectionOf } from './support/thrown.ts'

let billing: TestKey
let shipping: TestKey
beforeAll(async () => {
  billing = await testKey('P-256', 'billing-1')
  shipping = await testKey('X25519', 'shipping-1')
})

const ORDERS = { to: ['billing', 'shipping'] }

function pair(declaration: ChannelDeclaration = ORDERS, sealerOptions: Partial<SealerOptions> = {}, openerOptions: Partial<OpenerOptions> = {}): { sealer: ReturnType<typeof createSealer>; opener: Opener } {
  const channels = defineChannels({ orders: declaration, other: { to: ['billing'] } })
  return {
    sealer: createSealer({ directory: testDirectory({ billing: billing.recipientKey, shipping: shipping.recipientKey }), channels, ...sealerOptions }),
    opener: createOpener({ name: 'billing', identities: testIdentities(billing.identity), channels, ...openerOptions }),
  }
}

describe('open: round trip', () => {
  it('gives back everything that was sealed', async () => {
    const { sealer, opener } = pair()
    const before = Math.floor(Date.now() / 1_000)
    const { bytes, id } = sealer.sealSync(Buffer.from([0, 1, 255]), { channel: 'orders', contentType: 'text/plain', contentEncoding: 'br', key: Buffer.from('k'), inReplyTo: 'req-1' })
    const message = await opener.open(bytes, { channel: 'orders', key: 'k' })
    expect(message).toMatchObject({ id, channel: 'orders', kid: 'billing-1', contentType: 'text/plain', contentEncoding: 'br', inReplyTo: 'req-1', sender: undefined })
    expect(message.plaintext).toEqual(Buffer.from([0, 1, 255]))
    expect(message.time?.getTime()).toBeGreaterThanOrEqual(before * 1_000)
    expect(message.envelope).toBe(bytes)
  })

  it.each(['application/json', 'application/json; charset=utf-8', 'text/plain', 'application/x; p="a/b"', undefined])('content type %s', (contentType) => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders', ...(contentType && { contentType }) })
    expect(opener.openSync(bytes, { channel: 'orders' }).contentType).toBe(contentType)
  })

  it.each(['gzip', 'zstd'] as const)('compressed with %s', (compress) => {
    const { sealer, opener } = pair({ ...ORDERS, compress })
    const payload = 'abc'.repeat(10_000)
    const { bytes } = sealer.sealSync(payload, { channel: 'orders' })
    expect(bytes.length).toBeLessThan(2_500)
    expect(opener.openSync(bytes, { channel: 'orders' }).plaintext.toString()).toBe(payload)
  })

  it('from a compact and a general envelope alike', () => {
    const { sealer, opener } = pair()
    const compact = createSealer({ directory: testDirectory({ billing: billing.recipientKey }), channels: defineChannels({ orders: { to: ['billing'] } }), serialization: 'compact' })
    for (const each of [sealer, compact]) expect(opener.openSync(each.sealSync('x', { channel: 'orders' }).bytes, { channel: 'orders' }).plaintext.toString()).toBe('x')
  })
})

describe('open: context', () => {
  const failing = (given: Parameters<Opener['openSync']>[1], seal: object = {}, declaration: ChannelDeclaration = ORDERS): string => {
    const { sealer, opener } = pair(declaration)
    const { bytes } = sealer.sealSync('x', { channel: 'orders', ...seal })
    return codeOf(() => opener.openSync(bytes, given))
  }
  const MISMATCH = 'ERR_SEALBUS_CONTEXT_MISMATCH'

  it('another channel', () => expect(failing({ channel: 'other' })).toBe(MISMATCH))
  it('another record key', () => expect(failing({ channel: 'orders', key: 'b' }, { key: 'a' })).toBe(MISMATCH))
  it('a record key where none was sealed', () => expect(failing({ channel: 'orders', key: 'b' }, { key: null })).toBe(MISMATCH))
  it('no record key where one was sealed', () => expect(failing({ channel: 'orders', key: null }, { key: 'a' })).toBe(MISMATCH))
  it('a transport without record keys, where one was sealed', () => expect(failing({ channel: 'orders' }, { key: 'a' })).toBe(MISMATCH))
  it('an empty record key is a key', () => expect(failing({ channel: 'orders', key: null }, { key: '' })).toBe(MISMATCH))

  it('the key is not bound where the channel says so', () => {
    const { sealer, opener } = pair({ ...ORDERS, bind: { key: false } })
    const { bytes } = sealer.sealSync('x', { channel: 'orders', key: 'a' })
    expect(opener.openSync(bytes, { channel: 'orders', key: 'b' }).plaintext.toString()).toBe('x')
  })

  const BOUND = { ...ORDERS, bind: { headers: ['tenant'] } }
  it('bound headers: equal ones open, in any transport form', () => {
    const { sealer, opener } = pair(BOUND)
    const { bytes } = sealer.sealSync('x', { channel: 'orders', headers: { tenant: 'acme', more: 1 } })
    expect(opener.openSync(bytes, { channel: 'orders', headers: { tenant: Buffer.from('acme') } }).plaintext.toString()).toBe('x')
  })
  it('a bound header that was changed', () => expect(failing({ channel: 'orders', headers: { tenant: 'evil' } }, { headers: { tenant: 'acme' } }, BOUND)).toBe(MISMATCH))
  it('a bound header that was removed', () => expect(failing({ channel: 'orders', headers: {} }, { headers: { tenant: 'acme' } }, BOUND)).toBe(MISMATCH))
  it('a required header that was not bound', () => {
    const { sealer } = pair()
    const { opener } = pair(BOUND)
    const { bytes } = sealer.sealSync('x', { channel: 'orders', headers: { tenant: 'acme' } })
    expect(codeOf(() => opener.openSync(bytes, { channel: 'orders', headers: { tenant: 'acme' } }))).toBe(MISMATCH)
  })

  it('realm: required and equal where the opener has one', () => {
    const { sealer } = pair(ORDERS, { realm: 'prod' })
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    expect(pair(ORDERS, {}, { realm: 'prod' }).opener.openSync(bytes, { channel: 'orders' }).plaintext.toString()).toBe('x')
    expect(codeOf(() => pair(ORDERS, {}, { realm: 'test' }).opener.openSync(bytes, { channel: 'orders' }))).toBe(MISMATCH)
    const bare = pair().sealer.sealSync('x', { channel: 'orders' })
    expect(codeOf(() => pair(ORDERS, {}, { realm: 'prod' }).opener.openSync(bare.bytes, { channel: 'orders' }))).toBe(MISMATCH)
  })
})

describe('open: whose key', () => {
  it('not named, named but missing, destroyed, revoked: four codes', () => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    const openWith = (name: string, ...identities: Parameters<typeof testIdentities>): string =>
      codeOf(() => createOpener({ name, identities: testIdentities(...identities), channels: opener.channels }).openSync(bytes, { channel: 'orders' }))
    expect(openWith('audit')).toBe('ERR_SEALBUS_NOT_A_RECIPIENT')
    expect(openWith('billing')).toBe('ERR_SEALBUS_KEY_MISSING')
    expect(openWith('billing', { kid: 'billing-1', destroyed: { at: new Date(0) } })).toBe('ERR_SEALBUS_KEY_DESTROYED')
    expect(openWith('billing', { ...billing.identity, state: 'revoked' })).toBe('ERR_SEALBUS_KEY_REVOKED')
  })

  it('a revoked key stops working at once, though its content key is cached', () => {
    const { sealer, opener } = pair()
    const identity = { ...billing.identity }
    const current = createOpener({ name: 'billing', identities: testIdentities(identity), channels: opener.channels })
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    current.openSync(bytes, { channel: 'orders' })
    identity.state = 'revoked'
    expect(codeOf(() => current.openSync(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_REVOKED')
  })

  it.each(['general', 'compact'] as const)('what was found for one message of a content key holds for the next only while the identities say the same (%s)', (serialization) => {
    const channels = defineChannels({ orders: { to: serialization === 'compact' ? ['billing'] : ['billing', 'shipping'] } })
    const sealer = createSealer({ directory: testDirectory({ billing: billing.recipientKey, shipping: shipping.recipientKey }), channels, serialization })
    const store: Record<string, Identity | Tombstone> = {}
    const opener = createOpener({ name: 'billing', channels, identities: { find: (kid) => store[kid], list: () => [] } })
    const next = (): string => {
      const { bytes } = sealer.sealSync('x', { channel: 'orders' })
      try {
        return opener.openSync(bytes, { channel: 'orders' }).kid
      } catch (error) {
        return (error as SealbusError).code
      }
    }
    const unwrap = vi.fn((request: Parameters<Identity['unwrap']>[0]) => billing.identity.unwrap(request))
    expect(next()).toBe('ERR_SEALBUS_KEY_MISSING')
    store['billing-1'] = { ...billing.identity, unwrap }
    expect([next(), next(), next()]).toEqual(['billing-1', 'billing-1', 'billing-1'])
    expect(unwrap).toHaveBeenCalledTimes(1)
    store['billing-1'] = { ...billing.identity, unwrap }
    expect([next(), next()]).toEqual(['billing-1', 'billing-1'])
    expect(unwrap).toHaveBeenCalledTimes(2)
    store['billing-1'] = { kid: 'billing-1', destroyed: { at: new Date(0) } }
    expect([next(), next()]).toEqual(['ERR_SEALBUS_KEY_DESTROYED', 'ERR_SEALBUS_KEY_DESTROYED'])
    delete store['billing-1']
    expect(next()).toBe('ERR_SEALBUS_KEY_MISSING')
    if (serialization === 'compact') return
    store['shipping-1'] = shipping.identity
    expect([next(), next()]).toEqual(['shipping-1', 'shipping-1'])
  })

  it('unwraps once per content key, and remembers wrapped keys that failed', () => {
    const { sealer, opener } = pair()
    const unwrap = vi.fn((request: Parameters<Identity['unwrap']>[0]) => billing.identity.unwrap(request))
    const counting = createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels: opener.channels })
    for (let count = 0; count < 10; count++) counting.openSync(sealer.sealSync('x', { channel: 'orders' }).bytes, { channel: 'orders' })
    expect(unwrap).toHaveBeenCalledTimes(1)
    const broken = breakWrappedKey(sealer.sealSync('x', { channel: 'orders' }).bytes)
    for (let count = 0; count < 5; count++) expect(codeOf(() => counting.openSync(broken, { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(unwrap).toHaveBeenCalledTimes(2)
  })

  it('remembers a content key only once a tag verified under it', async () => {
    const { sealer, opener } = pair()
    const unwrap = vi.fn((request: UnwrapRequest) => billing.identity.unwrap(request))
    const counting = createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels: opener.channels })
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    const wrong = breakTag(bytes)
    expect(codeOf(() => counting.openSync(wrong, { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(await rejectionOf(counting.open(wrong, { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(unwrap).toHaveBeenCalledTimes(2)
    for (let count = 0; count < 2; count++) expect(counting.openSync(bytes, { channel: 'orders' }).plaintext.toString()).toBe('x')
    expect(unwrap).toHaveBeenCalledTimes(3)
  })

  it('remembers the form of an envelope only once its tag verified: garbage pushes out none that is in use', () => {
    const { sealer, opener } = pair()
    const { sealer: another } = pair()
    const find = vi.fn((kid: string) => testIdentities(billing.identity).find(kid))
    const small = createOpener({ name: 'billing', identities: { find, list: () => [] }, channels: opener.channels, contentKeyCache: { entries: 1 } })
    /** How often the identities were asked: more often for an envelope that had to be read in full. */
    const asked = (bytes: Buffer): number => {
      find.mockClear()
      small.openSync(bytes, { channel: 'orders' })
      return find.mock.calls.length
    }
    const next = (): Buffer => sealer.sealSync('x', { channel: 'orders' }).bytes
    const [inFull = 0, , byComparing = 0] = [next(), next(), next()].map(asked)
    expect(byComparing).toBeLessThan(inFull)
    expect(codeOf(() => small.openSync(breakTag(another.sealSync('x', { channel: 'orders' }).bytes), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(asked(next())).toBe(byComparing)
  })

  it('keeps content keys by number and by age, both settable', () => {
    const { sealer, opener } = pair(ORDERS, { contentKeys: 'per-message' })
    const unwrap = vi.fn((request: Parameters<Identity['unwrap']>[0]) => billing.identity.unwrap(request))
    const opening = (contentKeyCache: OpenerOptions['contentKeyCache']): Opener => createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels: opener.channels, ...(contentKeyCache && { contentKeyCache }) })
    const [first, second] = ['1', '2'].map((text) => sealer.sealSync(text, { channel: 'orders' }).bytes)
    const small = opening({ entries: 1 })
    for (const bytes of [first, first, second, first]) small.openSync(bytes ?? expect.fail(), { channel: 'orders' })
    expect(unwrap).toHaveBeenCalledTimes(3)
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      const brief = opening({ ageMs: 1_000 })
      brief.openSync(first ?? expect.fail(), { channel: 'orders' })
      vi.setSystemTime(Date.now() + 999)
      brief.openSync(first ?? expect.fail(), { channel: 'orders' })
      expect(unwrap).toHaveBeenCalledTimes(4)
      vi.setSystemTime(Date.now() + 1)
      brief.openSync(first ?? expect.fail(), { channel: 'orders' })
      expect(unwrap).toHaveBeenCalledTimes(5)
    } finally {
      vi.useRealTimers()
    }
    for (const bad of [{ entries: 0 }, { ageMs: 999 }, { entries: 1_000_001 }, { size: 1 }]) expect(codeOf(() => opening(bad as never))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it('an unknown kid reads the identities again, once', async () => {
    const { sealer, opener } = pair()
    const identities: Identity[] = []
    const refresh = vi.fn(async () => void identities.push(billing.identity))
    const late = createOpener({ name: 'billing', channels: opener.channels, identities: { find: (kid) => identities.find((each) => each.kid === kid), list: () => identities, refresh } })
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    expect((await late.open(bytes, { channel: 'orders' })).plaintext.toString()).toBe('x')
    const { bytes: foreign } = createSealer({ directory: testDirectory({ audit: shipping.recipientKey }), channels: defineChannels({ orders: { to: ['audit'] } }) }).sealSync('x', { channel: 'orders' })
    expect(await rejectionOf(late.open(foreign, { channel: 'orders' }))).toBe('ERR_SEALBUS_NOT_A_RECIPIENT')
    expect(refresh).toHaveBeenCalledTimes(1)
  })
})

describe('open: identities that cannot be read again', () => {
  it('are an outage for a message that names us, for as long as it lasts, and no business of others', async () => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    const store = { find: () => undefined, list: () => [], refresh: () => Promise.reject(new Error('secret path')) }
    const [named, other] = ['billing', 'audit'].map((name) => createOpener({ name, channels: opener.channels, identities: store }))
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await rejectionOf(named?.open(bytes, { channel: 'orders' }) ?? Promise.resolve())).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
      expect(await rejectionOf(other?.open(bytes, { channel: 'orders' }) ?? Promise.resolve())).toBe('ERR_SEALBUS_NOT_A_RECIPIENT')
    }
  })
})

describe('open: a private half elsewhere', () => {
  const remote = (unwrap: Identity['unwrap']): Opener => createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels: pair().opener.channels })

  it('one call for concurrent messages of one content key; openSync then works from the cache', async () => {
    const unwrap = vi.fn(async (request: Parameters<Identity['unwrap']>[0]) => billing.identity.unwrap(request))
    const opener = remote(unwrap)
    const { sealer } = pair()
    const messages = Array.from({ length: 20 }, (_, index) => sealer.sealSync(`${index}`, { channel: 'orders' }).bytes)
    const [first = expect.fail()] = messages
    expect(codeOf(() => opener.openSync(first, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEYS_NOT_READY')
    const texts = await Promise.all(messages.map(async (bytes) => (await opener.open(bytes, { channel: 'orders' })).plaintext.toString()))
    expect(texts).toEqual(messages.map((_, index) => `${index}`))
    expect(unwrap).toHaveBeenCalledTimes(1)
    expect(opener.openSync(first, { channel: 'orders' }).plaintext.toString()).toBe('0')
  })

  it('an outage is not a failed decryption, and its error carries nothing of the source', async () => {
    const opener = remote(async () => {
      throw new Error('secret-token-123')
    })
    const { bytes } = pair().sealer.sealSync('x', { channel: 'orders' })
    const error: unknown = await opener.open(bytes, { channel: 'orders' }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE', transient: true })
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error)) + String(error)).not.toContain('secret-token')
  })

  it.each([
    ['rejects', async (): Promise<never> => Promise.reject(new SealbusError('ERR_SEALBUS_KEY_FORBIDDEN', 'token-123'))],
    ['throws', (): never => {
      throw new SealbusError('ERR_SEALBUS_KEY_FORBIDDEN', 'token-123')
    }],
  ])('a refusal is its own code, in our words, when it %s', async (_title, unwrap) => {
    const { bytes } = pair().sealer.sealSync('x', { channel: 'orders' })
    const error: unknown = await remote(unwrap).open(bytes, { channel: 'orders' }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'ERR_SEALBUS_KEY_FORBIDDEN', transient: false })
    expect(inspect(error)).not.toContain('token-123')
  })

  it('is asked by no more than `concurrency` at a time; who waits too long is told of an outage, and loses nothing', async () => {
    let [under, most, answering] = [0, 0, false]
    const unwrap = async (request: Parameters<Identity['unwrap']>[0]): Promise<Buffer | null> => {
      most = Math.max(most, ++under)
      if (!answering) await new Promise((resolve) => request.signal?.addEventListener('abort', resolve))
      under--
      return billing.identity.unwrap(request)
    }
    const opener = createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels: pair().opener.channels, unwrap: { concurrency: 3, timeoutMs: 100 } })
    const { sealer } = pair(ORDERS, { contentKeys: 'per-message' })
    const messages = Array.from({ length: 10 }, (_, index) => sealer.sealSync(`${index}`, { channel: 'orders' }).bytes)
    const openAll = (): Promise<string[]> => Promise.all(messages.map((bytes) => opener.open(bytes, { channel: 'orders' }).then(({ plaintext }) => plaintext.toString(), (error: SealbusError) => error.code)))
    expect(await openAll()).toEqual(messages.map(() => 'ERR_SEALBUS_KEY_UNAVAILABLE'))
    expect(most).toBe(3)
    answering = true
    expect(await openAll()).toEqual(messages.map((_, index) => `${index}`))
    expect(most).toBe(3)
  })

  it.each([{ concurrency: 0 }, { timeoutMs: 99 }, { perSecond: 10_001 }, { concurrency: 1.5 }])('bounds out of range are refused: %o', (unwrap) => {
    expect(codeOf(() => createOpener({ name: 'billing', identities: testIdentities(), channels: pair().opener.channels, unwrap }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it('a caller that aborts leaves the wait', async () => {
    const opener = remote(() => new Promise(() => {}))
    const { bytes } = pair().sealer.sealSync('x', { channel: 'orders' })
    const controller = new AbortController()
    const pending = opener.open(bytes, { channel: 'orders', signal: controller.signal })
    controller.abort()
    expect(await rejectionOf(pending)).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
  })
})

describe('open: what jose seals', () => {
  const foreignOpener = (identity: Identity): Opener => createOpener({ name: 'billing', identities: testIdentities(identity), channels: defineChannels({ orders: { to: ['billing'], foreign: true } }) })

  it.each(['P-256', 'P-384', 'P-521', 'X25519', 'RSA'] as KeyKind[])('flattened, compact and general with %s', async (kind) => {
    const own = await testKey(kind, 'own')
    const opener = foreignOpener(own.identity)
    const header = { alg: own.recipientKey.alg, enc: 'A256GCM', kid: 'own' }
    const text = new TextEncoder().encode('from jose')
    const compact = await new CompactEncrypt(text).setProtectedHeader(header).encrypt(own.recipientKey.publicKey)
    const flattened = await new FlattenedEncrypt(text).setProtectedHeader(header).encrypt(own.recipientKey.publicKey)
    const general = await new GeneralEncrypt(text)
      .setProtectedHeader({ enc: 'A256GCM' })
      .addRecipient(shipping.recipientKey.publicKey).setUnprotectedHeader({ alg: 'ECDH-ES+A256KW', kid: 'shipping-1' })
      .addRecipient(own.recipientKey.publicKey).setUnprotectedHeader({ alg: own.recipientKey.alg, kid: 'own' })
      .encrypt()
    for (const jwe of [compact, JSON.stringify(flattened), JSON.stringify(general)]) {
      const message = opener.openSync(Buffer.from(jwe), { channel: 'orders' })
      expect(message.plaintext.toString()).toBe('from jose')
      expect(message.id).toBeUndefined()
    }
  })

  it.each(['A128GCM', 'A256CBC-HS512'])('%s', async (enc) => {
    const compact = await new CompactEncrypt(Buffer.from('x')).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc, kid: 'billing-1' }).encrypt(billing.recipientKey.publicKey)
    expect(foreignOpener(billing.identity).openSync(Buffer.from(compact), { channel: 'orders' }).plaintext.toString()).toBe('x')
    const tampered = compact.replace(/\.(.)([^.]*)$/, (_all, first: string, rest: string) => `.${first === 'A' ? 'B' : 'A'}${rest}`)
    expect(codeOf(() => foreignOpener(billing.identity).openSync(Buffer.from(tampered), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
  })

  it('is refused where the channel does not accept foreign envelopes, and with algorithms that are not in the table', async () => {
    const seal = async (alg: string, enc: string, to: TestKey): Promise<Buffer> =>
      Buffer.from(await new CompactEncrypt(Buffer.from('x')).setProtectedHeader({ kid: 'billing-1', alg, enc }).encrypt(to.recipientKey.publicKey))
    const good = await seal('ECDH-ES+A256KW', 'A256GCM', billing)
    expect(codeOf(() => pair().opener.openSync(good, { channel: 'orders' }))).toBe('ERR_SEALBUS_REFUSED')
    const rsa = await testKey('RSA', 'billing-1')
    const refusedOnes = [
      ['ECDH-ES+A128KW', 'A256GCM', billing],
      ['ECDH-ES', 'A256GCM', billing],
      ['ECDH-ES+A256KW', 'A192GCM', billing],
      ['RSA-OAEP', 'A256GCM', rsa],
    ] as const
    for (const [alg, enc, to] of refusedOnes) {
      const bytes = await seal(alg, enc, to)
      expect(codeOf(() => foreignOpener(to.identity).openSync(bytes, { channel: 'orders' })), `${alg} ${enc}`).toBe('ERR_SEALBUS_REFUSED')
    }
  })
})

describe('algorithms are narrowed by options, and never widened', () => {
  const channels = defineChannels({ orders: ORDERS })
  it('the opener refuses what it does not list, before any private key is asked', () => {
    const unwrap = vi.fn((request: Parameters<Identity['unwrap']>[0]) => billing.identity.unwrap(request))
    const opening = (options: Partial<OpenerOptions>, enc: 'A256GCM' | 'A128GCM' = 'A256GCM'): string => {
      const { sealer: sealing, opener } = pair(ORDERS, { enc }, { identities: testIdentities({ ...billing.identity, unwrap }), ...options })
      try {
        return opener.openSync(sealing.sealSync('x', { channel: 'orders' }).bytes, { channel: 'orders' }).plaintext.toString()
      } catch (error) {
        return (error as SealbusError).code
      }
    }
    expect(opening({ keyManagementAlgorithms: ['RSA-OAEP-256'] })).toBe('ERR_SEALBUS_REFUSED')
    expect(opening({ contentEncryptionAlgorithms: ['A256GCM', 'A256CBC-HS512'] }, 'A128GCM')).toBe('ERR_SEALBUS_REFUSED')
    expect(unwrap).not.toHaveBeenCalled()
    expect(opening({ keyManagementAlgorithms: ['ECDH-ES+A256KW'], contentEncryptionAlgorithms: ['A128GCM'] }, 'A128GCM')).toBe('x')
  })

  it('the sealer refuses a recipient whose key is for another', async () => {
    const rsa = await testKey('RSA', 'rsa-1')
    const channels = defineChannels({ orders: { to: ['rsa'] } })
    const sealing = (keyManagementAlgorithms: SealerOptions['keyManagementAlgorithms']): ReturnType<typeof createSealer> => createSealer({ directory: testDirectory({ rsa: rsa.recipientKey }), channels, ...(keyManagementAlgorithms && { keyManagementAlgorithms }) })
    expect(codeOf(() => sealing(['ECDH-ES+A256KW']).sealSync('x', { channel: 'orders' }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    expect(sealing(undefined).sealSync('x', { channel: 'orders' }).bytes.length).toBeGreaterThan(0)
  })

  it.each([[[]], [['none']], ['ECDH-ES+A256KW'], [['dir']]])('%o is no list of permitted names', (given) => {
    expect(codeOf(() => createOpener({ name: 'b', identities: testIdentities(), channels, keyManagementAlgorithms: given as never }))).toBe('ERR_SEALBUS_INVALID_OPTION')
    expect(codeOf(() => createOpener({ name: 'b', identities: testIdentities(), channels, contentEncryptionAlgorithms: given as never }))).toBe('ERR_SEALBUS_INVALID_OPTION')
    expect(codeOf(() => createSealer({ directory: testDirectory({}), channels, keyManagementAlgorithms: given as never }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })
})

describe('open: fails closed', () => {
  it('every bit of the authenticated parts counts', () => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('payload', { channel: 'orders' })
    const jwe = JSON.parse(bytes.toString()) as Record<string, string>
    for (const member of ['iv', 'ciphertext', 'tag']) {
      const raw = Buffer.from(jwe[member] ?? '', 'base64url')
      for (let bit = 0; bit < raw.length * 8; bit += 7) {
        const changed = Buffer.from(raw)
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(codeOf(() => opener.openSync(Buffer.from(JSON.stringify({ ...jwe, [member]: changed.toString('base64url') })), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
      }
    }
  })

  it('a wrong commitment is the generic failure', () => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    const jwe = JSON.parse(bytes.toString()) as Record<string, string>
    const header = JSON.parse(Buffer.from(jwe['protected'] ?? '', 'base64url').toString()) as Record<string, unknown>
    header['kc'] = createHmac('sha256', 'wrong').digest('base64url')
    const changed = { ...jwe, protected: Buffer.from(JSON.stringify(header)).toString('base64url') }
    expect(codeOf(() => opener.openSync(Buffer.from(JSON.stringify(changed)), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
  })

  it('plain bytes on a sealed channel', () => {
    const { opener } = pair()
    expect(opener.isPlain(Buffer.from('{"total":9}'), { channel: 'orders' })).toBe(false)
    expect(codeOf(() => opener.openSync(Buffer.from('{"total":9}'), { channel: 'orders' }))).toBe('ERR_SEALBUS_NOT_SEALED')
  })

  it('sealed-or-plain tells them apart, counts both, and never delivers an envelope as plain', () => {
    const { sealer, opener } = pair({ ...ORDERS, accept: 'sealed-or-plain' })
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    const pretty = Buffer.from(JSON.stringify(JSON.parse(bytes.toString()), Object.keys(JSON.parse(bytes.toString()) as object).toReversed(), 1))
    const escaped = Buffer.from(' {"ciphertext":"","prot\\u0065cted":""}')
    for (const sealedBytes of [bytes, pretty, escaped]) expect(opener.isPlain(sealedBytes, { channel: 'orders' })).toBe(false)
    expect(opener.isPlain(Buffer.from('anything'), { channel: 'orders', contentType: 'application/jose+json; charset=utf-8' })).toBe(false)
    expect(opener.isPlain(Buffer.from('{"total":9}'), { channel: 'orders' })).toBe(true)
    expect(opener.isPlain(Buffer.from('e.e.e.e.e'), { channel: 'orders' })).toBe(true)
    expect(opener.counts()).toMatchObject({ orders: { sealed: 4, plain: 2 } })
    expect(opener.isPlain(Buffer.concat([Buffer.from(' {"ciphertext":"","protected":""'), Buffer.alloc(33 * 1024 * 1024, ' '), Buffer.from('}')]), { channel: 'orders' })).toBe(false)
  })

  it('closed', async () => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    opener.close()
    expect(codeOf(() => opener.openSync(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_CLOSED')
    expect(await rejectionOf(opener.open(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_CLOSED')
  })
})

/** Flips a bit of the tag. */
function breakTag(envelope: Buffer): Buffer {
  const jwe = JSON.parse(envelope.toString()) as { tag: string }
  return Buffer.from(JSON.stringify({ ...jwe, tag: `${jwe.tag.startsWith('A') ? 'B' : 'A'}${jwe.tag.slice(1)}` }))
}

function breakWrappedKey(bytes: Buffer): Buffer {
  const jwe = JSON.parse(bytes.toString()) as { recipients: { encrypted_key: string }[] }
  for (const recipient of jwe.recipients) {
    const raw = Buffer.from(recipient.encrypted_key, 'base64url')
    raw[0] = (raw[0] ?? 0) ^ 1
    recipient.encrypted_key = raw.toString('base64url')
  }
  return Buffer.from(JSON.stringify(jwe))
}

describe('open: the largest payload', () => {
  const KIB = 1_024
  const LARGEST = 16_777_216

  it.each([1, 100])('of all, 16 MiB, is sealed for %i and opened by the last of them; a byte more is not sealed', async (count) => {
    const keys = await Promise.all(Array.from({ length: count }, (_, index) => testKey('X25519', `key-${index}`)))
    const channels = defineChannels({ orders: { to: keys.map(({ kid }) => kid) } })
    const sealer = createSealer({ directory: testDirectory(Object.fromEntries(keys.map(({ kid, recipientKey }) => [kid, recipientKey]))), channels })
    const { kid, identity } = keys.at(-1) ?? expect.fail()
    const opener = createOpener({ name: kid, identities: testIdentities(identity), channels })
    const payload = Buffer.alloc(LARGEST, 'abc')
    expect(opener.openSync(sealer.sealSync(payload, { channel: 'orders' }).bytes, { channel: 'orders' }).plaintext.equals(payload)).toBe(true)
    expect(codeOf(() => sealer.sealSync(Buffer.alloc(LARGEST + 1), { channel: 'orders' }))).toBe('ERR_SEALBUS_TOO_LARGE')
  })

  it.each([undefined, 'gzip', 'zstd'] as const)('of an opener that set one, compressed with %s', (compress) => {
    const { sealer, opener } = pair(compress ? { ...ORDERS, compress } : ORDERS, {}, { maxPayloadBytes: KIB })
    const open = (size: number) => opener.openSync(sealer.sealSync(Buffer.alloc(size, 'x'), { channel: 'orders' }).bytes, { channel: 'orders' }).plaintext.length
    expect(open(KIB)).toBe(KIB)
    expect(codeOf(() => open(KIB + 1))).toBe(compress ? 'ERR_SEALBUS_MALFORMED' : 'ERR_SEALBUS_TOO_LARGE')
  })

  it('with the padding of A256CBC-HS512, which is no part of it', async () => {
    const channels = defineChannels({ orders: { to: ['billing'], foreign: true } })
    const opener = createOpener({ name: 'billing', identities: testIdentities(billing.identity), channels, maxPayloadBytes: KIB })
    const open = async (size: number): Promise<number> => {
      const jwe = await new CompactEncrypt(Buffer.alloc(size)).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256CBC-HS512', kid: 'billing-1' }).encrypt(billing.recipientKey.publicKey)
      return (await opener.open(Buffer.from(jwe), { channel: 'orders' })).plaintext.length
    }
    expect(await open(KIB)).toBe(KIB)
    expect(await rejectionOf(open(KIB + 1))).toBe('ERR_SEALBUS_TOO_LARGE')
  })

  it('is looked at before any private key, where the envelope shows it', () => {
    const identity = { ...billing.identity, unwrap: vi.fn((request: UnwrapRequest) => billing.identity.unwrap(request)) }
    const { sealer, opener } = pair(ORDERS, {}, { maxPayloadBytes: KIB, identities: testIdentities(identity) })
    expect(codeOf(() => opener.openSync(sealer.sealSync(Buffer.alloc(KIB + 17), { channel: 'orders' }).bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_TOO_LARGE')
    expect(identity.unwrap).not.toHaveBeenCalled()
  })

  it('of a sealer that set one', () => {
    const { sealer } = pair(ORDERS, { maxPayloadBytes: KIB })
    expect(sealer.sealSync(Buffer.alloc(KIB), { channel: 'orders' }).bytes.length).toBeGreaterThan(KIB)
    expect(codeOf(() => sealer.sealSync(Buffer.alloc(KIB + 1), { channel: 'orders' }))).toBe('ERR_SEALBUS_TOO_LARGE')
  })

  it.each([0, -1, 1.5, 16 * KIB * KIB + 1, Number.NaN, Number.POSITIVE_INFINITY])('is an integer from 1 to 16 MiB, not %s', (maxPayloadBytes) => {
    expect(codeOf(() => pair(ORDERS, { maxPayloadBytes }))).toBe('ERR_SEALBUS_INVALID_OPTION')
    expect(codeOf(() => pair(ORDERS, {}, { maxPayloadBytes }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })
})

describe('open: hostile and careless callers', () => {
  it.each(['text', 42, null, undefined, {}, new Uint16Array(1)])('what is no bytes is refused with a typed error, also while somebody listens: %o', async (given) => {
    const { opener } = pair({ ...ORDERS, accept: 'sealed-or-plain' })
    const listening = tracingChannel('sealbus:open')
    const listener = { start: () => {} }
    for (const listen of [false, true]) {
      if (listen) listening.subscribe(listener as never)
      try {
        expect(codeOf(() => opener.openSync(given as never, { channel: 'orders' }))).toBe('ERR_SEALBUS_INVALID_OPTION')
        expect(await rejectionOf(opener.open(given as never, { channel: 'orders' }))).toBe('ERR_SEALBUS_INVALID_OPTION')
        expect(codeOf(() => opener.isPlain(given as never, { channel: 'orders' }))).toBe('ERR_SEALBUS_INVALID_OPTION')
      } finally {
        if (listen) listening.unsubscribe(listener as never)
      }
    }
  })

  it.each(['', 42 as never, '\ud800'])('a realm that no message can have is refused at construction: %o', (realm) => {
    expect(codeOf(() => pair(ORDERS, {}, { realm }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it('a misspelt option is refused, rather than checked by nobody', () => {
    expect(codeOf(() => pair(ORDERS, {}, { realms: 'prod' } as never))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it.each<[string, () => unknown]>([
    ['throws', () => { throw new Error('secret path') }],
    ['gives no promise', () => undefined],
    ['rejects', () => Promise.reject(new Error('secret path'))],
  ])('a source of identities whose refresh() %s is an outage, and what it says is not shown', async (_title, refresh) => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    const lost = createOpener({ name: 'billing', channels: opener.channels, identities: { find: () => undefined, list: () => [], refresh: refresh as never } })
    const error: unknown = await lost.open(bytes, { channel: 'orders' }).catch((reason: unknown) => reason)
    expect(isSealbusError(error)).toBe(true)
    expect(inspect(error, { showHidden: true, depth: 9 })).not.toContain('secret')
  })

  it('a find() that throws is an outage too, and what it says is not shown', async () => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    const broken = createOpener({ name: 'billing', channels: opener.channels, identities: { find: () => { throw new Error('secret path') }, list: () => [] } })
    expect(codeOf(() => broken.openSync(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(await rejectionOf(broken.open(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    const jwe = JSON.parse(bytes.toString()) as { recipients: { header: object; encrypted_key: string }[] }
    const nameless = Buffer.from(JSON.stringify({ ...jwe, recipients: [{ ...jwe.recipients[0], header: {} }] }))
    const listless = createOpener({ name: 'billing', channels: opener.channels, identities: { find: () => undefined, list: () => { throw new Error('secret path') } } })
    expect(codeOf(() => listless.openSync(nameless, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
  })

  it('a refresh that never ends holds nobody for ever: one caller leaves by its signal, all by the time-out', async () => {
    const over = new AbortController()
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(over.signal)
    try {
      const { sealer, opener } = pair()
      const { bytes } = sealer.sealSync('x', { channel: 'orders' })
      const refresh = vi.fn(() => new Promise<void>(() => {}))
      const stuck = createOpener({ name: 'billing', channels: opener.channels, identities: { find: () => undefined, list: () => [], refresh } })
      const controller = new AbortController()
      const leaving = rejectionOf(stuck.open(bytes, { channel: 'orders', signal: controller.signal }))
      const waiting = rejectionOf(stuck.open(bytes, { channel: 'orders' }))
      controller.abort()
      expect(await leaving).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
      expect(timeout).toHaveBeenCalledExactlyOnceWith(5_000)
      over.abort()
      expect(await waiting).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
      expect(refresh).toHaveBeenCalledTimes(1)
    } finally {
      timeout.mockRestore()
    }
  })

  it('a key that is revoked while it is asked to unwrap opens nothing any more, and a store may make its objects anew each time', async () => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    let state: Identity['state'] = 'active'
    const asked = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const identity = (): Identity => ({
      ...billing.identity,
      state,
      unwrap: async (request) => {
        asked.resolve()
        await go.promise
        return billing.identity.unwrap(request)
      },
    })
    const identities = { find: (kid: string) => (kid === 'billing-1' ? identity() : undefined), list: () => [identity()] }
    const remote = createOpener({ name: 'billing', channels: opener.channels, identities })
    const pending = rejectionOf(remote.open(bytes, { channel: 'orders' }))
    await asked.promise
    state = 'revoked'
    go.resolve()
    expect(await pending).toBe('ERR_SEALBUS_KEY_REVOKED')
    state = 'active'
    expect((await remote.open(bytes, { channel: 'orders' })).plaintext.toString()).toBe('x')
  })

  it('a key that is revoked while it is asked opens nothing, though another of ours does', async () => {
    const { sealer, opener: bystander } = pair()
    const state = { current: 'active' as Identity['state'] }
    const leaving: Identity = {
      ...billing.identity,
      get state() {
        return state.current
      },
      unwrap: async (request) => {
        state.current = 'revoked'
        return billing.identity.unwrap(request)
      },
    }
    const opener = createOpener({ name: 'billing', identities: testIdentities(leaving, shipping.identity), channels: bystander.channels })
    const outcome = await opener.open(sealer.sealSync('x', { channel: 'orders' }).bytes, { channel: 'orders' }).then(({ kid }) => kid, (error: SealbusError) => error.code)
    expect(outcome).toBe('shipping-1')
  })

  it('closed while a key is asked to unwrap: nothing is delivered any more', async () => {
    const asked = Promise.withResolvers<Buffer | null>()
    const { sealer, opener } = pair(ORDERS, {}, { identities: testIdentities({ ...billing.identity, unwrap: () => asked.promise }) })
    const opening = rejectionOf(opener.open(sealer.sealSync('x', { channel: 'orders' }).bytes, { channel: 'orders' }))
    await new Promise((resolve) => setImmediate(resolve))
    opener.close()
    asked.resolve(Buffer.alloc(32))
    expect(await opening).toBe('ERR_SEALBUS_CLOSED')
  })

  it('closed while the identities are read: no private key is used any more', async () => {
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync('x', { channel: 'orders' })
    const known: Identity[] = []
    const unwrap = vi.fn((request: UnwrapRequest) => billing.identity.unwrap(request))
    const late: Opener = createOpener({
      name: 'billing',
      channels: opener.channels,
      identities: {
        find: (kid) => known.find((each) => each.kid === kid),
        list: () => known,
        refresh: async () => {
          known.push({ ...billing.identity, unwrap })
          late.close()
        },
      },
    })
    expect(await rejectionOf(late.open(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_CLOSED')
    expect(unwrap).not.toHaveBeenCalled()
  })
})
