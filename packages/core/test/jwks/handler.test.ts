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
    expect(response.headers.get('cache-control')).toContain('max-age=300')
    const { kty, crv, x, y } = active.publicJwk
    expect(await response.json()).toEqual({ keys: [{ kty, crv, x, y, kid: 'active', alg: 'ECDH-ES+A256KW', use: 'enc' }] })
  })

  it('follows the state at each request, and its ETag changes exactly when the set does', async () => {
    const identity = { ...active.identity }
    const url = await listen(createJwksHandler(testIdentities(identity)))
    const etag = (await fetch(url)).headers.get('etag') ?? ''
    expect((await fetch(url, { headers: { 'if-none-match': etag } })).status).toBe(304)
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
    expect((await fetch(url, { method: 'POST' })).status).toBe(405)
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
  })
})
