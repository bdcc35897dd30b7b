import { createPublicKey, randomBytes } from 'node:crypto'
import { tracingChannel } from 'node:diagnostics_channel'
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader, type GeneralJWE, generalDecrypt, type JWK } from 'jose'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type ChannelDeclarations, defineChannels } from '../src/channels.ts'
import { SealbusError } from '../src/errors.ts'
import { createOpener } from '../src/open.ts'
import type { RecipientDirectory, RecipientKey } from '../src/recipient.ts'
import { createSealer, type SealerOptions } from '../src/seal.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { type KeyKind, testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectionOf, thrownBy } from './support/thrown.ts'

const KINDS: readonly KeyKind[] = ['P-256', 'P-384', 'P-521', 'X25519', 'RSA']
const keys = new Map<KeyKind, TestKey>()
const key = (kind: KeyKind): TestKey => keys.get(kind) ?? expect.fail(kind)

beforeAll(async () => {
  for (const kind of KINDS) keys.set(kind, await testKey(kind, `key-${kind}`))
})

const parse = (bytes: Buffer): GeneralJWE & { protected: string } => JSON.parse(bytes.toString()) as GeneralJWE & { protected: string }

describe('seal: jose opens what we seal', () => {
  it.each(KINDS)('one recipient, %s', async (kind) => {
    const channels = defineChannels({ orders: { to: ['billing'] } })
    const sealer = createSealer({ directory: testDirectory({ billing: key(kind).recipientKey }), channels })
    const { bytes, contentType, id } = sealer.sealSync('{"total":9}', { channel: 'orders', contentType: 'application/json', key: '42' })
    expect(contentType).toBe('application/jose+json')
    const { plaintext, protectedHeader } = await generalDecrypt(parse(bytes), key(kind).privateKey)
    expect(Buffer.from(plaintext).toString()).toBe('{"total":9}')
    expect(protectedHeader).toMatchObject({ typ: 'sealbus+jwe', enc: 'A256GCM', kid: `key-${kind}`, cty: 'json', msg: { v: 1, id, ch: 'orders', to: ['billing'] } })
  })

  it('several recipients of different algorithms, each with its own private key', async () => {
    const channels = defineChannels({ orders: { to: [...KINDS] } })
    const directory = testDirectory(Object.fromEntries(KINDS.map((kind) => [kind, key(kind).recipientKey])))
    const { bytes } = createSealer({ directory, channels }).sealSync('hello', { channel: 'orders' })
    const jwe = parse(bytes)
    expect(Object.keys(jwe)).toEqual(['protected', 'recipients', 'iv', 'ciphertext', 'tag'])
    expect(decodeProtectedHeader(jwe)).not.toHaveProperty('alg')
    for (const kind of KINDS) {
      const { plaintext } = await generalDecrypt(jwe, (_protected, token) => {
        if (token.header?.kid !== key(kind).kid) throw new Error('not this entry')
        return key(kind).privateKey
      })
      expect(Buffer.from(plaintext).toString()).toBe('hello')
    }
  })

  it('a shared alg stands once, in the protected header', () => {
    const channels = defineChannels({ orders: { to: ['a', 'b'] } })
    const directory = testDirectory({ a: key('P-256').recipientKey, b: key('X25519').recipientKey })
    const jwe = parse(createSealer({ directory, channels }).sealSync('x', { channel: 'orders' }).bytes)
    expect(decodeProtectedHeader(jwe)).toMatchObject({ alg: 'ECDH-ES+A256KW' })
    for (const recipient of jwe.recipients) expect(Object.keys(recipient.header ?? {}).toSorted()).toEqual(['epk', 'kid'])
  })

  it('compact, on request, for one recipient', async () => {
    const channels = defineChannels({ orders: { to: ['billing'] } })
    const sealer = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels, serialization: 'compact' })
    const { bytes, contentType } = sealer.sealSync('x', { channel: 'orders' })
    expect(contentType).toBe('application/jose')
    const { plaintext } = await compactDecrypt(bytes.toString(), key('P-256').privateKey)
    expect(Buffer.from(plaintext).toString()).toBe('x')
  })

  it('an empty payload, and A128GCM', async () => {
    const channels = defineChannels({ orders: { to: ['billing'] } })
    const sealer = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels, enc: 'A128GCM' })
    const { plaintext } = await generalDecrypt(parse(sealer.sealSync('', { channel: 'orders' }).bytes), key('P-256').privateKey)
    expect(plaintext).toHaveLength(0)
  })
})

