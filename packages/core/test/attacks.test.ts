import { execFileSync } from 'node:child_process'
import { createCipheriv, createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import { inspect } from 'node:util'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import type { JWK } from 'jose'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { contentEncryption } from '../src/algorithms.ts'
import { defineChannels } from '../src/channels.ts'
import { decryptContent, encryptContent } from '../src/content.ts'
import { isSealbusError } from '../src/errors.ts'
import { loadIdentities } from '../src/identities.ts'
import type { Identity } from '../src/identity.ts'
import { createJwksDirectory } from '../src/jwks/directory.ts'
import { createOpener, type Opener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { wrapKey } from '../src/wrap.ts'
import { forge, keyMembers, knownContentKey } from '../fuzz/forgery.ts'
import { json, startEndpoint } from './support/endpoint.ts'
import { testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectionOf } from './support/thrown.ts'

type Header = Record<string, unknown>
interface Jwe {
  [member: string]: unknown
  protected: string
  recipients: { [member: string]: unknown; header: Header; encrypted_key: string }[]
  iv: string
  ciphertext: string
  tag: string
}

const channels = defineChannels({ orders: { to: ['billing', 'shipping'] }, solo: { to: ['billing'] }, mixed: { to: ['billing', 'warehouse'] } })
const CANARY = 'plaintext-canary'
let billing: TestKey
let shipping: TestKey
let warehouse: TestKey
let good: Jwe
let sole: Jwe
/** Of two algorithms, so that `alg` stands in each entry's header. */
let mixed: Jwe
beforeAll(async () => {
  billing = await testKey('P-256', 'billing-1')
  shipping = await testKey('X25519', 'shipping-1')
  warehouse = await testKey('RSA', 'warehouse-1')
  const sealer = createSealer({ directory: testDirectory({ billing: billing.recipientKey, shipping: shipping.recipientKey, warehouse: warehouse.recipientKey }), channels })
  good = JSON.parse(sealer.sealSync(CANARY, { channel: 'orders' }).bytes.toString()) as Jwe
  sole = JSON.parse(sealer.sealSync(CANARY, { channel: 'solo' }).bytes.toString()) as Jwe
  mixed = JSON.parse(sealer.sealSync(CANARY, { channel: 'mixed' }).bytes.toString()) as Jwe
})

const base64 = (text: string): string => Buffer.from(text).toString('base64url')
const headerOf = (jwe: Jwe): Header => JSON.parse(Buffer.from(jwe.protected, 'base64url').toString()) as Header
const copy = (jwe: Jwe): Jwe => structuredClone(jwe)
/** One fault in a protected header. The tag no longer fits, so another code than DECRYPT_FAILED proves an earlier check. */
const withProtected = (change: (header: Header) => void, jwe: Jwe = good): string => {
  const header = headerOf(jwe)
  change(header)
  return JSON.stringify({ ...jwe, protected: base64(JSON.stringify(header)) })
}
const changed = (change: (jwe: Jwe) => void, jwe: Jwe = good): string => {
  const made = copy(jwe)
  change(made)
  return JSON.stringify(made)
}
const own = (jwe: Jwe): Jwe['recipients'][number] => jwe.recipients[0] ?? expect.fail('no entry')

function spiedOpener(): { opener: Opener; unwrap: ReturnType<typeof vi.fn<Identity['unwrap']>> } {
  const unwrap = vi.fn<Identity['unwrap']>((request) => billing.identity.unwrap(request))
  return { opener: createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels }), unwrap }
}

function thrownBy(call: () => unknown): unknown {
  try {
    return call()
  } catch (error) {
    return error
  }
}

/** Looks at all that a log could show of an error: message, stack, cause, and properties that are not enumerable. */
function expectNothingSecret(error: unknown, ...more: readonly string[]): void {
  expect(error).toBeInstanceOf(Error)
  const shown = [inspect(error, { depth: Infinity, showHidden: true, maxStringLength: null }), String((error as Error).stack), JSON.stringify(error)].join('\n')
  const privateMembers = [billing, shipping].map(({ privateKey }) => String(privateKey.export({ format: 'jwk' })['d']))
  for (const secret of [CANARY, base64(CANARY), Buffer.from(CANARY).toString('hex'), ...privateMembers, ...more]) expect(shown).not.toContain(secret)
}

