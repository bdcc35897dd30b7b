import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createJwksDirectory, type JwksDirectory } from '../../src/jwks/directory.ts'
import { fetchKeySet, type FetchOptions, type FetchResult, freshTime, retryAfter } from '../../src/jwks/fetch.ts'
import { type Answer, json, startEndpoint, status, testClock } from '../support/endpoint.ts'
import { testKey, type TestKey } from '../support/keys.ts'
import { rejectionOf } from '../support/thrown.ts'

let one: TestKey
beforeAll(async () => {
  one = await testKey('P-256', 'one')
})
const UNAVAILABLE = 'ERR_SEALBUS_DIRECTORY_UNAVAILABLE'

async function start(answer: Answer): Promise<{ clock: ReturnType<typeof testClock>; directory: JwksDirectory }> {
  const { url } = await startEndpoint(answer)
  const clock = testClock()
  return { clock, directory: createJwksDirectory({ recipients: { billing: url }, allowInsecureLoopback: true, retries: 0, clock }) }
}

async function retryAfterOf(directory: JwksDirectory): Promise<number> {
  const error: unknown = await directory.resolve('billing').catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: UNAVAILABLE, retryAfterMs: expect.any(Number) as number })
  return Number(Reflect.get(error as object, 'retryAfterMs'))
}

describe('[7.8] Cache-Control', () => {
  it.each([
    ['max-age=600', 600_000],
    ['public, max-age="600"', 600_000],
    ['MAX-AGE = 600', 600_000],
    ['max-age=0', 60_000],
    ['max-age=10', 60_000],
    ['max-age=1000000000', 3_600_000],
    ['no-store', 60_000],
    ['no-cache', 60_000],
    ['max-age=600, no-cache', 60_000],
    ['max-age=soon', undefined],
    ['max-age=-5', undefined],
    ['max-age=600s', undefined],
    ['s-maxage=600', undefined],
    ['public,no-store', 60_000],
    ['x-no-store, max-age=600', 600_000],
    ['no-storing, max-age=600', 600_000],
    ['x-max-age=600', undefined],
    ['public,max-age=600,must-revalidate', 600_000],
    ['max-age=600 , public', 600_000],
    ['max-age=1234567890123', undefined],
    ['', undefined],
    [null, undefined],
  ])('%j is %j ms', (header, expected) => {
    expect(freshTime(header)).toBe(expected)
  })

  it('304 to a request without an ETag is an outage, and no revocation', async () => {
    const { directory } = await start(status(304))
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
    expect(await fetchKeySet('https://keys.example/', { fetch: async () => new Response(null, { status: 304 }), timeoutMs: 1_000 })).toMatchObject({ kind: 'unavailable', passing: false })
  })
})

describe('back-off', () => {
  it.each([
    ['seconds', '7', 7_000, 7_000],
    ['absurd', '999999', 60_000, 60_000],
    ['a date', 'Wed, 21 Oct 2099 07:28:00 GMT', 60_000, 60_000],
    ['no number', 'later', 500, 1_500],
  ])('[7.4] 429 with a Retry-After of %s', async (_title, value, least, most) => {
    const { directory } = await start(status(429, { 'retry-after': value }))
    const wait = await retryAfterOf(directory)
    expect(wait).toBeGreaterThanOrEqual(least)
    expect(wait).toBeLessThanOrEqual(most)
  })

  it('[7.1] doubles from 1 s to 60 s, give or take a half, and starts anew after a success', async () => {
    let answer: Answer = status(500)
    const { clock, directory } = await start((request, response) => answer(request, response))
    for (let failure = 0; failure < 12; failure++) {
      const wait = await retryAfterOf(directory)
      const middle = Math.min(1_000 * 2 ** failure, 60_000)
      expect(wait).toBeGreaterThanOrEqual(middle / 2)
      expect(wait).toBeLessThanOrEqual(middle * 1.5 + 1)
      clock.advance(wait)
    }
    answer = json({ keys: [one.publicJwk] })
    await directory.resolve('billing')
    answer = status(500)
    clock.advance(2 * 3_600_000)
    expect(await retryAfterOf(directory)).toBeLessThanOrEqual(1_500)
  })
})

