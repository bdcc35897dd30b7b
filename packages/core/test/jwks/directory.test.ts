import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createJwksDirectory, type JwksDirectory, type JwksDirectoryOptions } from '../../src/jwks/directory.ts'
import { defineChannels } from '../../src/channels.ts'
import { createSealer } from '../../src/seal.ts'
import { MINUTE, observe, set, temporaryFolder, UNAVAILABLE, until } from '../support/directories.ts'
import { type Answer, type Endpoint, json, startEndpoint, status, testClock } from '../support/endpoint.ts'
import { testKey, type TestKey } from '../support/keys.ts'
import { codeOf, rejectedBy, rejectionOf } from '../support/thrown.ts'

let one: TestKey
let two: TestKey
beforeAll(async () => {
  one = await testKey('P-256', 'one')
  two = await testKey('P-256', 'two')
})

async function start(answer: Answer, options: Partial<JwksDirectoryOptions> = {}): Promise<{ endpoint: Endpoint; clock: ReturnType<typeof testClock>; directory: JwksDirectory }> {
  const endpoint = await startEndpoint(answer)
  const clock = testClock()
  return { endpoint, clock, directory: createJwksDirectory({ recipients: { billing: endpoint.url }, allowInsecureLoopback: true, retries: 0, clock, ...options }) }
}