const MALFORMED = 'ERR_SEALBUS_MALFORMED'
const REFUSED = 'ERR_SEALBUS_REFUSED'
const cases: [string, string, () => string][] = [
  ...['crit', 'zip', 'jku', 'jwk', 'x5u', 'x5c'].flatMap((name): typeof cases => [
    [`\`${name}\` in the protected header`, REFUSED, () => withProtected((header) => (header[name] = ['x']))],
    [`\`${name}\` in our entry's header`, REFUSED, () => changed((jwe) => (own(jwe).header[name] = ['x']))],
    [`\`${name}\` in another's header`, REFUSED, () => changed((jwe) => Object.assign(jwe.recipients[1]?.header ?? {}, { [name]: 'x' }))],
  ]),
  ['`unprotected` at the top', REFUSED, () => changed((jwe) => (jwe['unprotected'] = {}))],
  ['`aad` at the top', REFUSED, () => changed((jwe) => (jwe['aad'] = ''))],
  ['an unknown member at the top', REFUSED, () => changed((jwe) => (jwe['more'] = 1))],
  ['an unknown member of an entry', REFUSED, () => changed((jwe) => (own(jwe)['more'] = 1))],
  ['a duplicate member at the top', MALFORMED, () => JSON.stringify(good).replace('{', '{"iv":"AAAA",')],
  ['a duplicate member of the protected header', MALFORMED, () => JSON.stringify({ ...good, protected: base64(JSON.stringify(headerOf(good)).replace('{', '{"\\u0065nc":"A256GCM",')) })],
  ["a duplicate member of an entry's header", MALFORMED, () => JSON.stringify(good).replace('"header":{', '"header":{"kid":"x",')],
  ['a duplicate member of an entry', MALFORMED, () => JSON.stringify(good).replace('{"header":{', '{"encrypted_\\u006bey":"AAAA","header":{')],
  ['a duplicate member of an `epk`', MALFORMED, () => JSON.stringify(good).replace('"epk":{', '"epk":{"kty":"EC",')],
  ['a duplicate member of `msg`', MALFORMED, () => JSON.stringify({ ...good, protected: base64(JSON.stringify(headerOf(good)).replace('"msg":{', '"msg":{"ch":"x",')) })],
  ['a parameter in both headers', MALFORMED, () => changed((jwe) => (own(jwe).header['alg'] = 'ECDH-ES+A256KW'))],
  ...['enc', 'cty', 'typ', 'kc', 'msg'].map((name): (typeof cases)[number] => [`\`${name}\` in an entry's header only`, name === 'kc' || name === 'msg' ? MALFORMED : REFUSED, () => {
    const value = headerOf(good)[name] ?? 'json'
    const made = JSON.parse(withProtected((header) => delete header[name])) as Jwe
    own(made).header[name] = value
    return JSON.stringify(made)
  }]),
  ['no recipients', MALFORMED, () => changed((jwe) => (jwe.recipients = []))],
  ['101 recipients', MALFORMED, () => changed((jwe) => (jwe.recipients = Array.from({ length: 101 }, () => own(jwe))))],
  ['`recipients` that is no array', MALFORMED, () => changed((jwe) => (jwe['recipients'] = {} as never))],
  ['another `encrypted_key` beside `recipients`', REFUSED, () => changed((jwe) => (jwe['encrypted_key'] = 'AAAA'))],
  ['a `header` beside `recipients`', REFUSED, () => changed((jwe) => (jwe['header'] = {}))],
  ...(['protected', 'iv', 'ciphertext', 'tag'] as const).flatMap((name): typeof cases => [
    [`padding in \`${name}\``, MALFORMED, () => changed((jwe) => (jwe[name] += '='))],
    [`white space in \`${name}\``, MALFORMED, () => changed((jwe) => (jwe[name] = ` ${jwe[name]}`))],
    [`standard base64 in \`${name}\``, MALFORMED, () => changed((jwe) => (jwe[name] = `+/${jwe[name].slice(2)}`))],
    [`a missing \`${name}\``, name === 'protected' ? 'ERR_SEALBUS_NOT_SEALED' : MALFORMED, () => changed((jwe) => delete (jwe as Record<string, unknown>)[name])],
    [`\`${name}\` that is no string`, MALFORMED, () => changed((jwe) => (jwe[name] = 1 as never))],
  ]),
  ...(['tag', 'ciphertext'] as const).map((name): (typeof cases)[number] => [`stray bits at the end of \`${name}\``, MALFORMED, () => changed((jwe) => (jwe[name] = jwe[name].slice(0, -1) + 'B'))]),
  ...(['=', ' ', '\n', '\u0000'] as const).map((end): (typeof cases)[number] => [`${JSON.stringify(end)} after \`encrypted_key\``, MALFORMED, () => changed((jwe) => (own(jwe).encrypted_key += end))]),
  ['standard base64 in `encrypted_key`', MALFORMED, () => changed((jwe) => (own(jwe).encrypted_key = `+/${own(jwe).encrypted_key.slice(2)}`))],
  ['stray bits at the end of `encrypted_key`', MALFORMED, () => changed((jwe) => (own(jwe).encrypted_key = `${own(jwe).encrypted_key.slice(0, -1)}B`))],
  ["padding in another's `encrypted_key`", MALFORMED, () => changed((jwe) => Object.assign(jwe.recipients[1] ?? {}, { encrypted_key: 'AA==' }))],
  ["another's `encrypted_key` over 4 KiB", MALFORMED, () => changed((jwe) => Object.assign(jwe.recipients[1] ?? {}, { encrypted_key: 'A'.repeat(5_464) }))],
  ['no `encrypted_key`', MALFORMED, () => changed((jwe) => delete (own(jwe) as Header)['encrypted_key'])],
  ['an entry that is null', MALFORMED, () => changed((jwe) => jwe.recipients.push(null as never))],
  ['a `header` that is an array', MALFORMED, () => changed((jwe) => (own(jwe).header = [] as never))],
  ...[0, 8, 11, 13, 16].map((size): (typeof cases)[number] => [`an IV of ${size} bytes`, MALFORMED, () => changed((jwe) => (jwe.iv = randomBytes(size).toString('base64url')))]),
  ...[0, 4, 12, 15, 17, 32].map((size): (typeof cases)[number] => [`a tag of ${size} bytes`, MALFORMED, () => changed((jwe) => (jwe.tag = randomBytes(size).toString('base64url')))]),
  ...[0, 8, 16, 39, 41, 256].map((size): (typeof cases)[number] => [`an \`encrypted_key\` of ${size} bytes`, MALFORMED, () => changed((jwe) => (own(jwe).encrypted_key = randomBytes(size).toString('base64url')))]),
  ['an `encrypted_key` of 1 MB', MALFORMED, () => changed((jwe) => (own(jwe).encrypted_key = randomBytes(1_000_000).toString('base64url')))],
  ['an `epk` with `d`', MALFORMED, () => changed((jwe) => (own(jwe).header['epk'] = { ...(own(jwe).header['epk'] as Header), d: 'AAAA' }))],
  ['an `epk` on another curve', MALFORMED, () => changed((jwe) => (own(jwe).header['epk'] = { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43) }))],
  ['an `epk` without y', MALFORMED, () => changed((jwe) => delete (own(jwe).header['epk'] as Header)['y'])],
  ['an `epk` with an x of 31 bytes', MALFORMED, () => changed((jwe) => ((own(jwe).header['epk'] as Header)['x'] = randomBytes(31).toString('base64url')))],
  ...(['x', 'y'] as const).map((name): (typeof cases)[number] => [`padding in the \`epk\`'s ${name}`, MALFORMED, () => changed((jwe) => ((own(jwe).header['epk'] as Record<string, string>)[name] += '='))]),
  ['no `epk`', MALFORMED, () => changed((jwe) => delete own(jwe).header['epk'])],
  ...['dir', 'ECDH-ES', 'ECDH-ES+A128KW', 'A256KW', 'RSA1_5', 'RSA-OAEP', 'RSA-OAEP-256', 'PBES2-HS512+A256KW', 'ECDH-es+a256kw', 1, null].map((alg): (typeof cases)[number] => [`\`alg\` ${alg}`, REFUSED, () => withProtected((header) => (header['alg'] = alg))]),
  ...['A192GCM', 'A128CBC-HS256', 'a256gcm', 'constructor', 1].map((enc): (typeof cases)[number] => [`\`enc\` ${enc}`, REFUSED, () => withProtected((header) => (header['enc'] = enc))]),
  ...['dir', 'ECDH-ES', 'A256KW', 'RSA-OAEP-256', 'RSA1_5', 'ECDH-es', null].map((alg): (typeof cases)[number] => [`\`alg\` ${alg} in our entry's header`, REFUSED, () => changed((jwe) => (own(jwe).header['alg'] = alg), mixed)]),
  ["no `alg` in our entry's header, nor in the protected one", REFUSED, () => changed((jwe) => delete own(jwe).header['alg'], mixed)],
  ['PBES2 with two thousand million rounds', REFUSED, () => withProtected((header) => Object.assign(header, { alg: 'PBES2-HS512+A256KW', p2s: 'A'.repeat(22), p2c: 2_147_483_647 }))],
  ["PBES2 with two thousand million rounds in our entry's header", REFUSED, () => changed((jwe) => Object.assign(own(jwe).header, { alg: 'PBES2-HS512+A256KW', p2s: 'A'.repeat(22), p2c: 2_147_483_647 }), mixed)],
  ['`enc` of another key length', MALFORMED, () => withProtected((header) => (header['enc'] = 'A128GCM'))],
  ['no `enc`', REFUSED, () => withProtected((header) => delete header['enc'])],
  ['`enc` of another IV length', MALFORMED, () => withProtected((header) => (header['enc'] = 'A256CBC-HS512'))],
  ['no `typ`', REFUSED, () => withProtected((header) => delete header['typ'])],
  ['another `typ`', REFUSED, () => withProtected((header) => (header['typ'] = 'JWT'))],
  ['no `kc`', MALFORMED, () => withProtected((header) => delete header['kc'])],
  ['a `kc` of 31 bytes', MALFORMED, () => withProtected((header) => (header['kc'] = randomBytes(31).toString('base64url')))],
  ['no `msg`', MALFORMED, () => withProtected((header) => delete header['msg'])],
  ['`cty` jose, without configured senders', REFUSED, () => withProtected((header) => (header['cty'] = 'JOSE'))],
  ...([['v', 2, 'ERR_SEALBUS_UNSUPPORTED_VERSION'], ['v', '1', MALFORMED], ['v', 1.5, MALFORMED], ['id', '', MALFORMED], ['id', 'x'.repeat(129), MALFORMED], ['iat', -1, MALFORMED], ['iat', 1.5, MALFORMED], ['iat', 1e20, MALFORMED], ['iat', '1', MALFORMED], ['ch', '', MALFORMED], ['ch', 'x'.repeat(256), MALFORMED], ['to', [], MALFORMED], ['to', 'billing', MALFORMED], ['to', [''], MALFORMED], ['key', 'AAAA', MALFORMED], ['ce', 1, MALFORMED], ['re', '', MALFORMED], ['realm', '', MALFORMED], ['z', 'deflate', MALFORMED], ['hdr', { a: 'b' }, MALFORMED], ['hdr', { a: ['='] }, MALFORMED]] as const).map(([name, value, code]): (typeof cases)[number] => [`\`msg.${name}\` ${JSON.stringify(value).slice(0, 20)}`, code, () => withProtected((header) => ((header['msg'] as Header)[name] = value))]),
  ['a padded `kc`', MALFORMED, () => withProtected((header) => (header['kc'] = `${String(header['kc'])}=`))],
  ["nesting of depth 9 in another's header", MALFORMED, () => changed((jwe) => Object.assign(jwe.recipients[1]?.header ?? {}, { deep: [[[[[]]]]] }))],
  ['nesting of depth 9 in the protected header', MALFORMED, () => withProtected((header) => (header['deep'] = [[[[[[[[[]]]]]]]]]))],
  ['a protected header over 16 KiB', MALFORMED, () => withProtected((header) => (header['more'] = 'x'.repeat(20_000)))],
  ['`kid` that is no string', MALFORMED, () => changed((jwe) => (own(jwe).header['kid'] = 7))],
  ['no kid, with several entries', 'ERR_SEALBUS_KEY_MISSING', () => changed((jwe) => delete own(jwe).header['kid'])],
  ["a kid that is null, with a sole entry", MALFORMED, () => changed((jwe) => {
    jwe.recipients.length = 1
    own(jwe).header['kid'] = null
  })],
  ['a kid of 1 MB', 'ERR_SEALBUS_KEY_MISSING', () => changed((jwe) => (own(jwe).header['kid'] = 'k'.repeat(1_000_000)))],
  ['a kid that names something of Object.prototype', 'ERR_SEALBUS_KEY_MISSING', () => changed((jwe) => (own(jwe).header['kid'] = '__proto__'))],
]