describe('bodies', () => {
  it('[7.5] invalid UTF-8 is an outage, and no set with replacement characters', async () => {
    const body = Buffer.concat([Buffer.from('{"keys":[],"x":"'), Buffer.of(0xff), Buffer.from('"}')])
    const { directory } = await start((_request, response) => void response.writeHead(200).end(body))
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('[7.6] a Content-Length that promises more than comes is an outage', async () => {
    const { directory } = await start((_request, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"keys":[]}')
      setImmediate(() => response.destroy())
    })
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
  })
})

describe('one request', () => {
  /** What comes of this answer, and what was asked for it. */
  async function get(response: Response, options: Partial<FetchOptions> = {}): Promise<{ result: FetchResult; init: RequestInit | undefined }> {
    let init: RequestInit | undefined
    const result = await fetchKeySet('https://keys.example/', { fetch: async (_url, given) => ((init = given), response), timeoutMs: 1_000, ...options })
    return { result, init }
  }
  const good = (headers: Record<string, string> = {}): Response => new Response('{"keys":[]}', { headers })

  it('follows no redirect, carries no credentials, and asks for key sets', async () => {
    const { init } = await get(good())
    expect(init).toMatchObject({ redirect: 'manual', credentials: 'omit', signal: expect.any(AbortSignal) as AbortSignal })
    expect(init?.headers).toStrictEqual({ accept: 'application/jwk-set+json, application/json, application/jose' })
    expect((await get(good(), { validators: { etag: '"v1"', lastModified: 'then' } })).init?.headers).toMatchObject({ 'if-none-match': '"v1"', 'if-modified-since': 'then' })
  })

  it.each<[string, FetchOptions['validators']]>([['an ETag', { etag: '"v1"' }], ['a time', { lastModified: 'then' }]])('304 to one with %s is unchanged', async (_title, validators) => {
    expect((await get(new Response(null, { status: 304, headers: { 'cache-control': 'max-age=600' } }), { validators })).result).toMatchObject({ kind: 'unchanged', freshMs: 600_000 })
  })

  it.each([
    [201, false],
    [204, false],
    [300, false],
    [399, false],
    [400, false],
    [403, false],
    [429, true],
    [499, false],
    [500, true],
    [599, true],
  ])('[7.4] status %i is an outage that may pass: %j', async (status, passing) => {
    expect((await get(new Response(null, { status }))).result).toMatchObject({ kind: 'unavailable', passing, answer: { status } })
  })

  it('keeps an ETag and a time of up to 1,024 characters, and neither an empty nor a longer one', async () => {
    const longest = 'x'.repeat(1_024)
    expect((await get(good({ etag: longest, 'last-modified': longest }))).result).toMatchObject({ validators: { etag: longest, lastModified: longest } })
    for (const value of ['', `${longest}x`]) expect((await get(good({ etag: value, 'last-modified': value }))).result).toHaveProperty('validators', {})
  })

  it('tells of an answer its size, and the headers that say something of the set, up to 1,024 characters', async () => {
    const now = vi.spyOn(performance, 'now').mockReturnValueOnce(1_000).mockReturnValue(1_250)
    onTestFinished(() => now.mockRestore())
    const { result } = await get(good({ 'content-type': 'application/json', age: '7', 'cache-control': 'x'.repeat(2_000), 'set-cookie': 'secret', 'x-token': 'secret' }))
    expect(result.answer).toEqual({ status: 200, ms: 250, bytes: 11, headers: { 'content-type': 'application/json', age: '7', 'cache-control': 'x'.repeat(1_024) } })
    expect((await get(new Response(Buffer.from('page'), { status: 503, headers: { 'retry-after': '7' } }))).result.answer).toEqual({ status: 503, ms: expect.any(Number) as number, headers: { 'retry-after': '7' } })
  })

  it('[7.6] takes a body up to its bound, by default 256 KiB, and reads no further', async () => {
    const of = (size: number): Response => new Response(Buffer.alloc(size, ' '))
    expect((await get(of(8), { maxBytes: 8 })).result).toMatchObject({ kind: 'set', body: Buffer.alloc(8, ' ') })
    expect((await get(of(9), { maxBytes: 8 })).result).toMatchObject({ kind: 'unavailable', passing: false })
    expect((await get(of(262_144))).result.kind).toBe('set')
    expect((await get(of(262_145))).result.kind).toBe('unavailable')
    expect((await get(new Response(null))).result).toMatchObject({ kind: 'set', body: Buffer.alloc(0) })
  })

  it('does not read the body of a failure, and frees its connection', async () => {
    let cancelled = 0
    const body = (): ReadableStream => new ReadableStream({ cancel: () => void cancelled++ })
    for (const status of [404, 410, 503]) await get(new Response(body(), { status }))
    expect(cancelled).toBe(3)
  })

  it('that takes longer than its time is a time-out; one that is broken is no answer', async () => {
    const hang: FetchOptions['fetch'] = (_url, init) => new Promise((_resolve, reject) => init?.signal?.addEventListener('abort', () => reject(new Error('token=secret'))))
    expect((await get(good(), { fetch: hang, timeoutMs: 20 })).result).toEqual({ kind: 'unavailable', reason: 'timed out after 20 ms', passing: true })
    expect((await get(good(), { fetch: async () => Promise.reject(new TypeError('token=secret')) })).result).toEqual({ kind: 'unavailable', reason: 'could not be reached: the connection failed', passing: true })
  })
})

describe('Retry-After', () => {
  const now = Date.UTC(2026, 0, 1)
  it.each<[string | null, number | undefined]>([
    ['0', 0],
    ['7', 7_000],
    ['60', 60_000],
    ['61', 60_000],
    ['999999999999', 60_000],
    ['9999999999999', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['7 s', undefined],
    ['x7', undefined],
    ['', undefined],
    [null, undefined],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['Thu, 01 Jan 2026 00:05:00 GMT', 60_000],
    ['Wed, 31 Dec 2025 23:59:59 GMT', 0],
    ['Thu, 99 Jan 2026 00:00:30 GMT', undefined],
    ['2026-01-01T00:00:30Z', undefined],
    ['Thu, 01 Jan 2026 00:00:30 GMT+1', undefined],
    ['x Thu, 01 Jan 2026 00:00:30 GMT', undefined],
    ['Thu, 01 Jan 2026 00:00:30', undefined],
    ['Thu, 1 Jan 2026 00:00:30 GMT', undefined],
  ])('%j: %j ms', (value, ms) => {
    expect(retryAfter(value, now)).toEqual(ms === undefined ? {} : { retryAfterMs: ms })
  })
})
