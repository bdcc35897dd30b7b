import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import fc from 'fast-check'
import fastify from 'fastify'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createJwksDirectory } from '../../src/jwks/directory.ts'
import { createJwksHandler, type JwksHandler } from '../../src/jwks/handler.ts'
import type { Identity, IdentityState } from '../../src/identity.ts'
import { PRIVATE_MEMBERS } from '../../src/jwks/public-key.ts'
import { type KeyKind, testIdentities, testKey, type TestKey } from '../support/keys.ts'
import { thrownBy } from '../support/thrown.ts'

let active: TestKey
let retiring: TestKey
beforeAll(async () => {
  active = await testKey('P-256', 'active')
  retiring = await testKey('RSA', 'retiring', 'retiring')
})

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
}

describe('JWKS handler', () => {
  it('publishes active keys only, with their public members only', async () => {
    const leaky: Identity = { ...active.identity, publicJwk: { ...active.publicJwk, ...active.privateKey.export({ format: 'jwk' }) } }
    const response = await fetch(await listen(createJwksHandler(testIdentities(leaky, retiring.identity))))
    expect(response.headers.get('content-type')).toBe('application/jwk-set+json')
    expect(response.headers.get('cache-control')).toBe('public, max-age=300, stale-if-error=3600')
    const { kty, crv, x, y } = active.publicJwk
    expect(await response.json()).toEqual({ keys: [{ kty, crv, x, y, kid: 'active', alg: 'ECDH-ES+A256KW', use: 'enc' }] })
  })

  it('§7.30 whatever is in the store, no private member gets out, and nothing but the public ones of active keys', async () => {
    const kinds: [KeyKind, string[]][] = [['P-256', ['crv', 'kty', 'x', 'y']], ['P-521', ['crv', 'kty', 'x', 'y']], ['X25519', ['crv', 'kty', 'x']], ['RSA', ['e', 'kty', 'n']]]
    const keys = await Promise.all(kinds.map(async ([kind, members]) => ({ key: await testKey(kind, kind), members: [...members, 'alg', 'kid', 'use'].sort() })))
    const secrets = keys.flatMap(({ key }) => PRIVATE_MEMBERS.map((member) => key.privateKey.export({ format: 'jwk' })[member]).filter((value) => typeof value === 'string'))
    expect(secrets).toHaveLength(3 + 6)
    const CANARY = 'private-canary'
    const canaries = fc.dictionary(fc.oneof(fc.constantFrom<string>(...PRIVATE_MEMBERS, 'key_ops', 'x5c', 'state', 'toJSON'), fc.string()), fc.constantFrom<unknown>(CANARY, [CANARY], { d: CANARY }, { r: CANARY, d: CANARY, t: CANARY }))
    const stored = fc.record({ which: fc.constantFrom(...keys), state: fc.constantFrom<IdentityState>('pending', 'active', 'retiring', 'archived', 'revoked'), whole: fc.boolean(), more: canaries })
    await fc.assert(fc.asyncProperty(fc.array(stored, { maxLength: 6 }), async (entries) => {
      const identities = entries.map(({ which: { key }, state, whole, more }, index): Identity => ({
        ...key.identity, kid: `${index}`, state, publicJwk: { ...more, ...(whole && key.privateKey.export({ format: 'jwk' })), ...key.publicJwk },
      }))
      const text = await createJwksHandler(testIdentities(...identities)).fetch(new Request('http://127.0.0.1/')).text()
      for (const secret of [...secrets, CANARY]) expect(text).not.toContain(secret)
      const active = entries.flatMap(({ which, state }, index) => (state === 'active' ? [{ kid: `${index}`, members: which.members }] : []))
      expect((JSON.parse(text) as { keys: { kid: string }[] }).keys.map((each) => ({ kid: each.kid, members: Object.keys(each).sort() }))).toEqual(active)
    }), { numRuns: 500 })
  })

  it('§7.30 two sets have one ETag exactly when they are equal: their keys, their kids, and their order, which sealers choose by', async () => {
    const keys = await Promise.all((['P-256', 'P-384', 'X25519'] as const).map((kind) => testKey(kind, kind)))
    const sets = fc.array(fc.record({ key: fc.constantFrom(...keys), kid: fc.constantFrom('1', '2'), state: fc.constantFrom<IdentityState>('active', 'active', 'retiring') }), { maxLength: 3 })
    const answer = async (set: { key: TestKey; kid: string; state: IdentityState }[]): Promise<{ etag: string | null; text: string }> => {
      const response = createJwksHandler(testIdentities(...set.map(({ key, kid, state }) => ({ ...key.identity, kid, state })))).fetch(new Request('http://127.0.0.1/'))
      return { etag: response.headers.get('etag'), text: await response.text() }
    }
    let equal = 0
    await fc.assert(fc.asyncProperty(sets, sets, async (one, other) => {
      const published = (set: typeof one): string => JSON.stringify(set.filter(({ state }) => state === 'active').map(({ key, kid }) => [key.kid, kid]))
      const [first, second] = [await answer(one), await answer(other)]
      expect(first.etag).toMatch(/^"[\w-]{43}"$/)
      expect(first.etag === second.etag).toBe(published(one) === published(other))
      if (first.etag === second.etag) equal++
    }), { numRuns: 500 })
    expect(equal).toBeGreaterThan(10)
  })

  it('follows the state at each request, and its ETag changes exactly when the set does', async () => {
    const identity = { ...active.identity }
    const url = await listen(createJwksHandler(testIdentities(identity)))
    const etag = (await fetch(url)).headers.get('etag') ?? ''
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*', `"other" , * `]) expect((await fetch(url, { headers: { 'if-none-match': known } })).status).toBe(304)
    for (const unknown of ['"other"', etag.replaceAll('"', ''), `xW/${etag}`]) expect((await fetch(url, { headers: { 'if-none-match': unknown } })).status).toBe(200)
    identity.state = 'retiring'
    const after = await fetch(url, { headers: { 'if-none-match': etag } })
    expect(after.status).toBe(200)
    expect(await after.json()).toEqual({ keys: [] })
  })

  it.each<[string, () => readonly Identity[]]>([
    ['throws', () => { throw new Error('secret path') }],
    ['answers nothing', () => undefined as never],
    ['has a key without a public half', () => [active.identity, { ...active.identity, publicJwk: undefined as never }]],
    ['has a key of another type', () => [active.identity, { ...active.identity, publicJwk: { kty: 'oct', k: 'AAAA' } }]],
    ['has half a point', () => [active.identity, { ...active.identity, publicJwk: { ...active.publicJwk, y: undefined as never } }]],
    ['has a member that is no text', () => [active.identity, { ...active.identity, publicJwk: { ...active.publicJwk, x: { d: 'canary' } as never } }]],
  ])('a store that %s is answered with 503, and never with a smaller set', async (_title, list) => {
    const failing = await fetch(await listen(createJwksHandler({ list })), { headers: { 'if-none-match': '*' } })
    expect([failing.status, failing.headers.get('cache-control'), await failing.text()]).toEqual([503, 'no-store', ''])
  })

  it('a store without an active key publishes none, which is a revocation', async () => {
    const answer = await fetch(await listen(createJwksHandler(testIdentities(retiring.identity))))
    expect([answer.status, await answer.json()]).toEqual([200, { keys: [] }])
  })

  it('HEAD is answered without a body; other methods with 405', async () => {
    const url = await listen(createJwksHandler(testIdentities(active.identity)))
    const head = await fetch(url, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    expect(Number(head.headers.get('content-length'))).toBe((await (await fetch(url)).arrayBuffer()).byteLength)
    expect(createJwksHandler(testIdentities(active.identity)).fetch(new Request(url, { method: 'HEAD' })).body).toBeNull()
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const refused = await fetch(url, { method })
      expect([refused.status, refused.headers.get('allow'), await refused.text()]).toEqual([405, 'GET, HEAD', ''])
    }
  })

  it('says for how long it may be cached, as it was told, also where nothing changed', async () => {
    const url = await listen(createJwksHandler(testIdentities(active.identity), { maxAgeSeconds: 60, staleIfErrorSeconds: 0 }))
    const etag = (await fetch(url)).headers.get('etag') ?? ''
    const unchanged = await fetch(url, { headers: { 'if-none-match': etag } })
    expect([unchanged.status, unchanged.headers.get('cache-control'), unchanged.headers.get('etag')]).toEqual([304, 'public, max-age=60, stale-if-error=0', etag])
  })

  it.each<[string, string, object]>([
    ['a misspelt option', 'a JWKS handler has no "maxAge"', { maxAge: 300 }],
    ['a negative time', '`maxAgeSeconds` is an integer from 0 to 86400', { maxAgeSeconds: -1 }],
    ['more than a day', '`maxAgeSeconds` is an integer from 0 to 86400', { maxAgeSeconds: 86_401 }],
    ['half a second', '`staleIfErrorSeconds` is an integer from 0 to 86400', { staleIfErrorSeconds: 0.5 }],
    ['a text', '`staleIfErrorSeconds` is an integer from 0 to 86400', { staleIfErrorSeconds: '3600' }],
  ])('%s is refused: %s', (_title, message, options) => {
    expect(thrownBy(() => createJwksHandler(testIdentities(), options))).toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION', message })
  })

  it('mounts in Express, in Fastify, and as a function of a Request; all answer the same, and the directory reads each', async () => {
    const handler = createJwksHandler(testIdentities(active.identity))
    const recipients = { node: await listen(handler), express: await listenExpress(handler), fastify: await listenFastify(handler), request: await listenRequest(handler) }
    const directory = createJwksDirectory({ recipients, allowInsecureLoopback: true })
    onTestFinished(() => directory.close())
    const answers = await Promise.all(Object.entries(recipients).map(async ([name, url]) => {
      expect((await directory.resolve(name)).thumbprint).toBe(active.identity.thumbprint)
      const etag = (await fetch(url)).headers.get('etag') ?? ''
      const requests: RequestInit[] = [{}, { method: 'HEAD' }, { headers: { 'if-none-match': etag } }, { method: 'POST' }]
      return Promise.all(requests.map(async (init) => {
        const response = await fetch(url, init)
        const headers = ['content-type', 'content-length', 'cache-control', 'etag', 'allow'].map((each) => response.headers.get(each))
        return [response.status, await response.text(), headers]
      }))
    }))
    const [node = [], ...others] = answers
    expect(node.map(([status]) => status)).toEqual([200, 200, 304, 405])
    for (const other of others) expect(other).toEqual(node)
  })
})

async function listenExpress(handler: JwksHandler): Promise<string> {
  const app = express()
  app.all('/jwks.json', handler)
  return listen(app)
}

async function listenFastify(handler: JwksHandler): Promise<string> {
  const server = fastify()
  // Fastify would read the body of a POST first, and refuse what it cannot.
  server.addContentTypeParser('*', (_request, _payload, done) => done(null))
  server.all('/jwks.json', (request, reply) => {
    reply.hijack()
    handler(request.raw, reply.raw)
  })
  const url = await server.listen({ port: 0, host: '127.0.0.1' })
  onTestFinished(() => server.close())
  return `${url}/jwks.json`
}

/** What a server of Fetch API requests does: Hono, Bun, Deno, and the like. */
async function listenRequest(handler: JwksHandler): Promise<string> {
  return listen((request, response) => {
    const headers = new Headers(Object.entries(request.headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value] as [string, string]] : [])))
    const given = handler.fetch(new Request(`http://127.0.0.1${request.url ?? '/'}`, { method: request.method ?? 'GET', headers }))
    response.writeHead(given.status, Object.fromEntries(given.headers))
    given.text().then((text) => response.end(text), () => response.destroy())
  })
}