describe('attacks: refused before any private-key work, and nothing secret in the error', () => {
  it.each(cases)('%s: %s', async (_title, code, make) => {
    const { opener, unwrap } = spiedOpener()
    const bytes = Buffer.from(make())
    const error = thrownBy(() => opener.openSync(bytes, { channel: 'orders' }))
    expect(isSealbusError(error) ? error.code : error).toBe(code)
    expect(await rejectionOf(opener.open(bytes, { channel: 'orders' }))).toBe(code)
    expect(unwrap).not.toHaveBeenCalled()
    expectNothingSecret(error, good.ciphertext, good.tag)
  })

  it('the good ones open, so each case above has the one fault only', () => {
    const { opener } = spiedOpener()
    for (const [jwe, channel] of [[good, 'orders'], [sole, 'solo'], [mixed, 'mixed']] as const) {
      expect(opener.openSync(Buffer.from(JSON.stringify(jwe)), { channel }).plaintext.toString()).toBe(CANARY)
    }
  })

  it.each([0, 128, 255, 257, 512])('an RSA `encrypted_key` of %i bytes, where the modulus has 256', (size) => {
    const unwrap = vi.fn<Identity['unwrap']>((request) => warehouse.identity.unwrap(request))
    const opener = createOpener({ name: 'warehouse', identities: testIdentities({ ...warehouse.identity, unwrap }), channels })
    const bytes = changed((jwe) => Object.assign(jwe.recipients[1] ?? {}, { encrypted_key: randomBytes(size).toString('base64url') }), mixed)
    expect(codeOf(() => opener.openSync(Buffer.from(bytes), { channel: 'mixed' }))).toBe(MALFORMED)
    expect(unwrap).not.toHaveBeenCalled()
  })

  it('an envelope over 32 MiB is refused without being read', () => {
    const large = Buffer.concat([Buffer.from('{"protected":"'), Buffer.alloc(33 * 1024 * 1024, 'A')])
    const reading = (['toString', 'includes', 'indexOf', 'subarray'] as const).map((method) => vi.spyOn(large, method))
    expect(codeOf(() => spiedOpener().opener.openSync(large, { channel: 'orders' }))).toBe('ERR_SEALBUS_TOO_LARGE')
    for (const method of reading) expect(method).not.toHaveBeenCalled()
  })
})

