import { CompactSign, exportJWK, generateKeyPair, type JWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { signatureKey } from '../../src/jwks/signature.ts'
import { MINUTE, observe, set, UNAVAILABLE, until } from '../support/directories.ts'
import { type Answer, json, startEndpoint, status } from '../support/endpoint.ts'
import { testKey, type TestKey } from '../support/keys.ts'
import { codeOf, rejectionOf } from '../support/thrown.ts'

interface Signer {
  readonly publicJwk: JWK
  sign(payload: object, header?: object): Promise<string>
}

async function signer(alg: 'Ed25519' | 'ES256' | 'EdDSA' | 'RS256', kid?: string): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(alg)
  return {
    publicJwk: { ...(await exportJWK(publicKey)), ...(kid !== undefined && { kid }) },
    sign: (payload, header = {}) => new CompactSign(Buffer.from(JSON.stringify(payload))).setProtectedHeader({ alg, ...(kid !== undefined && { kid }), ...header }).sign(privateKey),
  }
}

let one: TestKey
let two: TestKey
let ours: Signer
beforeAll(async () => {
  one = await testKey('P-256', 'one')
  two = await testKey('P-256', 'two')
  ours = await signer('Ed25519', 'signer')
})
const answer = (body: string): Answer => (_request, response) => void response.writeHead(200, { 'content-type': 'application/jose' }).end(body)
const SECONDS = Date.UTC(2026, 0, 1) / 1_000