describe('seal: fails closed', () => {
  const channels = defineChannels({
    orders: { to: ['billing'] },
    nobody: { to: () => [] },
    tenant: { to: ['billing'], bind: { headers: ['x-tenant'] } },
    other: { to: ['billing'] },
    metrics: 'plaintext',
  })
  const sealerWithKey = (): ReturnType<typeof createSealer> => createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels })

  it.each([
    ['an undeclared channel', 'ERR_SEALBUS_UNDECLARED_CHANNEL', { channel: 'invoices' }],
    ['a name of Object.prototype', 'ERR_SEALBUS_UNDECLARED_CHANNEL', { channel: 'constructor' }],
    ['no recipients', 'ERR_SEALBUS_NO_RECIPIENTS', { channel: 'nobody' }],
    ['a plaintext channel', 'ERR_SEALBUS_INVALID_OPTION', { channel: 'metrics' }],
    ['a bound header that is missing', 'ERR_SEALBUS_INVALID_OPTION', { channel: 'tenant' }],
    ['a bound header that is a number', 'ERR_SEALBUS_INVALID_OPTION', { channel: 'tenant', headers: { 'x-tenant': 7 } }],
    ['an id that is too long', 'ERR_SEALBUS_INVALID_OPTION', { channel: 'orders', id: 'x'.repeat(129) }],
    ['a JOSE content type', 'ERR_SEALBUS_ALREADY_SEALED', { channel: 'orders', contentType: 'application/jose' }],
    ['a JOSE content type, short', 'ERR_SEALBUS_ALREADY_SEALED', { channel: 'orders', contentType: 'JOSE' }],
    ['a content type that is no string', 'ERR_SEALBUS_INVALID_OPTION', { channel: 'orders', contentType: 7 as never }],
    ['a content encoding that no opener takes', 'ERR_SEALBUS_INVALID_OPTION', { channel: 'orders', contentEncoding: 'x'.repeat(129) }],
    ['an empty content encoding', 'ERR_SEALBUS_INVALID_OPTION', { channel: 'orders', contentEncoding: '' }],
    ['a reply to an id that no opener takes', 'ERR_SEALBUS_INVALID_OPTION', { channel: 'orders', inReplyTo: 'x'.repeat(129) }],
  ])('%s: %s', (_title, code, options) => {
    expect(codeOf(() => sealerWithKey().sealSync('x', options))).toBe(code)
  })

  it('keys that are not in memory: a transient error, and the fetch starts', async () => {
    const directory = testDirectory({})
    const sealer = createSealer({ directory, channels })
    expect(sealer.isReady({ channel: 'orders' })).toBe(false)
    expect(codeOf(() => sealer.sealSync('x', { channel: 'orders' }))).toBe('ERR_SEALBUS_KEYS_NOT_READY')
    expect(directory.resolved).toEqual(['billing'])
  })

  it('ready() fetches every declared recipient once', async () => {
    const directory = testDirectory({ billing: key('P-256').recipientKey })
    await createSealer({ directory, channels }).ready()
    expect(directory.resolved).toEqual(['billing'])
  })

  it('a payload over 16 MiB', () => {
    expect(codeOf(() => sealerWithKey().sealSync(Buffer.alloc(16 * 1024 * 1024 + 1), { channel: 'orders' }))).toBe('ERR_SEALBUS_TOO_LARGE')
  })

  it('an envelope is sealed only once; an opened one passes through on its own channel as it is', () => {
    const sealer = sealerWithKey()
    const opener = createOpener({ name: 'billing', identities: testIdentities(key('P-256').identity), channels })
    const { bytes, id } = sealer.sealSync('x', { channel: 'orders' })
    expect(codeOf(() => sealer.sealSync(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_ALREADY_SEALED')
    const { envelope } = opener.openSync(bytes, { channel: 'orders' })
    expect(sealer.sealSync(envelope, { channel: 'orders' })).toMatchObject({ bytes: envelope, id })
    expect(codeOf(() => sealer.sealSync(envelope, { channel: 'other' }))).toBe('ERR_SEALBUS_CONTEXT_MISMATCH')
    envelope.fill('p')
    expect(sealer.sealSync(envelope, { channel: 'orders' }).bytes.includes('pppp')).toBe(false)
  })

  it.each([{ id: '\ud800' }, { inReplyTo: 'x\udc00' }, { contentEncoding: '\ud800' }, { contentType: 'text/\ud800' }])('half of a surrogate pair, which has no UTF-8: %o', (facts) => {
    expect(codeOf(() => sealerWithKey().sealSync('x', { channel: 'orders', ...facts }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it('closed', async () => {
    const sealer = sealerWithKey()
    sealer.close()
    expect(codeOf(() => sealer.sealSync('x', { channel: 'orders' }))).toBe('ERR_SEALBUS_CLOSED')
    expect(await rejectionOf(sealer.seal('x', { channel: 'orders' }))).toBe('ERR_SEALBUS_CLOSED')
  })

  it.each([
    { session: { messages: 0 } },
    { session: { messages: 2 ** 20 + 1 } },
    { session: { ageMs: 3_600_001 } },
    { session: { bytes: 64 * 2 ** 30 + 1 } },
    { session: { messages: Number.NaN } },
    { session: { live: 0 } },
    { session: { message: 1 } as never },
    { enc: 'A256CBC-HS512' as never },
    { contentKeys: 'never' as never },
    { realm: '' },
    { realms: 'prod' } as never,
  ])('options out of range are refused: %o', (options) => {
    expect(codeOf(() => createSealer({ directory: testDirectory({}), channels, ...options }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })
})

describe('content-key sessions', () => {
  const channels = defineChannels({ orders: { to: ['billing'] }, invoices: { to: ['billing'] } })
  const wrapped = (bytes: Buffer): string => parse(bytes).recipients[0]?.encrypted_key ?? expect.fail('no entry')

  it('end at the message bound, and the next message has a new key', () => {
    const sealer = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels, session: { messages: 3 } })
    const seen = Array.from({ length: 7 }, () => wrapped(sealer.sealSync('x', { channel: 'orders' }).bytes))
    expect(new Set(seen).size).toBe(3)
    expect(seen[0]).toBe(seen[2])
    expect(seen[2]).not.toBe(seen[3])
  })

  it('end at the byte bound; a message over it has one of its own', () => {
    const sealer = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels, session: { bytes: 10 } })
    const seen = ['12345', '12345', '1', 'x'.repeat(50), 'y'].map((payload) => wrapped(sealer.sealSync(payload, { channel: 'orders' }).bytes))
    expect(seen[0]).toBe(seen[1])
    expect(new Set(seen).size).toBe(4)
  })

  it('no more of them live than the bound says: the least used ends', () => {
    const sealer = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels, session: { live: 1 } })
    const seal = (channel: string): string => wrapped(sealer.sealSync('x', { channel }).bytes)
    const first = seal('orders')
    expect(seal('orders')).toBe(first)
    seal('invoices')
    expect(seal('orders')).not.toBe(first)
    expect(sealer.describe().session).toEqual({ messages: 1_024, ageMs: 60_000, bytes: 268_435_456, live: 1 })
  })

  it('belong to one channel, and per-message draws one each', () => {
    const directory = testDirectory({ billing: key('P-256').recipientKey })
    const sealer = createSealer({ directory, channels })
    expect(wrapped(sealer.sealSync('x', { channel: 'orders' }).bytes)).not.toBe(wrapped(sealer.sealSync('x', { channel: 'invoices' }).bytes))
    const each = createSealer({ directory, channels, contentKeys: 'per-message' })
    expect(wrapped(each.sealSync('x', { channel: 'orders' }).bytes)).not.toBe(wrapped(each.sealSync('x', { channel: 'orders' }).bytes))
  })

  it('end at once when a key changes, and on reset()', () => {
    const directory = testDirectory({ billing: key('P-256').recipientKey })
    const sealer = createSealer({ directory, channels })
    const first = sealer.sealSync('x', { channel: 'orders' })
    directory.keys['billing'] = key('X25519').recipientKey
    const second = sealer.sealSync('x', { channel: 'orders' })
    const opener = createOpener({ name: 'billing', identities: testIdentities(key('X25519').identity), channels })
    expect(opener.openSync(second.bytes, { channel: 'orders' }).plaintext.toString()).toBe('x')
    expect(codeOf(() => opener.openSync(first.bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_MISSING')
    sealer.reset()
    expect(wrapped(sealer.sealSync('x', { channel: 'orders' }).bytes)).not.toBe(wrapped(second.bytes))
  })

  it('end at once when the key of one among several changes', () => {
    const both = defineChannels({ orders: { to: ['a', 'b'] } })
    const directory = testDirectory({ a: key('P-256').recipientKey, b: key('X25519').recipientKey })
    const sealer = createSealer({ directory, channels: both })
    const kids = (): unknown[] => parse(sealer.sealSync('x', { channel: 'orders' }).bytes).recipients.map(({ header }) => header?.kid)
    expect(kids()).toEqual(['key-P-256', 'key-X25519'])
    directory.keys['b'] = key('RSA').recipientKey
    expect(kids()).toEqual(['key-P-256', 'key-RSA'])
    directory.keys['a'] = key('X25519').recipientKey
    expect(kids()).toEqual(['key-X25519', 'key-RSA'])
  })

  it('end at once when a key is revoked, and when one expires: nothing more is sealed', () => {
    const revocable = testDirectory({ billing: key('P-256').recipientKey })
    const sealer = createSealer({ directory: revocable, channels })
    sealer.sealSync('x', { channel: 'orders' })
    revocable.peek = () => {
      throw new SealbusError('ERR_SEALBUS_NO_USABLE_KEY', 'revoked')
    }
    expect(codeOf(() => sealer.sealSync('x', { channel: 'orders' }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')

    vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 })
    onTestFinished(() => void vi.useRealTimers())
    const expiring = createSealer({ directory: createStaticDirectory({ billing: { ...key('P-256').publicJwk, exp: 1_001 } as JWK }), channels })
    const first = wrapped(expiring.sealSync('x', { channel: 'orders' }).bytes)
    vi.setSystemTime(1_000_999)
    expect(wrapped(expiring.sealSync('x', { channel: 'orders' }).bytes)).toBe(first)
    vi.setSystemTime(1_001_000)
    expect(codeOf(() => expiring.sealSync('x', { channel: 'orders' }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })

  it('belong to the recipients of the moment, also when a `to` function changes its own list in place', () => {
    const names = ['a', 'b']
    const changing = defineChannels({ orders: { to: () => names } })
    const directory = testDirectory({ a: key('P-256').recipientKey, b: key('X25519').recipientKey, c: key('RSA').recipientKey })
    const sealer = createSealer({ directory, channels: changing })
    const kids = (): unknown[] => {
      const { recipients, protected: header } = parse(sealer.sealSync('x', { channel: 'orders' }).bytes)
      return recipients.map((each) => each.header?.kid ?? decodeProtectedHeader({ protected: header }).kid)
    }
    expect(kids()).toEqual(['key-P-256', 'key-X25519'])
    names.pop()
    expect(kids()).toEqual(['key-P-256'])
    names.push('c')
    expect(kids()).toEqual(['key-P-256', 'key-RSA'])
  })

  it('never use an IV twice with one content key', () => {
    const sealer = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels, session: { messages: 100_000 } })
    const ivs = Array.from({ length: 5_000 }, () => parse(sealer.sealSync('x', { channel: 'orders' }).bytes).iv)
    expect(new Set(ivs).size).toBe(5_000)
  })

  it('two names with one key are one entry, and colliding kids become thumbprints', async () => {
    const twin = await testKey('P-256', 'key-P-256')
    const both = defineChannels({ orders: { to: ['a', 'b', 'c'] } })
    const directory = testDirectory({ a: key('P-256').recipientKey, b: key('P-256').recipientKey, c: twin.recipientKey })
    const { bytes } = createSealer({ directory, channels: both }).sealSync('x', { channel: 'orders' })
    expect(parse(bytes).recipients.map((each) => each.header?.kid)).toEqual([key('P-256').recipientKey.thumbprint, twin.recipientKey.thumbprint])
    for (const each of [key('P-256'), twin]) {
      const opener = createOpener({ name: 'a', identities: testIdentities(each.identity), channels: both })
      expect(opener.openSync(bytes, { channel: 'orders' }).plaintext.toString()).toBe('x')
    }
  })
})

describe('seal: one key that two names know by different kids', () => {
  const both = defineChannels({ orders: { to: ['a', 'b', 'c'] }, pair: { to: ['a', 'b'] } })

  it.each(['orders', 'pair'])('opens with either kid: %s', (channel) => {
    const { identity, recipientKey } = key('P-256')
    const keyLists = [['old', 'new'], ['new', 'old']].map(([a = '', b = '']) => testDirectory({ a: { ...recipientKey, kid: a }, b: { ...recipientKey, kid: b }, c: key('X25519').recipientKey }))
    for (const directory of keyLists) {
      const { bytes } = createSealer({ directory, channels: both }).sealSync('x', { channel })
      for (const kid of ['old', 'new']) {
        const opener = createOpener({ name: 'a', identities: testIdentities({ ...identity, kid }), channels: both })
        expect(opener.openSync(bytes, { channel })).toMatchObject({ kid, plaintext: Buffer.from('x') })
      }
    }
  })
})

describe('seal: hostile and careless callers', () => {
  const channels = defineChannels({ orders: { to: ['billing'] } })
  const withKey = (options: Partial<SealerOptions> = {}): ReturnType<typeof createSealer> => createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels, ...options })

  it('describe() shows the whole policy, as given and by default', () => {
    expect(withKey().describe()).toMatchObject({ serialization: 'general', keyManagementAlgorithms: ['ECDH-ES+A256KW', 'RSA-OAEP-256'], maxPayloadBytes: 16_777_216 })
    const given = { serialization: 'compact', keyManagementAlgorithms: ['RSA-OAEP-256'], maxPayloadBytes: 7 } as const
    const sealer = withKey(given)
    expect(sealer.describe()).toMatchObject(given)
    ;(sealer.describe().keyManagementAlgorithms as string[]).push('ECDH-ES+A256KW')
    expect(codeOf(() => sealer.sealSync('x', { channel: 'orders' }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })

  it('the bounds that describe() shows are not the ones in force', () => {
    const sealer = withKey({ session: { messages: 1 } })
    expect(() => Object.assign(sealer.describe().session, { messages: Number.POSITIVE_INFINITY })).toThrow(TypeError)
    const seen = [1, 2].map(() => parse(sealer.sealSync('x', { channel: 'orders' }).bytes).recipients[0]?.encrypted_key)
    expect(new Set(seen).size).toBe(2)
  })

  it('a payload that is changed while its keys are fetched is sealed as it was given', async () => {
    const directory = testDirectory({})
    const sealer = createSealer({ directory, channels })
    directory.resolve = async () => {
      await Promise.resolve()
      return (directory.keys['billing'] = key('P-256').recipientKey)
    }
    const payload = Buffer.from('first')
    const pending = sealer.seal(payload, { channel: 'orders' })
    payload.write('other')
    const opener = createOpener({ name: 'billing', identities: testIdentities(key('P-256').identity), channels })
    expect(opener.openSync((await pending).bytes, { channel: 'orders' }).plaintext.toString()).toBe('first')
  })

  it.each(['gzip', 'zstd'] as const)('what %s would only make longer is sealed as it is: at the largest payload no opener would take it otherwise', (compress) => {
    const compressed = defineChannels({ orders: { to: ['billing'], compress } })
    const sealer = withKey({ channels: compressed, maxPayloadBytes: 4_096 })
    const opener = createOpener({ name: 'billing', identities: testIdentities(key('P-256').identity), channels: compressed, maxPayloadBytes: 4_096 })
    for (const payload of [randomBytes(4_096), Buffer.alloc(4_096), Buffer.alloc(0)]) {
      const { bytes } = sealer.sealSync(payload, { channel: 'orders' })
      expect(opener.openSync(bytes, { channel: 'orders' }).plaintext).toEqual(payload)
      expect(Buffer.from((JSON.parse(bytes.toString()) as { ciphertext: string }).ciphertext, 'base64url').length).toBeLessThanOrEqual(payload.length)
    }
  })

  it('a message whose members change from one look to the next is sealed as it was checked', () => {
    const looks = { contentType: 0, contentEncoding: 0, id: 0 }
    const shifty = {
      channel: 'orders',
      get contentType() { return looks.contentType++ === 0 ? 'application/json' : 'application/jose' },
      get contentEncoding() { return looks.contentEncoding++ === 0 ? 'br' : 'x'.repeat(1_000) },
      get id() { return looks.id++ === 0 ? 'one' : '' },
    }
    const opener = createOpener({ name: 'billing', identities: testIdentities(key('P-256').identity), channels })
    const { bytes, id } = withKey().sealSync('x', shifty)
    expect(id).toBe('one')
    expect(opener.openSync(bytes, { channel: 'orders' })).toMatchObject({ id: 'one', contentType: 'application/json', contentEncoding: 'br' })
    expect(looks).toEqual({ contentType: 1, contentEncoding: 1, id: 1 })
  })

  it('an empty content type is none, and comes back as none', () => {
    const { bytes } = withKey().sealSync('x', { channel: 'orders', contentType: '' })
    expect(decodeProtectedHeader(parse(bytes))).not.toHaveProperty('cty')
  })

  it.each([42, null, undefined, {}, [1], new Uint16Array(1), new ArrayBuffer(1)])('a payload that is no bytes is refused without being quoted, also while somebody listens: %o', async (payload) => {
    const sealer = withKey()
    const listening = tracingChannel('sealbus:seal')
    const listener = { start: () => {} }
    for (const listen of [false, true]) {
      if (listen) listening.subscribe(listener as never)
      try {
        expect(codeOf(() => sealer.sealSync(payload as never, { channel: 'orders' }))).toBe('ERR_SEALBUS_INVALID_OPTION')
        expect(await rejectionOf(sealer.seal(payload as never, { channel: 'orders' }))).toBe('ERR_SEALBUS_INVALID_OPTION')
      } finally {
        if (listen) listening.unsubscribe(listener as never)
      }
    }
  })

  it.each([42, {}, true])('a record key that is no bytes: %o', (recordKey) => {
    expect(codeOf(() => withKey().sealSync('x', { channel: 'orders', key: recordKey as never }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it.each([undefined, 42, Symbol('orders')])('a channel that is no name: %o', (channel) => {
    expect(codeOf(() => withKey().sealSync('x', { channel: channel as never }))).toBe('ERR_SEALBUS_UNDECLARED_CHANNEL')
  })

  it('a key of a custom directory that cannot be wrapped for is a typed error, without what OpenSSL says', () => {
    const broken = { ...key('P-256').recipientKey, publicKey: key('RSA').recipientKey.publicKey }
    const zero = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32).toString('base64url') }, format: 'jwk' })
    const lowOrder = { ...key('X25519').recipientKey, publicKey: zero }
    for (const recipientKey of [broken, lowOrder]) {
      const sealer = createSealer({ directory: testDirectory({ billing: recipientKey }), channels })
      const error = thrownBy(() => sealer.sealSync('x', { channel: 'orders' }))
      expect(error).toMatchObject({ code: 'ERR_SEALBUS_NO_USABLE_KEY', message: expect.stringContaining(recipientKey.kid) })
      expect(error).not.toHaveProperty('cause')
    }
  })

  it('closed: no keys are fetched or kept warm any more', async () => {
    const sealer = withKey()
    sealer.close()
    expect(await rejectionOf(sealer.ready())).toBe('ERR_SEALBUS_CLOSED')
  })
})

describe('seal: waiting for keys', () => {
  const channels = defineChannels({ orders: { to: ['billing'] }, invoices: { to: ['billing', 'audit'] }, chosen: { to: ({ key }) => (key === 'a' ? ['audit'] : ['billing']) }, metrics: 'plaintext' })

  /** A directory that has nothing in memory until it was asked, and remembers how it was asked. */
  function coldDirectory(): RecipientDirectory & { asked: [string, unknown][]; warm: string[] } {
    const known = new Map<string, RecipientKey>()
    const directory = {
      asked: [] as [string, unknown][],
      warm: [] as string[],
      peek: (name: string) => known.get(name),
      async resolve(name: string, options?: { signal?: AbortSignal }): Promise<RecipientKey> {
        directory.asked.push([name, options])
        await Promise.resolve()
        const { recipientKey } = key(name === 'audit' ? 'X25519' : 'P-256')
        known.set(name, recipientKey)
        return recipientKey
      },
      keepWarm: (names: readonly string[]): void => void directory.warm.push(...names),
    }
    return directory
  }

  it('seal() fetches what the message needs, with the signal that it was given, and nothing that is known', async () => {
    const directory = coldDirectory()
    const sealer = createSealer({ directory, channels })
    const { signal } = new AbortController()
    expect(sealer.isReady({ channel: 'orders' })).toBe(false)
    const { bytes } = await sealer.seal('x', { channel: 'orders', signal })
    expect(parse(bytes).recipients).toHaveLength(1)
    expect(directory.asked).toEqual([['billing', { signal }]])
    expect(sealer.isReady({ channel: 'orders' })).toBe(true)
    await sealer.seal('x', { channel: 'orders' })
    await sealer.seal('x', { channel: 'invoices' })
    expect(directory.asked).toEqual([['billing', { signal }], ['billing', undefined], ['audit', undefined]])
    expect(directory.warm).toEqual([])
  })

  it('ready() of messages fetches for those that have something missing, each name once; of none, for all that is declared, and keeps it warm', async () => {
    const directory = coldDirectory()
    const sealer = createSealer({ directory, channels })
    await sealer.ready({ messages: [{ channel: 'orders' }, { channel: 'orders' }, { channel: 'chosen', key: 'b' }] })
    expect(directory.asked).toEqual([['billing', undefined]])
    await sealer.ready({ messages: [{ channel: 'orders' }] })
    expect(directory.asked).toHaveLength(1)
    await sealer.ready({ messages: [{ channel: 'orders' }, { channel: 'chosen', key: 'a' }] })
    expect(directory.asked).toEqual([['billing', undefined], ['audit', undefined]])
    expect(directory.warm).toEqual([])
    await sealer.ready()
    expect(directory.warm).toEqual(['billing', 'audit'])
  })

  it('a reason that is known already is not waited for: sealing throws it, and only that', async () => {
    const unusable = new SealbusError('ERR_SEALBUS_NO_USABLE_KEY', 'expired')
    const directory = { ...testDirectory({}), peek: () => { throw unusable } }
    const sealer = createSealer({ directory, channels })
    expect(sealer.isReady({ channel: 'orders' })).toBe(true)
    expect(await rejectionOf(sealer.seal('x', { channel: 'orders' }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    expect(directory.resolved).toEqual([])
    const broken = createSealer({ directory: { ...testDirectory({}), peek: () => { throw new RangeError('of a custom directory') } }, channels })
    expect(thrownBy(() => broken.isReady({ channel: 'orders' }))).toBeInstanceOf(RangeError)
  })

  it('an opened envelope passes through, though no key is known', async () => {
    const warm = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels })
    const { envelope } = createOpener({ name: 'billing', identities: testIdentities(key('P-256').identity), channels }).openSync(warm.sealSync('x', { channel: 'orders' }).bytes, { channel: 'orders' })
    const directory = coldDirectory()
    expect((await createSealer({ directory, channels }).seal(envelope, { channel: 'orders' })).bytes).toBe(envelope)
    expect(directory.asked).toEqual([])
  })

  it('a foreign envelope that was opened passes through, and has no id', async () => {
    const foreign = defineChannels({ orders: { to: ['billing'], foreign: true } })
    const { publicJwk, identity, recipientKey } = key('P-256')
    const jwe = await new CompactEncrypt(Buffer.from('x')).setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: identity.kid }).encrypt(createPublicKey({ key: publicJwk, format: 'jwk' }))
    const { envelope } = createOpener({ name: 'billing', identities: testIdentities(identity), channels: foreign }).openSync(Buffer.from(jwe), { channel: 'orders' })
    expect(createSealer({ directory: testDirectory({ billing: recipientKey }), channels: foreign }).sealSync(envelope, { channel: 'orders' })).toEqual({ bytes: envelope, contentType: 'application/jose', id: '' })
  })

  it('a function of recipients is given what the message has, and no more', () => {
    const to = vi.fn(() => ['billing'])
    const sealer = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels: defineChannels({ orders: { to } }) })
    sealer.sealSync('x', { channel: 'orders' })
    sealer.sealSync('x', { channel: 'orders', key: null, headers: { a: '1' }, contentType: 'text/plain', id: 'm-1' })
    sealer.sealSync('x', { channel: 'orders', key: 'k' })
    expect(to.mock.calls).toStrictEqual([[{ channel: 'orders' }], [{ channel: 'orders', key: null, headers: { a: '1' }, contentType: 'text/plain' }], [{ channel: 'orders', key: 'k' }]])
  })
})

describe('seal: what is asked at construction', () => {
  const directory = testDirectory({})

  it.each<[ChannelDeclarations, boolean]>([
    [{ a: { to: ['x'] } }, true],
    [{ a: { to: ['x'] }, metrics: 'plaintext' }, true],
    [{ a: { to: ['x', 'y'] } }, false],
    [{ a: { to: () => ['x'] } }, false],
  ])('compact is for channels of one recipient: %o', (declarations, permitted) => {
    const create = () => createSealer({ directory, channels: defineChannels(declarations), serialization: 'compact' })
    if (permitted) expect(create).not.toThrow()
    else expect(codeOf(create)).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it.each<Partial<SealerOptions>>([{ contentKeys: 'session' }, { contentKeys: 'per-message' }, { serialization: 'general' }, { realm: 'prod' }, {}])('%o is permitted', (options) => {
    const { contentKeys = 'session', realm } = options
    const channels = defineChannels({ a: { to: ['x', 'y'] } })
    expect(createSealer({ directory, channels, ...options }).describe()).toMatchObject({ enc: 'A256GCM', contentKeys, realm, channels: ['a'] })
  })

  it('an unknown `enc` is refused, not only one that does not seal', () => {
    expect(codeOf(() => createSealer({ directory, channels: defineChannels({}), enc: 'A512GCM' as never }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it('after reset() nothing of before is used again', () => {
    const sealer = createSealer({ directory: testDirectory({ billing: key('P-256').recipientKey }), channels: defineChannels({ a: { to: ['billing'] } }) })
    const first = parse(sealer.sealSync('x', { channel: 'a' }).bytes)
    sealer.reset()
    const second = parse(sealer.sealSync('x', { channel: 'a' }).bytes)
    expect(second.iv).not.toBe(first.iv)
    expect(second.recipients[0]?.encrypted_key).not.toBe(first.recipients[0]?.encrypted_key)
  })
})