describe('attacks: addresses in an envelope', () => {
  it.each(['jku', 'x5u'])('`%s` is asked for nothing', async (name) => {
    const endpoint = await startEndpoint(json({ keys: [billing.publicJwk] }))
    const connecting = vi.spyOn(Socket.prototype, 'connect')
    onTestFinished(() => connecting.mockRestore())
    const { opener } = spiedOpener()
    for (const text of [withProtected((header) => (header[name] = endpoint.url)), changed((jwe) => (own(jwe).header[name] = endpoint.url)), changed((jwe) => (own(jwe).header['epk'] = { ...(own(jwe).header['epk'] as Header), [name]: endpoint.url }))]) {
      await opener.open(Buffer.from(text), { channel: 'orders' }).catch(() => {})
      thrownBy(() => opener.openSync(Buffer.from(text), { channel: 'orders' }))
    }
    await new Promise((resolve) => setImmediate(resolve))
    expect(connecting).not.toHaveBeenCalled()
    expect(endpoint.requests).toHaveLength(0)
    // The look would see a request.
    await fetch(endpoint.url)
    expect(connecting).toHaveBeenCalled()
    expect(endpoint.requests).toHaveLength(1)
  })
})

describe('attacks: a payload that decompresses to half a gibibyte', () => {
  const MIB = 1_048_576
  /** In a process of its own, whose greatest size so far is known: the sizes of this one are of all tests before. */
  const OPENING = `
    import { readFileSync } from 'node:fs'
    const [{ createOpener }, { defineChannels }, { loadIdentities }] = await Promise.all(['open', 'channels', 'identities'].map((name) => import(process.env.SOURCES + name + '.ts')))
    const { jwk, good, bomb } = JSON.parse(readFileSync(0, 'utf8'))
    const opener = createOpener({ name: 'billing', identities: await loadIdentities({ keys: [jwk] }), channels: defineChannels({ solo: { to: ['billing'] } }) })
    const size = opener.openSync(Buffer.from(good), { channel: 'solo' }).plaintext.length
    const before = process.resourceUsage().maxRSS
    let code
    try { opener.openSync(Buffer.from(bomb), { channel: 'solo' }) } catch (error) { code = error.code }
    console.log(JSON.stringify({ size, code, grownKib: process.resourceUsage().maxRSS - before }))`

  it.each([['gzip', gzipSync], ['zstd', zstdCompressSync]] as const)('takes no more memory than a payload may have: %s', (z, compress) => {
    const content = knownContentKey('A256GCM', [billing])
    const sealed = (payload: Buffer): string => forge(content, JSON.stringify({ ...keyMembers(content), msg: { v: 1, id: 'm-1', iat: 1, ch: 'solo', to: ['billing'], z } }), payload).toString()
    const part = compress(Buffer.alloc(MIB))
    const messages = { jwk: { ...billing.privateKey.export({ format: 'jwk' }), kid: 'billing-1', alg: 'ECDH-ES+A256KW', use: 'enc' }, good: sealed(compress(Buffer.alloc(16 * MIB))), bomb: sealed(Buffer.concat(Array.from({ length: 512 }, () => part))) }
    const shown = execFileSync(process.execPath, ['--conditions=@sealbus/source', '--input-type=module', '--eval', OPENING], {
      env: { ...process.env, SOURCES: new URL('../src/', import.meta.url).href },
      input: JSON.stringify(messages),
      encoding: 'utf8',
    })
    const { size, code, grownKib } = JSON.parse(shown) as { size: number; code: string; grownKib: number }
    expect({ size, code }).toEqual({ size: 16 * MIB, code: 'ERR_SEALBUS_MALFORMED' })
    expect(grownKib).toBeLessThan(64 * 1_024)
  })
})

