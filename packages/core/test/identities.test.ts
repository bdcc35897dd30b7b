import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import type { JWK } from 'jose'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { loadIdentities } from '../src/identities.ts'
import { type KeyKind, testKey, type TestKey } from './support/keys.ts'
import { rejectedBy, rejectionOf } from './support/thrown.ts'

const KINDS: readonly KeyKind[] = ['P-256', 'P-384', 'P-521', 'X25519', 'RSA']
const keys: TestKey[] = []
let other: TestKey
beforeAll(async () => {
  for (const kind of KINDS) keys.push(await testKey(kind, kind))
  other = await testKey('X25519', 'other')
})
const privateJwk = (index: number, more: object = {}): JWK => ({ ...(keys[index]?.privateKey.export({ format: 'jwk' }) as JWK), kid: KINDS[index] ?? '', ...more })
const INVALID = 'ERR_SEALBUS_INVALID_KEY'

describe('identities', () => {
  it('load from an object, a file and an environment variable, and are found by kid and by thumbprint', async () => {
    const set = { keys: KINDS.map((_, index) => privateJwk(index)) }
    const directory = await mkdtemp(join(tmpdir(), 'sealbus-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = join(directory, 'private.jwks.json')
    await writeFile(file, JSON.stringify(set), { mode: 0o600 })
    process.env['SEALBUS_TEST_IDENTITIES'] = JSON.stringify(set)
    onTestFinished(() => void delete process.env['SEALBUS_TEST_IDENTITIES'])
    for (const source of [set, file, { env: 'SEALBUS_TEST_IDENTITIES' }]) {
      const store = await loadIdentities(source, { reloadMs: false })
      expect(store.list().map(({ kid }) => kid)).toEqual(KINDS)
      for (const key of keys) {
        expect(store.find(key.kid)).toMatchObject({ thumbprint: key.identity.thumbprint, alg: key.identity.alg, state: 'active' })
        expect(store.find(key.identity.thumbprint)).toBe(store.find(key.kid))
      }
      expect(store.find('__proto__')).toBeUndefined()
    }
  })

  it('refresh() reads the file again; what did not change stays the same object', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealbus-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = join(directory, 'private.jwks.json')
    await writeFile(file, JSON.stringify({ keys: [privateJwk(0)] }), { mode: 0o600 })
    const store = await loadIdentities(file, { reloadMs: false, onFailure: () => {} })
    const before = store.find('P-256')
    await writeFile(file, JSON.stringify({ keys: [privateJwk(0), privateJwk(3)] }))
    await store.refresh?.()
    expect(store.find('P-256')).toBe(before)
    expect(store.find('X25519')).toBeDefined()
    await writeFile(file, 'no JSON')
    expect(await rejectionOf(store.refresh?.() ?? Promise.resolve())).toBe(INVALID)
    expect(store.find('P-256')).toBe(before)
  })

  it('refresh(): a key that lost its kid is another identity, found by the kid that is listed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealbus-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = join(directory, 'private.jwks.json')
    await writeFile(file, JSON.stringify({ keys: [privateJwk(0)] }), { mode: 0o600 })
    const store = await loadIdentities(file, { reloadMs: false, onFailure: () => {} })
    const { kid: _kid, ...bare } = privateJwk(0)
    await writeFile(file, JSON.stringify({ keys: [bare] }))
    await store.refresh?.()
    expect(store.list().map(({ kid }) => kid)).toEqual([keys[0]?.identity.thumbprint])
    for (const identity of store.list()) expect(store.find(identity.kid)).toBe(identity)
    expect(store.find('P-256')).toBeUndefined()
  })

  it('refresh(): a key whose state changed is another identity, which cached content keys do not follow', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealbus-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = join(directory, 'private.jwks.json')
    await writeFile(file, JSON.stringify({ keys: [privateJwk(0)] }), { mode: 0o600 })
    const store = await loadIdentities(file, { reloadMs: false, onFailure: () => {} })
    const before = store.find('P-256')
    await writeFile(file, JSON.stringify({ keys: [privateJwk(0, { state: 'revoked' })] }))
    await store.refresh?.()
    expect(store.find('P-256')).toMatchObject({ state: 'revoked' })
    expect(before).toMatchObject({ state: 'active' })
  })

  it('refresh(): another key under the same kid is another identity, and so is one in place of a tombstone, and the other way round', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealbus-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = join(directory, 'private.jwks.json')
    const tombstone = { kid: 'P-256', state: 'destroyed', destroyed_at: '2026-01-02T03:04:05Z' }
    await writeFile(file, JSON.stringify({ keys: [privateJwk(0)] }), { mode: 0o600 })
    const store = await loadIdentities(file, { reloadMs: false, onFailure: () => {} })
    for (const [entry, expected] of [[privateJwk(3, { kid: 'P-256' }), { alg: 'ECDH-ES+A256KW', publicJwk: { crv: 'X25519' } }], [tombstone, { destroyed: {} }], [privateJwk(0), { publicJwk: { crv: 'P-256' } }]] as const) {
      await writeFile(file, JSON.stringify({ keys: [entry] }))
      await store.refresh()
      expect(store.find('P-256')).toMatchObject(expected)
      expect(store.list()).toHaveLength('destroyed' in expected ? 0 : 1)
      for (const identity of store.list()) expect(store.find(identity.thumbprint)).toBe(identity)
    }
  })

  it('a kid may be the thumbprint, of a key or of a tombstone', async () => {
    const print = keys[3]?.identity.thumbprint ?? ''
    const store = await loadIdentities({ keys: [privateJwk(3, { kid: print })] })
    expect(store.find(print)).toBe(store.list()[0])
    const { kid: _kid, ...bare } = privateJwk(3)
    expect((await loadIdentities({ keys: [bare as JWK] })).list()).toMatchObject([{ kid: print, thumbprint: print, publicJwk: { kid: print } }])
    const gone = await loadIdentities({ keys: [{ kid: print, thumbprint: print, state: 'destroyed', destroyed_at: '2026-01-02T03:04:05Z' } as unknown as JWK] })
    expect(gone.find(print)).toMatchObject({ kid: print, thumbprint: print })
  })

  it('a set has up to a megabyte', async () => {
    const text = JSON.stringify({ keys: [privateJwk(3)] })
    for (const [size, fine] of [[1_048_576, true], [1_048_577, false]] as const) {
      process.env['SEALBUS_TEST_SIZE'] = text.padEnd(size)
      onTestFinished(() => void delete process.env['SEALBUS_TEST_SIZE'])
      const loading = loadIdentities({ env: 'SEALBUS_TEST_SIZE' })
      if (fine) expect((await loading).list()).toHaveLength(1)
      else expect(await rejectionOf(loading)).toBe(INVALID)
    }
  })

  it.each<[string, boolean]>([
    ...['/a.json', 'b.JWKS', 'c d.jwk'].map((path): [string, boolean] => [path, true]),
    ...['a.txt', 'a.json.bak', 'a{b.json', 'a}b.json', 'a"b.json', 'a\n.json', 'a\r.json'].map((path): [string, boolean] => [path, false]),
  ])('a path %j is in an error: %j', async (path, shown) => {
    const { message } = (await rejectedBy(loadIdentities(join('/nowhere', path)))) as Error
    expect(message.includes(path)).toBe(shown)
  })

  it.each<[string, boolean]>([
    ...['SEALBUS_TEST_NOT_SET', 'X', 'X_1'].map((name): [string, boolean] => [name, true]),
    ...['sealbus_keys', '1X', '_X', 'X-Y', 'X Y', 'aX', 'Xa'].map((name): [string, boolean] => [name, false]),
  ])('a variable %j is in an error: %j', async (env, shown) => {
    const { message } = (await rejectedBy(loadIdentities({ env }))) as Error
    expect(message.includes(`variable ${env} `)).toBe(shown)
  })

  it('a destroyed key is a tombstone', async () => {
    const store = await loadIdentities({ keys: [{ kid: 'old', state: 'destroyed', destroyed_at: '2026-01-02T03:04:05Z', reason: 'retention' } as unknown as JWK] })
    expect(store.find('old')).toEqual({ kid: 'old', destroyed: { at: new Date('2026-01-02T03:04:05Z'), reason: 'retention' } })
    expect(store.list()).toEqual([])
  })

  it.each<[string, string, () => unknown[]]>([
    ['an EC key whose x and y do not match its d', 'key "P-256"', () => [{ ...privateJwk(0), x: keys[0]?.publicJwk.x, d: 'A'.repeat(42) + 'E' }]],
    ['an X25519 key whose x is of another', 'key "X25519": its private and public members do not belong together', () => [{ ...privateJwk(3), x: other.publicJwk.x }]],
    ['a public key', 'key "P-256" is no valid private key', () => [keys[0]?.publicJwk]],
    ['a symmetric key', 'key "o"', () => [{ kty: 'oct', k: 'c2VjcmV0LWNhbmFyeQ', kid: 'o' }]],
    ['§7.13 one kid twice', 'two keys have the kid or thumbprint "P-256"', () => [privateJwk(0), privateJwk(3, { kid: 'P-256' })]],
    ['§7.13 one key under two kids', 'two keys have the kid or thumbprint', () => [privateJwk(0), privateJwk(0, { kid: 'other' })]],
    ['an unknown state', 'key "P-256" has an unknown state', () => [privateJwk(0, { state: 'lost' })]],
    ['a key for signatures', 'key "P-256": its use is not enc', () => [privateJwk(0, { use: 'sig' })]],
    ['key_ops for signatures', 'key "P-256": its key_ops do not permit unwrapping a key', () => [privateJwk(0, { key_ops: ['sign'] })]],
    ['key_ops that is no list', 'key "P-256": its key_ops do not permit unwrapping a key', () => [privateJwk(0, { key_ops: 'unwrapKey' })]],
    ['no object', 'key 0 is not an object', () => ['key']],
    ['null', 'key 1 is not an object', () => [privateJwk(0), null]],
    ['a kid that is no string', 'key 0 has a kid that is no string', () => [privateJwk(0, { kid: 7 })]],
    ['an empty kid', 'key 0 has a kid that is no string', () => [privateJwk(0, { kid: '' })]],
    ['a key without a kid', 'key 0 has an unknown state', () => [{ ...privateJwk(0), kid: undefined, state: 'lost' }]],
    ['a kid that is long', `key "${'k'.repeat(80)}" has an unknown state`, () => [privateJwk(0, { kid: 'k'.repeat(500), state: 'lost' })]],
    ['§7.12 an RSA key of 1,024 bits', 'key "small": its modulus has 1024 bits, not 2048 to 4096', () => [{ ...generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ format: 'jwk' }), kid: 'small' }]],
    ['a key of a curve that is not permitted', 'key "k1": its key type, curve or alg is not permitted', () => [{ ...generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey.export({ format: 'jwk' }), kid: 'k1' }]],
    ['an alg of another kind', 'key "X25519": its key type, curve or alg is not permitted', () => [privateJwk(3, { alg: 'RSA-OAEP-256' })]],
    ['a tombstone without a time', 'key "x" is destroyed, and needs a kid and a `destroyed_at` time', () => [{ kid: 'x', state: 'destroyed' }]],
    ['a tombstone with a time that is none', 'key "x" is destroyed, and needs a kid and a `destroyed_at` time', () => [{ kid: 'x', state: 'destroyed', destroyed_at: 'yesterday' }]],
    ['a tombstone with a time that is no text', 'key "x" is destroyed, and needs a kid and a `destroyed_at` time', () => [{ kid: 'x', state: 'destroyed', destroyed_at: 0 }]],
    ['a tombstone with a longer thumbprint', 'key "x" has a `thumbprint` that is none', () => [{ kid: 'x', state: 'destroyed', destroyed_at: '2026-01-02T03:04:05Z', thumbprint: 'B'.repeat(44) }]],
    ['a tombstone with a thumbprint that is no text', 'key "x" has a `thumbprint` that is none', () => [{ kid: 'x', state: 'destroyed', destroyed_at: '2026-01-02T03:04:05Z', thumbprint: ['B'.repeat(43)] }]],
    ['a tombstone without a kid', 'key 0 is destroyed, and needs a kid and a `destroyed_at` time', () => [{ state: 'destroyed', destroyed_at: '2026-01-02T03:04:05Z' }]],
  ])('%s is refused: %s; and nothing of it is quoted', async (_title, words, entries) => {
    const error: unknown = await loadIdentities({ keys: entries() as JWK[] }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: INVALID, message: expect.stringContaining(`identities: ${words}`) as unknown })
    const shown = inspect(error, { depth: Infinity, showHidden: true })
    for (const secret of ['c2VjcmV0LWNhbmFyeQ', String(privateJwk(0).d), 'A'.repeat(42)]) expect(shown).not.toContain(secret)
  })

  it('what is no set is refused, whether given, read or named', async () => {
    for (const source of [{ keys: 'none' as never }, { keys: undefined as never }]) {
      expect(await rejectedBy(loadIdentities(source))).toMatchObject({ code: INVALID, message: 'identities: it is no JWK Set: there is no `keys` array' })
    }
  })

  it.each(['null', '7', '"keys"', '[]', '{}', '{"keys":{}}', ''])('a variable that holds %s is no set', async (text) => {
    process.env['SEALBUS_TEST_TEXT'] = text
    onTestFinished(() => void delete process.env['SEALBUS_TEST_TEXT'])
    expect(await rejectedBy(loadIdentities({ env: 'SEALBUS_TEST_TEXT' }))).toMatchObject({ code: INVALID, message: 'identities: it is no JWK Set: there is no `keys` array' })
  })

  it.runIf(process.platform === 'linux')('a file is closed after each read', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sealbus-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    const file = join(directory, 'private.jwks.json')
    await writeFile(file, JSON.stringify({ keys: [privateJwk(3)] }), { mode: 0o600 })
    const store = await loadIdentities(file, { reloadMs: false })
    const open = async (): Promise<number> => (await readdir('/proc/self/fd')).length
    const before = await open()
    for (let count = 0; count < 50; count++) await store.refresh()
    expect(await open()).toBeLessThan(before + 25)
  })

  it('a tombstone may do without a reason', async () => {
    const store = await loadIdentities({ keys: [{ kid: 'old', state: 'destroyed', destroyed_at: '2026-01-02T03:04:05Z', reason: 7 } as unknown as JWK] })
    expect(store.find('old')).toStrictEqual({ kid: 'old', destroyed: { at: new Date('2026-01-02T03:04:05Z') } })
  })

  it('what is published of a key is frozen, has its kid, alg and use, and no private member', async () => {
    const [identity] = (await loadIdentities({ keys: [privateJwk(3)] })).list()
    expect(identity?.publicJwk).toEqual({ kty: 'OKP', crv: 'X25519', x: keys[3]?.publicJwk.x, kid: 'X25519', alg: 'ECDH-ES+A256KW', use: 'enc' })
    expect(Object.isFrozen(identity)).toBe(true)
    expect(Object.isFrozen(identity?.publicJwk)).toBe(true)
  })

  it.each(['pending', 'active', 'retiring', 'archived', 'revoked'])('the state %s is taken', async (state) => {
    expect((await loadIdentities({ keys: [privateJwk(3, { state })] })).list()).toMatchObject([{ state }])
  })

  it('a missing file or variable is an outage of the source', async () => {
    expect(await rejectionOf(loadIdentities('/nowhere/private.jwks.json'))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(await rejectionOf(loadIdentities({ env: 'SEALBUS_TEST_NOT_SET' }))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
  })

  it.each([['deriveBits'], ['deriveKey'], ['unwrapKey'], ['wrapKey'], ['decrypt'], ['encrypt'], ['sign', 'deriveBits']])('key_ops %j, %j is admitted', async (...operations) => {
    expect((await loadIdentities({ keys: [privateJwk(0, { key_ops: operations.filter(Boolean) })] })).list()).toHaveLength(1)
  })

  it('keys passed where a path or the name of a variable belongs are in no error; a plain path and name are', async () => {
    const text = JSON.stringify({ keys: [privateJwk(0), privateJwk(3)] })
    const secrets = [text, Buffer.from(text).toString('base64'), Buffer.from(text).toString('base64url'), `${text}.json`, String(privateJwk(0).d)]
    for (const secret of secrets) {
      for (const source of [secret, { env: secret }]) {
        const error: unknown = await loadIdentities(source).catch((reason: unknown) => reason)
        expect(error).toMatchObject({ code: 'ERR_SEALBUS_KEY_UNAVAILABLE' })
        const shown = inspect(error, { depth: Infinity, showHidden: true }) + JSON.stringify(error)
        for (const part of [secret.slice(0, 20), String(privateJwk(0).d), String(privateJwk(3).d)]) expect(shown).not.toContain(part)
      }
    }
    await expect(loadIdentities('/nowhere/private.jwks.json')).rejects.toThrow('/nowhere/private.jwks.json (ENOENT)')
    await expect(loadIdentities({ env: 'SEALBUS_TEST_NOT_SET' })).rejects.toThrow('SEALBUS_TEST_NOT_SET')
  })

  it('show nothing private, whoever looks', async () => {
    const store = await loadIdentities({ keys: KINDS.map((_, index) => privateJwk(index)) })
    const shown = inspect([store, store.list()], { depth: Infinity, showHidden: true }) + JSON.stringify(store.list())
    for (const index of KINDS.keys()) {
      for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const) {
        const secret = privateJwk(index)[member]
        if (typeof secret === 'string') expect(shown).not.toContain(secret.slice(0, 20))
      }
    }
  })
})
