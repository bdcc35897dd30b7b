import { beforeAll, describe, expect, it } from 'vitest'
import { inspectKeySet } from '../../src/jwks/inspect.ts'
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
})