describe('attacks: what an application may log of our objects', () => {
  it('holds no private key, no content key and no plaintext', async () => {
    const contentKeys: string[] = []
    const unwrap: Identity['unwrap'] = (request) => {
      const contentKey = billing.identity.unwrap(request)
      if (Buffer.isBuffer(contentKey)) contentKeys.push(...(['base64url', 'base64', 'hex'] as const).map((encoding) => contentKey.toString(encoding)), inspect(contentKey).slice(8, 60))
      return contentKey
    }
    const jwk = { ...billing.privateKey.export({ format: 'jwk' }), kid: 'billing-1' } as JWK
    const identities = await loadIdentities({ keys: [jwk] })
    const directory = createStaticDirectory({ billing: billing.publicJwk, shipping: shipping.publicJwk })
    const fetching = createJwksDirectory({ recipients: { billing: { keys: [billing.publicJwk] }, shipping: { keys: [shipping.publicJwk] } } })
    onTestFinished(() => fetching[Symbol.asyncDispose]())
    const sealers = [directory, fetching].map((each) => createSealer({ directory: each, channels }))
    const opener = createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels })
    const loaded = createOpener({ name: 'billing', identities, channels })
    for (const sealer of sealers) {
      // Every cache has something in it.
      const { bytes } = await sealer.seal(CANARY, { channel: 'orders', key: CANARY })
      for (const each of [opener, loaded]) expect(each.openSync(bytes, { channel: 'orders', key: CANARY }).plaintext.toString()).toBe(CANARY)
    }
    expect(contentKeys.length).toBeGreaterThan(0)
    const objects = { sealers, opener, loaded, directory, fetching, channels, identities, listed: identities.list(), policy: sealers.map((sealer) => sealer.describe()), counts: opener.counts(), health: [identities.health(), fetching.health()] }
    const shown = [inspect(objects, { depth: Infinity, showHidden: true, maxArrayLength: null, maxStringLength: null, showProxy: true }), JSON.stringify(objects)].join('\n')
    expect(shown).toContain(billing.recipientKey.thumbprint)
    for (const secret of [CANARY, base64(CANARY), inspect(Buffer.from(CANARY)).slice(8, -1), String(jwk.d), ...contentKeys]) expect(shown).not.toContain(secret)
  })
})