describe('a signed set', () => {
  it.each(['Ed25519', 'EdDSA', 'ES256'] as const)('by %s is taken', async (alg) => {
    const its = await signer(alg)
    const endpoint = await startEndpoint(answer(`${await its.sign(set(one))}\n`))
    const { directory } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [its.publicJwk] } } })
    expect((await directory.resolve('billing')).kid).toBe('one')
  })

  it('any of several keys may have made it, with or without a kid', async () => {
    const other = await signer('ES256')
    const endpoint = await startEndpoint(answer(await other.sign(set(one))))
    const { directory } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk, other.publicJwk] } } })
    expect((await directory.resolve('billing')).kid).toBe('one')
  })

  it('`kid` chooses among keys that have one; without it on either side, all are tried', async () => {
    const { kid: _kid, ...nameless } = ours.publicJwk
    const other = (await signer('Ed25519', 'other')).publicJwk
    const plain = await signer('Ed25519')
    for (const [jws, signedBy] of [
      [await ours.sign(set(one)), [other, nameless]],
      [await plain.sign(set(one)), [other, { ...plain.publicJwk, kid: 'named' }]],
    ] as const) {
      const endpoint = await startEndpoint(answer(jws))
      const { directory } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [...signedBy] } } })
      expect((await directory.resolve('billing')).kid).toBe('one')
    }
  })

  it.each<[string, () => Promise<string>]>([
    ['unsigned', async () => JSON.stringify(set(two))],
    ['by another key', async () => (await signer('Ed25519', 'signer')).sign(set(two))],
    ['by a key that it brings itself', async () => {
      const other = await signer('Ed25519', 'signer')
      return other.sign(set(two), { jwk: other.publicJwk })
    }],
    ['with another payload', async () => {
      const [header, , signature] = (await ours.sign(set(one))).split('.')
      return `${header}.${Buffer.from(JSON.stringify(set(two))).toString('base64url')}.${signature}`
    }],
    ['without a signature', async () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(set(two))).toString('base64url')}.`],
    ['with an HMAC of the public key', async () => {
      const key = Buffer.from(ours.publicJwk.x ?? '', 'base64url')
      return new CompactSign(Buffer.from(JSON.stringify(set(two)))).setProtectedHeader({ alg: 'HS256', kid: 'signer' }).sign(new Uint8Array(Buffer.concat([key])))
    }],
    ['with a crit header', async () => ours.sign(set(two), { crit: ['b64'], b64: true })],
    ['in JSON serialization', async () => {
      const [header, payload, signature] = (await ours.sign(set(two))).split('.')
      return JSON.stringify({ protected: header, payload, signature })
    }],
    ['for another recipient', async () => ours.sign({ ...set(two), sub: 'shipping' })],
    ['that has expired', async () => ours.sign({ ...set(two), exp: SECONDS })],
    ['with a time that is none', async () => ours.sign({ ...set(two), iat: 'now' })],
    ['with another kid', async () => ours.sign(set(two), { kid: 'unknown' })],
  ])('%s: refused, and the last good set stays', async (_title, forged) => {
    const endpoint = await startEndpoint(answer(await ours.sign(set(one))))
    const { directory, clock } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk] } } })
    const key = await directory.resolve('billing')
    endpoint.answer = answer(await forged())
    clock.advance(5_000)
    expect(await rejectionOf(directory.refresh('billing'))).toBe(UNAVAILABLE)
    expect(directory.peek('billing')).toBe(key)
    const cold = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk] } } })
    expect(await rejectionOf(cold.directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('an older one than the last is refused, so that a revoked key does not come back', async () => {
    const [old, next] = [await ours.sign({ ...set(one), iat: SECONDS - 60 }), await ours.sign({ ...set(two), iat: SECONDS })]
    const endpoint = await startEndpoint(answer(next))
    const { directory, clock } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk] } } })
    const key = await directory.resolve('billing')
    expect(key).not.toHaveProperty('notAfter')
    for (const replayed of [old, await ours.sign(set(one))]) {
      endpoint.answer = answer(replayed)
      clock.advance(MINUTE)
      await expect(directory.refresh('billing')).rejects.toThrow('a signed set that is older than the last')
      expect(directory.peek('billing')?.kid).toBe('two')
    }
    endpoint.answer = answer(next)
    clock.advance(MINUTE)
    await directory.refresh('billing')
    expect(directory.health()).toMatchObject([{ state: 'fresh' }])
    expect(directory.peek('billing'), 'content keys go by the object').toBe(key)
  })

  it.each<[string, number]>([['unchanged', 304], ['gone', 410]])('an older one than the last is refused also after an answer that it is %s', async (_title, code) => {
    const [old, last] = [await ours.sign({ ...set(one), iat: SECONDS - 60 }), await ours.sign({ ...set(two), iat: SECONDS })]
    const endpoint = await startEndpoint((_request, response) => void response.writeHead(200, { etag: '"v1"' }).end(last))
    const { directory, clock } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk] } } })
    await directory.resolve('billing')
    endpoint.answer = status(code)
    clock.advance(MINUTE)
    await directory.refresh('billing')
    endpoint.answer = answer(old)
    clock.advance(MINUTE)
    await expect(directory.refresh('billing')).rejects.toThrow('a signed set that is older than the last')
  })

  it('what an unsigned set says of its time and recipient counts for nothing', async () => {
    const endpoint = await startEndpoint(json({ ...set(one), iat: SECONDS - 60, exp: 1, sub: 'shipping' }))
    const { directory, clock } = observe({ recipients: { billing: endpoint.url } })
    expect((await directory.resolve('billing')).kid).toBe('one')
    endpoint.answer = json({ ...set(two), iat: 'then' })
    clock.advance(MINUTE)
    await directory.refresh('billing')
    expect(directory.peek('billing')?.kid).toBe('two')
    expect(directory.peek('billing')).not.toHaveProperty('notAfter')
  })

  it('a key that ends before its set ends then', async () => {
    const endpoint = await startEndpoint(answer(await ours.sign({ keys: [{ ...one.publicJwk, exp: SECONDS + 30 }, { ...two.publicJwk, iat: 1, exp: SECONDS + 90 }], exp: SECONDS + 60 })))
    const { directory, clock } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk] } } })
    await directory.resolve('billing')
    const kids: unknown[] = []
    for (let at = 0; at < 60; at += 10) {
      kids.push(directory.peek('billing')?.kid)
      clock.advance(10_000)
    }
    expect(kids).toEqual(['two', 'two', 'two', 'two', 'two', 'two'])
    expect(codeOf(() => directory.peek('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    endpoint.answer = answer(await ours.sign({ keys: [{ ...one.publicJwk, exp: SECONDS + 90 }, two.publicJwk], exp: SECONDS + 120 }))
    await directory.refresh('billing')
    expect(directory.peek('billing')).toMatchObject({ kid: 'one', notAfter: (SECONDS + 90) * 1_000 })
  })

  it.each<[string, object]>([['an iat before 1970', { iat: -1 }], ['an exp that is no number', { exp: '9999999999' }], ['an exp before 1970', { exp: -1 }]])('with %s is refused', async (_title, claims) => {
    const endpoint = await startEndpoint(answer(await ours.sign({ ...set(one), ...claims })))
    const { directory } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk] } } })
    await expect(directory.resolve('billing')).rejects.toThrow('its iat or exp is not a time in seconds')
  })

  it('with an iat and an exp of 0 has expired', async () => {
    const endpoint = await startEndpoint(answer(await ours.sign({ ...set(one), iat: 0, exp: 0 })))
    const { directory } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk] } } })
    await expect(directory.resolve('billing')).rejects.toThrow('its signature has expired')
  })

  it('its keys last no longer than itself', async () => {
    const endpoint = await startEndpoint(answer(await ours.sign({ ...set(one), exp: SECONDS + 60, sub: 'billing' })))
    const { directory, clock } = observe({ recipients: { billing: { url: endpoint.url, signedBy: [ours.publicJwk] } } })
    expect(await directory.resolve('billing')).toMatchObject({ notAfter: (SECONDS + 60) * 1_000 })
    clock.advance(59_999)
    expect(directory.peek('billing')?.kid).toBe('one')
    clock.advance(1)
    expect(codeOf(() => directory.peek('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })

  it('a registry is signed as one', async () => {
    const endpoint = await startEndpoint(answer(await ours.sign({ recipients: { billing: set(one) }, sub: 'registry of all' })))
    const { directory, clock } = observe({ registry: { url: endpoint.url, signedBy: [ours.publicJwk] } })
    expect((await directory.resolve('billing')).kid).toBe('one')
    endpoint.answer = json({ recipients: { billing: set(two) } })
    clock.advance(10 * MINUTE)
    directory.peek('billing')
    await until(() => directory.health()[0]?.lastError === UNAVAILABLE)
    expect(directory.peek('billing')?.kid).toBe('one')
  })
})

describe('keys of signed sets', () => {
  it.each<[string, (jwk: JWK) => unknown]>([
    ['a private one', (jwk) => ({ ...jwk, d: 'AAAA' })],
    ['one for encryption', (jwk) => ({ ...jwk, use: 'enc' })],
    ['one of another curve', (jwk) => ({ ...jwk, crv: 'X25519' })],
    ['a curve of another key type', (jwk) => ({ ...jwk, kty: 'EC', y: jwk.x })],
    ['P-384', (jwk) => ({ kty: 'EC', crv: 'P-384', x: jwk.x, y: jwk.x })],
    ['neither curve nor type', ({ x }) => ({ x })],
    ['one without a point', ({ x: _x, ...jwk }) => jwk],
    ['a kid that is no string', (jwk) => ({ ...jwk, kid: 7 })],
    ['no object', () => 'key'],
    ['null', () => null],
    ['an EC key without y', () => ({ kty: 'EC', crv: 'P-256', x: 'AAAA' })],
  ])('%s is refused', (_title, change) => {
    expect(signatureKey(change(ours.publicJwk))).toBeUndefined()
  })

  it('a good one is reduced to its public members', () => {
    expect(signatureKey({ ...ours.publicJwk, use: 'sig', x5c: ['...'] })).toEqual({ kid: 'signer', alg: 'Ed25519', jwk: { kty: 'OKP', crv: 'Ed25519', x: ours.publicJwk.x } })
  })
})