describe('directory: fetching', () => {
  it('[7.15] 10,000 concurrent cold callers cost one fetch, and then none', async () => {
    const { endpoint, directory } = await start(json(set(one)))
    expect(directory.peek('billing')).toBeUndefined()
    const keys = await Promise.all(Array.from({ length: 10_000 }, () => directory.resolve('billing')))
    expect(new Set(keys).size).toBe(1)
    expect(keys[0]).toMatchObject({ kid: 'one', alg: 'ECDH-ES+A256KW' })
    expect(directory.peek('billing')).toBe(keys[0])
    expect(endpoint.requests).toHaveLength(1)
  })

  it('[7.1] cold start, endpoint down: 1,000 calls cost one fetch per back-off window, and it recovers by itself', async () => {
    const { endpoint, clock, directory } = await start(status(500))
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
    for (let count = 0; count < 1_000; count++) expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
    expect(codeOf(() => directory.peek('billing'))).toBe(UNAVAILABLE)
    expect(endpoint.requests).toHaveLength(1)
    await expect(directory.resolve('billing')).rejects.toMatchObject({ transient: true, retryAfterMs: expect.any(Number) as number })
    endpoint.answer = json(set(one))
    clock.advance(1_500)
    expect((await directory.resolve('billing')).kid).toBe('one')
    expect(endpoint.requests).toHaveLength(2)
  })

  it('[7.2] warm, then down: the last set is served for an hour exactly, then closed, then it recovers', async () => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    const key = await directory.resolve('billing')
    endpoint.answer = status(503)
    for (let minute = 1; minute < 60; minute++) {
      clock.advance(MINUTE)
      expect(directory.peek('billing')).toBe(key)
    }
    await until(() => endpoint.requests.length > 1)
    clock.advance(MINUTE)
    const refused = await rejectionOf(directory.resolve('billing'))
    expect(refused).toBe(UNAVAILABLE)
    endpoint.answer = json(set(one))
    clock.advance(2 * MINUTE)
    expect(await directory.resolve('billing')).toBe(key)
  })

  it.each([
    ['headers stall', (): void => {}],
    ['body stall after `{`', ((_request, response) => void response.writeHead(200).write('{')) satisfies Answer],
    ['one byte at a time', ((_request, response) => {
      response.writeHead(200)
      const drip = setInterval(() => response.write(' '), 20)
      response.on('close', () => clearInterval(drip))
    }) satisfies Answer],
  ])('[7.3] %s: settles by the time-out, and later callers are not pinned to it', async (_title, answer) => {
    const { endpoint, clock, directory } = await start(answer, { timeoutMs: 200 })
    await expect(directory.resolve('billing')).rejects.toThrow('timed out after 200 ms')
    endpoint.answer = json(set(one))
    clock.advance(2_000)
    expect((await directory.resolve('billing')).kid).toBe('one')
  })

  it.each([400, 401, 404, 429, 500, 503])('[7.4] status %i is an outage: the cached set stays', async (code) => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    const key = await directory.resolve('billing')
    endpoint.answer = status(code)
    clock.advance(10 * MINUTE)
    directory.peek('billing')
    await until(() => endpoint.requests.length === 2)
    expect(directory.peek('billing')).toBe(key)
  })

  it('[7.4] a 404 at first contact is an unknown recipient, believed for 30 s; a 410 revokes', async () => {
    const { endpoint, clock, directory } = await start(status(404))
    expect(await rejectionOf(directory.resolve('billing'))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
    expect(await rejectionOf(directory.resolve('billing'))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
    expect(endpoint.requests).toHaveLength(1)
    endpoint.answer = json(set(one))
    clock.advance(30_000)
    await directory.resolve('billing')
    endpoint.answer = status(410)
    clock.advance(6_000)
    await directory.refresh('billing')
    expect(codeOf(() => directory.peek('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })

  it.each([
    ['HTML', '<html>'],
    ['no keys member', '{}'],
    ['keys is an object', '{"keys":{}}'],
    ['truncated', '{"keys":[{'],
    ['a byte order mark', '\ufeff{"keys":[]}'],
    ['duplicate members', '{"keys":[],"keys":[]}'],
    ['deep nesting', `{"keys":${'['.repeat(50)}${']'.repeat(50)}}`],
  ])('[7.5] %s is an outage, and its text is in no error', async (_title, body) => {
    const { directory } = await start((_request, response) => void response.writeHead(200).end(body))
    const error: unknown = await directory.resolve('billing').catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: UNAVAILABLE })
    expect(String(error)).not.toContain(body)
    expect(error).not.toHaveProperty('cause')
  })

  it('[7.5] members named __proto__ and unknown ones are ignored', async () => {
    const { directory } = await start((_request, response) => void response.end(`{"__proto__":{"keys":[]},"constructor":1,"keys":[${JSON.stringify(one.publicJwk).replace('{', '{"__proto__":{"use":"sig"},"x5t":"?",')}]}`))
    expect((await directory.resolve('billing')).kid).toBe('one')
  })

  it('[7.3] slow, but within the time-out: taken', async () => {
    const { directory } = await start((request, response) => void setTimeout(() => json(set(one))(request, response), 300), { timeoutMs: 5_000 })
    expect((await directory.resolve('billing')).kid).toBe('one')
  })

  it('[7.6] a body over 256 KiB of decoded bytes is not read to its end', async () => {
    let sent = 0
    const { endpoint, clock, directory } = await start((_request, response) => {
      response.writeHead(200)
      const more = (): void => {
        while (sent < 60_000_000 && response.write(Buffer.alloc(65_536, ' '))) sent += 65_536
        response.once('drain', more)
      }
      more()
    })
    await expect(directory.resolve('billing')).rejects.toThrow('a body of more than 262144 bytes')
    expect(sent).toBeLessThan(10_000_000)
    endpoint.answer = (_request, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(60_000_000, ' ')))
    clock.advance(2_000)
    await expect(directory.resolve('billing')).rejects.toThrow('a body of more than 262144 bytes')
  })

  it.each([301, 302, 307])('[7.7] redirect %i is not followed', async (code) => {
    const target = await startEndpoint(json(set(one)))
    const { directory } = await start(status(code, { location: target.url }))
    await expect(directory.resolve('billing')).rejects.toThrow('redirects are not followed')
    expect(target.requests).toHaveLength(0)
  })

  it.each(['http://example.com/jwks.json', 'https://user:pw@example.com/', 'https://example.com/#keys', 'ftp://example.com/', 'jwks.json'])('[7.7] URL %s is refused at construction', (url) => {
    expect(codeOf(() => createJwksDirectory({ recipients: { billing: url }, allowInsecureLoopback: true }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it('[7.7] http to a loopback host is refused unless it is asked for', () => {
    for (const host of ['127.0.0.1', 'localhost', '[::1]']) {
      const recipients = { billing: `http://${host}/jwks.json` }
      expect(codeOf(() => createJwksDirectory({ recipients }))).toBe('ERR_SEALBUS_INVALID_OPTION')
      expect(codeOf(() => createJwksDirectory({ recipients, allowInsecureLoopback: true }).peek('audit'))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
    }
  })

  it.each([{ freshMs: 999 }, { freshMs: 3_600_001 }, { maxStaleMs: -1 }, { maxStaleMs: 86_400_001 }, { timeoutMs: 99 }, { timeoutMs: Number.NaN }, { maxEntries: 0 }])('option %j is out of its range', (options) => {
    expect(codeOf(() => createJwksDirectory({ recipients: {}, ...options }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it.each([{ maxStaleMs: -1 }, { maxStaleMs: 86_400_001 }, { pins: [] }, { pins: ['short'] }])("a recipient's %j is refused at construction", (more) => {
    expect(codeOf(() => createJwksDirectory({ recipients: { billing: { url: 'https://example.com/', ...more } } }))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })

  it('[7.8] an ETag is sent back, and 304 renews the set', async () => {
    const { endpoint, clock, directory } = await start(json(set(one), { etag: '"v1"', 'cache-control': 'max-age=600' }))
    const key = await directory.resolve('billing')
    endpoint.answer = status(304, { 'cache-control': 'max-age=600' })
    for (let round = 0; round < 20; round++) {
      clock.advance(9 * MINUTE)
      expect(directory.peek('billing')).toBe(key)
      await until(() => endpoint.requests.length === round + 2)
      // Joins the fetch that is under way, so that its answer counts before the clock moves.
      await directory.refresh('billing')
    }
    expect(endpoint.requests.at(-1)?.headers['if-none-match']).toBe('"v1"')
  })

  it('[7.4] a 410 at first contact is a recipient without keys', async () => {
    const { directory } = await start(status(410))
    expect(await rejectionOf(directory.resolve('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })

  it('[7.1] in an outage a set that is due is asked for once in each window of the back-off, however often it is used', async () => {
    const { directory, clock, told } = observe({ recipients: { billing: 'https://keys.example/' }, fetch: async () => new Response(JSON.stringify(set(one)), { status: told('fetched').length === 0 ? 200 : 503 }) })
    const key = await directory.resolve('billing')
    for (let fetched = 2; fetched <= 4; fetched++) {
      clock.advance(5 * MINUTE)
      for (let count = 0; count < 100; count++) {
        expect(directory.peek('billing')).toBe(key)
        await nextTurn()
      }
      expect(told('fetched')).toHaveLength(fetched)
    }
  })

  it('[7.7] a name that leads to this machine is asked where loopback is allowed', async () => {
    const endpoint = await startEndpoint(json(set(one)))
    const { directory } = observe({ recipients: { billing: endpoint.url.replace('127.0.0.1', 'localhost') } })
    expect((await directory.resolve('billing')).kid).toBe('one')
  })

  it('[7.9] `keys: []` after a good set closes at once, and so does a set of which no key is usable', async () => {
    for (const revoked of [{ keys: [] }, { keys: [{ kty: 'oct', k: 'AAAA' }] }]) {
      const { endpoint, clock, directory } = await start(json(set(one)))
      await directory.resolve('billing')
      endpoint.answer = json(revoked)
      clock.advance(6_000)
      await directory.refresh('billing')
      expect(codeOf(() => directory.peek('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
      expect(await rejectionOf(directory.resolve('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    }
  })
})

describe('directory: freshness', () => {
  it('[7.15] access after 80 % of the fresh time refreshes once, and nobody waits; the key stays the same object', async () => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    const key = await directory.resolve('billing')
    clock.advance(200_000)
    expect(directory.peek('billing')).toBe(key)
    expect(endpoint.requests).toHaveLength(1)
    clock.advance(80_000)
    for (let count = 0; count < 1_000; count++) expect(directory.peek('billing')).toBe(key)
    await until(() => endpoint.requests.length === 2)
    await directory.resolve('billing')
    expect(directory.peek('billing')).toBe(key)
    expect(endpoint.requests).toHaveLength(2)
  })

  it.each([[0, 216_000], [0.5, 240_000], [0.999_999, 264_000]])('the refresh comes a tenth earlier or later from process to process: by chance %d after %d ms', async (chance, due) => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(chance)
    onTestFinished(() => random.mockRestore())
    const { endpoint, clock, directory } = await start(json(set(one)))
    await directory.resolve('billing')
    clock.advance(due - 1)
    directory.peek('billing')
    clock.advance(1)
    expect(endpoint.requests).toHaveLength(1)
    directory.peek('billing')
    await until(() => endpoint.requests.length === 2)
  })

  it('`freshMs` is for endpoints that say nothing, within `maxFreshMs`', async () => {
    const { clock, directory } = await start(json(set(one)), { freshMs: 10 * MINUTE, maxFreshMs: 2 * MINUTE, maxStaleMs: 0 })
    const key = await directory.resolve('billing')
    clock.advance(2 * MINUTE - 1)
    expect(directory.peek('billing')).toBe(key)
    clock.advance(1)
    await directory.resolve('billing')
    clock.advance(2 * MINUTE)
    expect(directory.peek('billing')).toBeUndefined()
  })

  it('[7.18] wall clock a day back costs no fetch; a suspend of three days, seen by the wall clock only, costs one', async () => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    await directory.resolve('billing')
    clock.step(-86_400_000)
    directory.peek('billing')
    expect(endpoint.requests).toHaveLength(1)
    clock.step(4 * 86_400_000)
    expect(directory.peek('billing')).toBeUndefined()
    expect((await directory.resolve('billing')).kid).toBe('one')
    expect(endpoint.requests).toHaveLength(2)
  })

  it('a key that expires between two fetches ends at once, and one whose `nbf` comes takes its place', async () => {
    const { clock, directory } = await start(json({ keys: [{ ...one.publicJwk, exp: Date.UTC(2026, 0, 1, 0, 1) / 1_000 }, { ...two.publicJwk, nbf: Date.UTC(2026, 0, 1, 0, 0, 30) / 1_000 }] }))
    expect((await directory.resolve('billing')).kid).toBe('one')
    clock.advance(30_000)
    expect(directory.peek('billing')?.kid).toBe('two')
  })

  it('[7.14] a key whose `iat` comes between two fetches takes its place, without a fetch', async () => {
    const start2026 = Date.UTC(2026, 0, 1) / 1_000
    const { endpoint, clock, directory } = await start(json({ keys: [{ ...one.publicJwk, iat: start2026 - 10 }, { ...two.publicJwk, iat: start2026 + 30 }] }))
    expect((await directory.resolve('billing')).kid).toBe('one')
    clock.advance(29_000)
    expect(directory.peek('billing')?.kid).toBe('one')
    clock.advance(1_000)
    expect(directory.peek('billing')?.kid).toBe('two')
    expect(endpoint.requests).toHaveLength(1)
  })

  it('[7.1] refresh() in an outage: at most one fetch per 5 s, cold or warm, and the reason each time', async () => {
    for (const first of [status(500), json(set(one))]) {
      const { endpoint, clock, directory } = await start(first)
      await directory.resolve('billing').catch(() => {})
      endpoint.answer = status(500)
      for (let window = 1; window <= 2; window++) {
        clock.advance(window === 1 ? 5_000 : 30_000)
        for (let count = 0; count < 50; count++) expect(await rejectionOf(directory.refresh('billing'))).toBe(UNAVAILABLE)
        expect(endpoint.requests).toHaveLength(1 + window)
      }
      clock.advance(30_000)
      endpoint.answer = json(set(two))
      await directory.refresh('billing')
      expect(directory.peek('billing')?.kid).toBe('two')
    }
  })

  it('refresh(): an attempt of the last 5 s counts as this one, then two are granted, and then one per 30 s', async () => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    await directory.resolve('billing')
    clock.advance(4_999)
    await directory.refresh('billing')
    expect(endpoint.requests).toHaveLength(1)
    for (let granted = 2; granted <= 3; granted++) {
      clock.advance(5_000)
      await directory.refresh('billing')
      expect(endpoint.requests).toHaveLength(granted)
    }
    clock.advance(5_000)
    expect(await rejectedBy(directory.refresh('billing'))).toMatchObject({ code: UNAVAILABLE, transient: true, retryAfterMs: 20_000 })
    expect(endpoint.requests).toHaveLength(3)
    expect(directory.peek('billing')?.kid).toBe('one')
    clock.advance(20_000)
    await directory.refresh('billing')
    expect(endpoint.requests).toHaveLength(4)
  })

  it('refresh(): who joins a fetch that is under way is granted another one', async () => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    await Promise.all([directory.resolve('billing'), ...Array.from({ length: 10 }, () => directory.refresh('billing'))])
    expect(endpoint.requests).toHaveLength(1)
    for (let granted = 2; granted <= 3; granted++) {
      clock.advance(5_000)
      await directory.refresh('billing')
    }
    expect(endpoint.requests).toHaveLength(3)
  })

  it('[7.15] at the edge of the stale time 10,000 callers cost one fetch', async () => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    const key = await directory.resolve('billing')
    clock.advance(60 * MINUTE)
    expect(new Set(await Promise.all(Array.from({ length: 10_000 }, () => directory.resolve('billing'))))).toEqual(new Set([key]))
    expect(endpoint.requests).toHaveLength(2)
  })

  it('[7.8] Last-Modified serves where there is no ETag, and `maxFreshMs` bounds what Cache-Control says', async () => {
    const modified = 'Thu, 01 Jan 2026 00:00:00 GMT'
    const { endpoint, clock, directory } = await start(json(set(one), { 'last-modified': modified, 'cache-control': 'max-age=3600' }), { maxFreshMs: 2 * MINUTE })
    const key = await directory.resolve('billing')
    endpoint.answer = status(304)
    clock.advance(110_000)
    expect(directory.peek('billing')).toBe(key)
    await until(() => endpoint.requests.length === 2)
    expect(endpoint.requests[1]?.headers).toMatchObject({ 'if-modified-since': modified })
    expect(endpoint.requests[1]?.headers).not.toHaveProperty('if-none-match')
  })

  it('[7.13] `requireThumbprintKids` refuses a kid that is not the thumbprint', async () => {
    const endpoint = await startEndpoint(json({ keys: [one.publicJwk, { ...two.publicJwk, kid: two.identity.thumbprint }] }))
    const { directory, told } = observe({ recipients: { billing: { url: endpoint.url, requireThumbprintKids: true } } })
    expect((await directory.resolve('billing')).kid).toBe(two.identity.thumbprint)
    expect(told('rejected')).toMatchObject([{ index: 0, kid: 'one', reason: 'its kid is not its thumbprint' }])
  })

  it('the longest time from a revocation to the last message is the greater of the fresh and the stale one', () => {
    const recipients = { billing: 'https://keys.example/' }
    const { directory } = observe({ recipients })
    expect(directory.revocationMs()).toBe(60 * MINUTE)
    expect(createSealer({ directory, channels: defineChannels({ orders: { to: ['billing'] } }) }).describe().revocationMs).toBe(60 * MINUTE)
    expect(observe({ recipients, maxStaleMs: 0, maxFreshMs: 5 * MINUTE }).directory.revocationMs()).toBe(5 * MINUTE)
    expect(observe({ recipients, maxStaleMs: 24 * 60 * MINUTE }).directory.revocationMs()).toBe(24 * 60 * MINUTE)
    expect(observe({ recipients: { billing: { url: 'https://keys.example/', maxStaleMs: 120 * MINUTE } } }).directory.revocationMs()).toBe(120 * MINUTE)
  })

  it('[7.21] a rotation in a burst of 50,000 messages: each is for one of the two keys, and none for the old one after the refresh', async () => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    const sealer = createSealer({ directory, channels: defineChannels({ orders: { to: ['billing'] } }) })
    await sealer.ready()
    const kids: string[] = []
    const seal = (): void => {
      const envelope = JSON.parse(sealer.sealSync('x', { channel: 'orders' }).bytes.toString()) as { protected: string }
      const { kid } = JSON.parse(Buffer.from(envelope.protected, 'base64url').toString()) as { kid: string }
      kids.push(kid)
    }
    for (let count = 0; count < 25_000; count++) seal()
    endpoint.answer = json(set(two))
    clock.advance(5 * MINUTE)
    const before = kids.length
    for (let count = 0; count < 25_000; count++) {
      seal()
      if (count % 100 === 0) await nextTurn()
    }
    const change = kids.indexOf('two')
    expect(change).toBeGreaterThanOrEqual(before)
    expect(kids.slice(0, change).every((kid) => kid === 'one')).toBe(true)
    expect(kids.slice(change).every((kid) => kid === 'two')).toBe(true)
    expect(kids).toHaveLength(50_000)
    expect(endpoint.requests).toHaveLength(2)
  })

  it('a rotated key is another object after the refresh', async () => {
    const { endpoint, clock, directory } = await start(json(set(one)))
    const before = await directory.resolve('billing')
    endpoint.answer = json(set(two))
    clock.advance(6_000)
    await directory.refresh('billing')
    expect(directory.peek('billing')).not.toBe(before)
    expect(directory.peek('billing')?.kid).toBe('two')
  })

  it('pins: any other key is refused', async () => {
    const endpoint = await startEndpoint(json(set(one, two)))
    const directory = createJwksDirectory({ recipients: { billing: { url: endpoint.url, pins: [two.identity.thumbprint] } }, allowInsecureLoopback: true })
    expect((await directory.resolve('billing')).kid).toBe('two')
    const wrong = createJwksDirectory({ recipients: { billing: { url: endpoint.url, pins: ['A'.repeat(43)] } }, allowInsecureLoopback: true })
    expect(await rejectionOf(wrong.resolve('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })
})

describe('directory: bounds and life cycle', () => {
  it('[7.17] one caller aborts: it leaves, the others get their key from the same fetch', async () => {
    const { endpoint, directory } = await start(json(set(one)))
    const controller = new AbortController()
    const leaving = directory.resolve('billing', { signal: controller.signal })
    const staying = directory.resolve('billing')
    controller.abort()
    expect(await rejectionOf(leaving)).toBe(UNAVAILABLE)
    expect((await staying).kid).toBe('one')
    expect(endpoint.requests).toHaveLength(1)
  })

  it('[7.19] close() mid-fetch: waiters reject with a typed error, and it is idempotent', async () => {
    const { directory } = await start(() => {})
    const waiting = directory.resolve('billing')
    directory.close()
    directory.close()
    expect(await rejectionOf(waiting)).toBe('ERR_SEALBUS_CLOSED')
    expect(codeOf(() => directory.peek('billing'))).toBe('ERR_SEALBUS_CLOSED')
  })

  it('keepWarm() refreshes ahead without any access, goes on after a failure, and ends with close()', async () => {
    const endpoint = await startEndpoint(json(set(one)))
    const directory = createJwksDirectory({ recipients: { billing: endpoint.url }, allowInsecureLoopback: true, freshMs: 1_000 })
    await directory.resolve('billing')
    directory.keepWarm(['billing'])
    await until(() => endpoint.requests.length === 2)
    endpoint.answer = status(500)
    await until(() => endpoint.requests.length === 3)
    endpoint.answer = json(set(two))
    await until(() => directory.peek('billing')?.kid === 'two')
    directory.close()
    const { length } = endpoint.requests
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(endpoint.requests).toHaveLength(length)
  })

  it('[7.19] timers that keep keys warm do not keep the process alive', async () => {
    const { directory } = await start(json(set(one)))
    const timers = (): number => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
    const before = timers()
    directory.keepWarm(['billing'])
    expect(timers()).toBe(before)
    directory.close()
  })

  it('keepWarm() fetches when the keys are due, and after a failure when the back-off ends', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5)
    onTestFinished(() => (vi.useRealTimers(), random.mockRestore()))
    let fetched = 0
    let answer = 200
    const { directory, clock } = observe({ recipients: { billing: 'https://keys.example/', given: set(two) }, fetch: async () => (fetched++, new Response(JSON.stringify(set(one)), { status: answer })) })
    const after = async (ms: number): Promise<number> => {
      clock.advance(ms)
      vi.advanceTimersByTime(ms)
      for (let turn = 0; turn < 10; turn++) await nextTurn()
      return fetched
    }
    directory.keepWarm(['billing'])
    expect([await after(999), await after(1)]).toEqual([0, 1])
    expect([await after(239_999), await after(1)]).toEqual([1, 2])
    answer = 503
    expect(await after(240_000)).toBe(3)
    expect([await after(999), await after(1)]).toEqual([3, 4])
    expect([await after(1_999), await after(1)]).toEqual([4, 5])
    answer = 200
    expect(await after(4_000)).toBe(6)
    // Asked for again, it is not put off; and keys that are given are never due.
    await directory.resolve('given')
    directory.keepWarm(['given', 'billing'])
    expect([await after(239_999), await after(1)]).toEqual([6, 7])
    expect(vi.getTimerCount()).toBe(1)
    directory.close()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('keepWarm() called again and again does not put the fetch off', async () => {
    const { endpoint, directory } = await start(json(set(one)))
    const again = setInterval(() => directory.keepWarm(['billing']), 50)
    onTestFinished(() => clearInterval(again))
    await until(() => endpoint.requests.length === 1)
    directory.close()
  })

  it('[7.20] one endpoint that hangs does not affect another', async () => {
    const hanging = await startEndpoint(() => {})
    const good = await startEndpoint(json(set(one)))
    const directory = createJwksDirectory({ recipients: { slow: hanging.url, billing: good.url }, allowInsecureLoopback: true, timeoutMs: 500 })
    const slow = rejectionOf(directory.resolve('slow'))
    expect((await directory.resolve('billing')).kid).toBe('one')
    expect(await slow).toBe(UNAVAILABLE)
  })

  it('[7.17] all callers abort: the fetch finishes for the next one, and nothing is left unhandled', async () => {
    const { promise: release, resolve: go } = Promise.withResolvers<void>()
    const { endpoint, directory } = await start((request, response) => void release.then(() => json(set(one))(request, response)))
    const controller = new AbortController()
    const leaving = Array.from({ length: 100 }, () => rejectionOf(directory.resolve('billing', { signal: controller.signal })))
    await until(() => endpoint.requests.length === 1)
    controller.abort()
    expect(new Set(await Promise.all(leaving))).toEqual(new Set([UNAVAILABLE]))
    go()
    expect((await directory.resolve('billing')).kid).toBe('one')
    expect(endpoint.requests).toHaveLength(1)
    expect(await rejectionOf(directory.resolve('billing', { signal: controller.signal }).then(() => directory.refresh('audit')))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
  })

  it('[7.19] close() tells also those who wait in line, between two attempts, and for a function', async () => {
    const endpoint = await startEndpoint(() => {})
    const failing = await startEndpoint(status(503, { 'retry-after': '5' }))
    const names = Array.from({ length: 20 }, (_, index) => `r${index}`)
    const { directory } = observe({ recipients: (name) => (name === 'never' ? new Promise(() => {}) : name === 'failing' ? failing.url : endpoint.url), retries: 2 })
    const waiting = [...names, 'never', 'failing'].map((name) => rejectionOf(directory.resolve(name)))
    await until(() => endpoint.requests.length === 6 && failing.requests.length === 1)
    directory.keepWarm(['r0'])
    await directory[Symbol.asyncDispose]()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['ERR_SEALBUS_CLOSED']))
    expect(endpoint.requests).toHaveLength(6)
    for (const call of [() => directory.resolve('r0'), () => directory.refresh('r0')]) expect(await rejectionOf(call())).toBe('ERR_SEALBUS_CLOSED')
    expect(codeOf(() => directory.keepWarm(['r0']))).toBe('ERR_SEALBUS_CLOSED')
  })

  it('[7.1] a process that waits for its first keys stays until it is told that there are none', async () => {
    const script = `
      const { createJwksDirectory } = await import('@sealbus/core')
      const hanging = createJwksDirectory({ recipients: () => new Promise(() => {}), timeoutMs: 300 })
      const refused = createJwksDirectory({ recipients: { billing: 'http://127.0.0.1:1/' }, allowInsecureLoopback: true })
      for (const directory of [hanging, refused]) await directory.resolve('billing').catch(({ code }) => console.log(code))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@sealbus/source', '--input-type=module', '-e', script], { timeout: 15_000, cwd: import.meta.dirname })
    expect(stdout).toBe(`${UNAVAILABLE}\n${UNAVAILABLE}\n`)
  })

  it('[7.19] a process with nothing but warm caches ends by itself', async () => {
    const endpoint = await startEndpoint(json(set(one)))
    const file = join(await temporaryFolder(), 'jwks.json')
    await writeFile(file, JSON.stringify(set(two)))
    const script = `
      const { createJwksDirectory } = await import('@sealbus/core')
      const directory = createJwksDirectory({ recipients: { billing: '${endpoint.url}', shipping: { file: ${JSON.stringify(file)} } }, snapshot: ${JSON.stringify(`${file}.snapshot`)}, allowInsecureLoopback: true })
      const keys = [await directory.resolve('billing'), await directory.resolve('shipping')]
      directory.keepWarm(['billing', 'shipping'])
      console.log(keys.map(({ kid }) => kid).join())`
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@sealbus/source', '--input-type=module', '-e', script], { timeout: 15_000, cwd: import.meta.dirname })
    expect(stdout).toBe('one,two\n')
    expect(await readFile(`${file}.snapshot`, 'utf8')).toContain('billing')
  })

  it('[7.19] closing ends waiting for a key that is under way, and what comes of it is not kept', async () => {
    const { promise: release, resolve: go } = Promise.withResolvers<void>()
    const { directory, told } = observe({ recipients: { billing: 'https://keys.example/' }, fetch: async () => (await release, new Response(JSON.stringify(set(one)))) })
    const waiting = rejectionOf(directory.resolve('billing'))
    await nextTurn()
    directory.close()
    expect(await waiting).toBe('ERR_SEALBUS_CLOSED')
    go()
    for (let turn = 0; turn < 10; turn++) await nextTurn()
    expect(directory.health()).toEqual([{ name: 'billing', state: 'cold' }])
    expect(told('changed')).toEqual([])
  })

  it('[7.19] what is closed while a set is taken in does not keep it, and forgets those that it has', async () => {
    const { directory } = observe({
      recipients: { billing: set(one), shipping: set(two) },
      onEvent: (event): void => {
        if (event.kind === 'fetched' && event.name === 'shipping') directory.close()
      },
    })
    await directory.resolve('billing')
    expect(await rejectionOf(directory.resolve('shipping'))).toBe('ERR_SEALBUS_CLOSED')
    expect(directory.health()).toEqual([{ name: 'billing', state: 'cold' }, { name: 'shipping', state: 'cold' }])
  })

  it('[7.19] closing leaves neither a connection nor a look at a file', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const file = join(await temporaryFolder(), 'jwks.json')
    await writeFile(file, JSON.stringify(set(two)))
    const endpoint = await startEndpoint(json(set(one)))
    const { directory } = observe({ recipients: { billing: endpoint.url, shipping: { file } } })
    for (const name of ['billing', 'shipping']) await directory.resolve(name)
    expect(vi.getTimerCount()).toBe(1)
    directory.close()
    expect(vi.getTimerCount()).toBe(0)
    vi.useRealTimers()
    // Well before it would be closed for want of requests.
    await expect.poll(() => endpoint.requests[0]?.socket.destroyed, { timeout: 2_000 }).toBe(true)
  })

  it('a file is no longer looked at when its set has left for others, nor when its name has another one', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    const folder = await temporaryFolder()
    for (const name of ['a', 'b', 'c']) await writeFile(join(folder, name), JSON.stringify(set(one)))
    let own = true
    const { directory, clock } = observe({ recipients: (name) => (own ? { file: join(folder, name) } : set(one)), maxEntries: 2 })
    const watched: number[] = []
    for (const name of ['a', 'b', 'c']) {
      await directory.resolve(name)
      watched.push(vi.getTimerCount())
    }
    own = false
    clock.advance(MINUTE)
    await directory.refresh('c')
    expect([...watched, vi.getTimerCount()]).toEqual([1, 2, 2, 1])
  })

  it('keepWarm() counts from the last fetch, whoever made it', async () => {
    const { directory, clock, told } = observe({ recipients: { billing: 'https://keys.example/' }, fetch: async () => new Response(JSON.stringify(set(one))) })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5)
    onTestFinished(() => (vi.useRealTimers(), random.mockRestore()))
    await directory.resolve('billing')
    clock.advance(100_000)
    directory.keepWarm(['billing'])
    vi.advanceTimersByTime(139_999)
    await nextTurn()
    expect(told('fetched')).toHaveLength(1)
    vi.advanceTimersByTime(1)
    for (let turn = 0; turn < 10; turn++) await nextTurn()
    expect(told('fetched')).toHaveLength(2)
  })

  it('more recipients than `maxEntries`: the longest unused leaves, and is fetched anew', async () => {
    const asked: string[] = []
    const { directory } = observe({ recipients: (name) => (asked.push(name), set(one)), maxEntries: 2 })
    for (const name of ['a', 'b', 'a', 'c', 'a']) await directory.resolve(name)
    expect(asked).toEqual(['a', 'b', 'c'])
    expect(directory.health().map(({ name }) => name).toSorted()).toEqual(['a', 'c'])
    await directory.resolve('b')
    expect(asked).toEqual(['a', 'b', 'c', 'b'])
  })

  it('a recipient that had no key and now has one, or the other way round, is in health() once', async () => {
    let known = false
    const { directory, clock } = observe({ recipients: () => (known ? set(one) : undefined) })
    for (const state of ['failing', 'fresh', 'failing', 'fresh']) {
      await directory.refresh('billing').catch(() => {})
      expect(directory.health()).toMatchObject([{ name: 'billing', state }])
      known = !known
      clock.advance(MINUTE)
    }
  })

  it.each(['audit', '__proto__', 'constructor', ''])('an unknown name, %j, is a typed error', async (name) => {
    const { directory } = await start(json(set(one)))
    expect(codeOf(() => directory.peek(name))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
    expect(await rejectionOf(directory.resolve(name))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
  })
})