describe('attacks: what must go on working', () => {
  const opens = (text: string, channel = 'orders'): string => spiedOpener().opener.openSync(Buffer.from(text), { channel }).plaintext.toString()

  it.each<[string, () => string]>([
    ['entries in another order', () => changed((jwe) => (jwe.recipients = jwe.recipients.toReversed()))],
    ['an entry of another stripped', () => changed((jwe) => (jwe.recipients.length = 1))],
    ['an entry of the future', () => changed((jwe) => jwe.recipients.push({ header: { kid: 'future', ek: 'AAAA', more: { deep: [1] } }, encrypted_key: 'AAAA' }))],
    ['an entry of another without header', () => changed((jwe) => jwe.recipients.push({ encrypted_key: 'AAAA' } as never))],
    ["go-jose's copy of the first key at the top", () => changed((jwe) => (jwe['encrypted_key'] = own(jwe).encrypted_key))],
    ['white space and another order of members', () => JSON.stringify(good, ['tag', 'recipients', 'header', 'kid', 'epk', 'kty', 'crv', 'x', 'y', 'encrypted_key', 'iv', 'protected', 'ciphertext'], 2)],
  ])('%s', (_title, make) => expect(opens(make())).toBe(CANARY))

  it('the one-recipient form, as Flattened and as Compact', () => {
    const { protected: header, iv, ciphertext, tag } = sole
    const encryptedKey = own(sole).encrypted_key
    expect(opens(JSON.stringify({ protected: header, encrypted_key: encryptedKey, iv, ciphertext, tag }), 'solo')).toBe(CANARY)
    expect(opens([header, encryptedKey, iv, ciphertext, tag].join('.'), 'solo')).toBe(CANARY)
  })

  it('our kid a hundred times costs at most four unwraps', () => {
    const { opener, unwrap } = spiedOpener()
    const bytes = changed((jwe) => (jwe.recipients = Array.from({ length: 100 }, () => ({ header: own(jwe).header, encrypted_key: randomBytes(40).toString('base64url') }))))
    expect(codeOf(() => opener.openSync(Buffer.from(bytes), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(unwrap).toHaveBeenCalledTimes(4)
  })
})

describe('attacks: after the unwrap', () => {
  it('no error holds plaintext or key, and the unwrapped bytes are zeroed', () => {
    const taken: Buffer[] = []
    const secrets: string[] = []
    const unwrap: Identity['unwrap'] = (request) => {
      const contentKey = billing.identity.unwrap(request)
      if (!Buffer.isBuffer(contentKey)) return expect.fail('the entry is good')
      taken.push(contentKey)
      secrets.push(contentKey.toString('base64url'), contentKey.toString('hex'), contentKey.toString('base64'))
      return contentKey
    }
    const open = (text: string, channel: string, key?: string): unknown => {
      const opener = createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels })
      return thrownBy(() => opener.openSync(Buffer.from(text), { channel, ...(key !== undefined && { key }) }))
    }
    const failures: [string, unknown][] = [
      ['ERR_SEALBUS_DECRYPT_FAILED', open(changed((jwe) => (jwe.tag = randomBytes(16).toString('base64url'))), 'orders')],
      ['ERR_SEALBUS_DECRYPT_FAILED', open(withProtected((header) => (header['kc'] = randomBytes(32).toString('base64url'))), 'orders')],
      ['ERR_SEALBUS_DECRYPT_FAILED', open(withProtected((header) => ((header['msg'] as Header)['ch'] = 'solo')), 'solo')],
      ['ERR_SEALBUS_CONTEXT_MISMATCH', open(JSON.stringify(good), 'solo')],
      ['ERR_SEALBUS_CONTEXT_MISMATCH', open(JSON.stringify(good), 'orders', 'another-key')],
    ]
    for (const [code, error] of failures) {
      expect(isSealbusError(error) ? error.code : error).toBe(code)
      expectNothingSecret(error, ...secrets)
    }
    expect(taken).toHaveLength(failures.length)
    for (const contentKey of taken) expect(contentKey).toEqual(Buffer.alloc(32))
  })

  it.each([
    ['shorter', 16],
    ['longer', 64],
    ['empty', 0],
  ])('a content key that is %s than `enc` takes is the generic failure, and remembered as one', (_title, size) => {
    const unwrap = vi.fn<Identity['unwrap']>(() => randomBytes(size))
    const opener = createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels })
    for (let count = 0; count < 3; count++) expect(codeOf(() => opener.openSync(Buffer.from(JSON.stringify(good)), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(unwrap).toHaveBeenCalledTimes(1)
  })

  it('a tag cut to 4 bytes verifies nothing, though Node before 26 would take it', () => {
    const row = contentEncryption('A256GCM') ?? expect.fail()
    const [key, iv] = [createSecretKey(randomBytes(32)), randomBytes(12)]
    const { ciphertext, tag } = encryptContent(row, key, iv, Buffer.from('aad'), Buffer.from(CANARY))
    expect(decryptContent(row, key, iv, Buffer.from('aad'), ciphertext, tag)?.toString()).toBe(CANARY)
    for (const size of [0, 4, 8, 12, 15]) expect(decryptContent(row, key, iv, Buffer.from('aad'), ciphertext, tag.subarray(0, size))).toBeNull()
  })

  it('an `epk` off its curve never reaches an identity', () => {
    const bytes = changed((jwe) => ((own(jwe).header['epk'] as Header)['y'] = Buffer.alloc(32, 7).toString('base64url')))
    const { opener, unwrap } = spiedOpener()
    expect(codeOf(() => opener.openSync(Buffer.from(bytes), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(unwrap).not.toHaveBeenCalled()
  })
})

describe('attacks: insiders', () => {
  it('one envelope cannot open as two plaintexts: a second content key does not fit the commitment', () => {
    const [first, second] = [randomBytes(32), randomBytes(32)]
    const commitment = createHmac('sha256', createSecretKey(first)).update('sealbus/1 kc A256GCM').digest('base64url')
    const entry = (key: TestKey, contentKey: Buffer): object => {
      const { kid, epk, encryptedKey } = wrapKey(key.recipientKey, contentKey)
      return { header: { kid, epk }, encrypted_key: encryptedKey.toString('base64url') }
    }
    const aad = base64(JSON.stringify({ ...headerOf(good), kc: commitment }))
    const iv = randomBytes(12)
    // Sealed under the second key, which is wrapped for us; the commitment is to the first one.
    const cipher = createCipheriv('aes-256-gcm', second, iv, { authTagLength: 16 })
    cipher.setAAD(Buffer.from(aad))
    const ciphertext = cipher.update('two-faced')
    cipher.final()
    const jwe = { protected: aad, recipients: [entry(billing, second), entry(shipping, first)], iv: iv.toString('base64url'), ciphertext: ciphertext.toString('base64url'), tag: cipher.getAuthTag().toString('base64url') }
    const { opener, unwrap } = spiedOpener()
    expect(codeOf(() => opener.openSync(Buffer.from(JSON.stringify(jwe)), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(unwrap).toHaveBeenCalledTimes(1)
  })

  it('an X25519 key of low order in `epk` is the generic failure, and reaches no private key', () => {
    const unwrap = vi.fn((request: Parameters<Identity['unwrap']>[0]) => shipping.identity.unwrap(request))
    const opener = createOpener({ name: 'shipping', identities: testIdentities({ ...shipping.identity, unwrap }), channels })
    const bytes = changed((jwe) => {
      const [, entry = expect.fail('no entry')] = jwe.recipients
      entry.header['epk'] = { ...(entry.header['epk'] as Header), x: 'A'.repeat(43) }
    })
    expect(codeOf(() => opener.openSync(Buffer.from(bytes), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(unwrap).not.toHaveBeenCalled()
  })
})

describe('attacks: a copy under another key of ours', () => {
  const retiringAnd = async (unwrap: (key: TestKey) => Identity['unwrap']): Promise<Opener> => {
    const keys = [billing, await testKey('P-256', 'billing-0')]
    return createOpener({ name: 'billing', identities: testIdentities(...keys.map((key) => ({ ...key.identity, unwrap: unwrap(key) }))), channels })
  }
  const copyFor = (kid: string): Buffer => Buffer.from(changed((jwe) => (own(jwe).header['kid'] = kid)))

  it('does not stop the message that it was copied from', async () => {
    const opener = await retiringAnd(({ identity }) => (request) => identity.unwrap(request))
    expect(codeOf(() => opener.openSync(copyFor('billing-0'), { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(opener.openSync(Buffer.from(JSON.stringify(good)), { channel: 'orders' }).plaintext.toString()).toBe(CANARY)
  })

  it('does not share its answer with it, where the answers come later', async () => {
    const opener = await retiringAnd(({ identity }) => async (request) => identity.unwrap(request))
    const copied = rejectionOf(opener.open(copyFor('billing-0'), { channel: 'orders' }))
    const genuine = opener.open(Buffer.from(JSON.stringify(good)), { channel: 'orders' })
    expect(await copied).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect((await genuine).plaintext.toString()).toBe(CANARY)
  })
})

describe('attacks: random damage', () => {
  it('only SealbusErrors escape, and no damaged envelope opens as something else', () => {
    const { opener } = spiedOpener()
    const bytes = Buffer.from(JSON.stringify(good))
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (edits) => {
        const damaged = Buffer.from(bytes)
        for (const [at, value] of edits) damaged[at] = value
        try {
          expect(opener.openSync(damaged, { channel: 'orders' }).plaintext.toString()).toBe(CANARY)
        } catch (error) {
          expect(isSealbusError(error), inspect(error)).toBe(true)
        }
      }),
      { numRuns: 3_000 },
    )
  })
})
