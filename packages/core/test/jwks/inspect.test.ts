import { CompactSign, exportJWK, generateKeyPair } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { inspectKeySet, type InspectOptions } from '../../src/jwks/inspect.ts'
import { json, startEndpoint, status } from '../support/endpoint.ts'
import { testKey, type TestKey } from '../support/keys.ts'
import { rejectionOf } from '../support/thrown.ts'

let one: TestKey
let two: TestKey
beforeAll(async () => {
  one = await testKey('P-256', 'one')
  two = await testKey('RSA', 'two')
})

describe('an inspection', () => {
  it('shows the answer, what is accepted and refused and why, and which key would be chosen', async () => {
    const endpoint = await startEndpoint(json({ keys: [{ ...one.publicJwk, iat: 10 }, { ...two.publicJwk, iat: 20 }, { kty: 'AKP', kid: 'pq' }] }, { etag: '"v1"', 'cache-control': 'max-age=5', 'set-cookie': 'token' }))
    const inspection = await inspectKeySet(endpoint.url, { allowInsecureLoopback: true })
    expect(inspection).toMatchObject({ kind: 'set', freshMs: 60_000, chosen: { kid: 'two' }, rejected: [{ index: 2, kid: 'pq', reason: 'its key type, curve or alg is not permitted' }] })
    expect(inspection.keys.map(({ kid }) => kid)).toEqual(['one', 'two'])
    expect(inspection.answer).toEqual({ status: 200, ms: expect.any(Number) as number, bytes: expect.any(Number) as number, headers: { 'content-type': 'application/jwk-set+json', etag: '"v1"', 'cache-control': 'max-age=5' } })
    expect(inspection.problem).toBeUndefined()
  })

  it.each([
    [503, 'unavailable', 'it answered 503'],
    [302, 'unavailable', 'it answered 302: redirects are not followed'],
    [404, 'unknown', 'it answered 404: it does not know this recipient'],
    [410, 'gone', 'it answered 410: its keys are revoked'],
    [304, 'unavailable', 'it answered 304 without being asked'],
  ])('says of a %i that it is %s', async (code, kind, problem) => {
    const endpoint = await startEndpoint(status(code))
    expect(await inspectKeySet(endpoint.url, { allowInsecureLoopback: true })).toMatchObject({ kind, problem, answer: { status: code }, keys: [], rejected: [] })
  })

  it('says of a page that it is no set, and quotes nothing of it', async () => {
    const endpoint = await startEndpoint((_request, response) => void response.end('<html>'))
    expect(await inspectKeySet(endpoint.url, { allowInsecureLoopback: true })).toMatchObject({ kind: 'set', problem: 'it is no key set: it is not a JSON object', keys: [] })
  })

  it('refuses the URLs that a directory refuses', async () => {
    expect(await rejectionOf(inspectKeySet('http://127.0.0.1:1/'))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it('goes by pins, signers and the rule for kids, as a directory does', async () => {
    const endpoint = await startEndpoint(json({ keys: [one.publicJwk, two.publicJwk] }))
    const inspect = (options: InspectOptions) => inspectKeySet(endpoint.url, { allowInsecureLoopback: true, ...options })
    expect(await inspect({ pins: [two.identity.thumbprint] })).toMatchObject({ chosen: { kid: 'two' }, keys: [{ kid: 'two' }], rejected: [{ kid: 'one', reason: 'it is not pinned' }] })
    expect(await inspect({ name: 'billing', pins: [two.identity.thumbprint] })).toMatchObject({ keys: [{ kid: 'two' }] })
    const { keys, rejected, chosen } = await inspect({ requireThumbprintKids: true })
    expect([keys.length, rejected.length, chosen]).toEqual([0, 2, undefined])
    expect(await inspect({ signedBy: [{ kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }] })).toMatchObject({ keys: [], freshMs: undefined, problem: 'it is no key set: it is not signed by one of `signedBy`' })
  })

  it('takes what a signed set says of its recipient for the name that it is given', async () => {
    const { publicKey, privateKey } = await generateKeyPair('Ed25519')
    const jws = await new CompactSign(Buffer.from(JSON.stringify({ keys: [one.publicJwk], sub: 'billing' }))).setProtectedHeader({ alg: 'Ed25519' }).sign(privateKey)
    const [signer, endpoint] = [await exportJWK(publicKey), await startEndpoint((_request, response) => void response.end(jws))]
    const inspect = (name: string) => inspectKeySet(endpoint.url, { name, allowInsecureLoopback: true, signedBy: [signer] })
    expect((await inspect('billing')).chosen?.kid).toBe('one')
    expect((await inspect('shipping')).problem).toBe('it is no key set: it is signed for another recipient')
  })

  it('reaches this machine by a name where loopback is allowed, and leaves no connection', async () => {
    const endpoint = await startEndpoint(json({ keys: [one.publicJwk] }))
    expect((await inspectKeySet(endpoint.url.replace('127.0.0.1', 'localhost'), { allowInsecureLoopback: true })).chosen?.kid).toBe('one')
    // Well before it would be closed for want of requests.
    await expect.poll(() => endpoint.requests[0]?.socket.destroyed, { timeout: 2_000 }).toBe(true)
  })

  it('asks an address only where it is listed', async () => {
    const fetched: string[] = []
    const fetch: typeof globalThis.fetch = async (url) => (fetched.push(new Request(url).url), new Response('{"keys":[]}'))
    expect(await rejectionOf(inspectKeySet('https://10.0.0.1/', { fetch }))).toBe('ERR_SEALBUS_INVALID_OPTION')
    expect(await inspectKeySet('https://10.0.0.1/', { fetch, hosts: ['10.0.0.1'] })).toMatchObject({ kind: 'set', keys: [], chosen: undefined })
    expect(fetched).toEqual(['https://10.0.0.1/'])
  })

  it('ends by its time-out, and by its signal', async () => {
    const endpoint = await startEndpoint(() => {})
    expect(await inspectKeySet(endpoint.url, { allowInsecureLoopback: true, timeoutMs: 100 })).toMatchObject({ kind: 'unavailable', problem: 'it timed out after 100 ms' })
    const controller = new AbortController()
    const inspecting = inspectKeySet(endpoint.url, { allowInsecureLoopback: true, timeoutMs: 60_000, signal: controller.signal })
    await expect.poll(() => endpoint.requests.length).toBe(2)
    controller.abort()
    expect((await inspecting).kind).toBe('unavailable')
    expect((await inspectKeySet(endpoint.url, { allowInsecureLoopback: true, timeoutMs: 60_000, signal: controller.signal })).kind).toBe('unavailable')
    expect(endpoint.requests).toHaveLength(2)
  })
})
