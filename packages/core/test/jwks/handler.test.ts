import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import fastify from 'fastify'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createJwksDirectory } from '../../src/jwks/directory.ts'
import { createJwksHandler } from '../../src/jwks/handler.ts'
import type { Identity } from '../../src/identity.ts'
import { testIdentities, testKey, type TestKey } from '../support/keys.ts'

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

  it('§7.30 publishes the public members of every kind of key, and nothing else', async () => {
    for (const [kind, members] of [['P-521', ['crv', 'kty', 'x', 'y']], ['X25519', ['crv', 'kty', 'x']], ['RSA', ['e', 'kty', 'n']]] as const) {
      const key = await testKey(kind, kind)
      const leaky: Identity = { ...key.identity, publicJwk: { ...key.publicJwk, ...key.privateKey.export({ format: 'jwk' }), priv: 'canary', k: 'canary' } }
      const body = (await (await fetch(await listen(createJwksHandler(testIdentities(leaky))))).json()) as { keys: object[] }
      expect(body.keys.map((each) => Object.keys(each).sort())).toEqual([[...members, 'alg', 'kid', 'use'].sort()])
    }
  })

  it('follows the state at each request, and its ETag changes exactly when the set does', async () => {
    const identity = { ...active.identity }
    const url = await listen(createJwksHandler(testIdentities(identity)))
    const etag = (await fetch(url)).headers.get('etag') ?? ''
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) expect((await fetch(url, { headers: { 'if-none-match': known } })).status).toBe(304)
    for (const unknown of ['"other"', etag.replaceAll('"', '')]) expect((await fetch(url, { headers: { 'if-none-match': unknown } })).status).toBe(200)
    identity.state = 'retiring'
    const after = await fetch(url, { headers: { 'if-none-match': etag } })
    expect(after.status).toBe(200)
    expect(await after.json()).toEqual({ keys: [] })
  })

  it('answers 503 when the store fails: never an empty set; HEAD without a body; 405 otherwise', async () => {
    const failing = await fetch(await listen(createJwksHandler({
      list: () => {
        throw new Error('secret path')
      },
    })))
    expect([failing.status, await failing.text()]).toEqual([503, ''])
    const url = await listen(createJwksHandler(testIdentities(active.identity)))
    const head = await fetch(url, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    const refused = await fetch(url, { method: 'POST' })
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect(failing.headers.get('cache-control')).toBe('no-store')
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(100)
  })

  it('says for how long it may be cached, as it was told, also where nothing changed', async () => {
    const url = await listen(createJwksHandler(testIdentities(active.identity), { maxAgeSeconds: 60 }))
    const etag = (await fetch(url)).headers.get('etag') ?? ''
    const unchanged = await fetch(url, { headers: { 'if-none-match': etag } })
    expect([unchanged.status, unchanged.headers.get('cache-control'), unchanged.headers.get('etag')]).toEqual([304, 'public, max-age=60, stale-if-error=3600', etag])
  })

  it('mounts in Express and in Fastify; the directory reads all three', async () => {
    const handler = createJwksHandler(testIdentities(active.identity))
    const app = express()
    app.get('/jwks.json', handler)
    const server = fastify()
    server.get('/jwks.json', (request, reply) => {
      reply.hijack()
      handler(request.raw, reply.raw)
    })
    const fastifyUrl = await server.listen({ port: 0, host: '127.0.0.1' })
    onTestFinished(() => server.close())
    const recipients = { node: await listen(handler), express: await listen(app), fastify: `${fastifyUrl}/jwks.json` }
    const directory = createJwksDirectory({ recipients, allowInsecureLoopback: true })
    for (const name of Object.keys(recipients)) expect((await directory.resolve(name)).thumbprint).toBe(active.identity.thumbprint)
    for (const url of Object.values(recipients)) {
      const head = await fetch(url, { method: 'HEAD' })
      expect([head.status, head.headers.get('content-type'), await head.text()]).toEqual([200, 'application/jwk-set+json', ''])
    }
  })
})
