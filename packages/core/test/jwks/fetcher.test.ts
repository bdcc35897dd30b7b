import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClosing } from '../../src/jwks/closing.ts'
import { createFetcher, type Fetcher, type FetcherOptions } from '../../src/jwks/fetcher.ts'
import { type Answer, json, startEndpoint, status } from '../support/endpoint.ts'

/** A fetcher whose pauses take no time, and are noted. */
function fetcherWith(options: Partial<FetcherOptions> = {}): { fetcher: Fetcher; pauses: number[]; closing: ReturnType<typeof createClosing> } {
  const pauses: number[] = []
  const closing = createClosing()
  const pause = async (ms: number): Promise<void> => void pauses.push(ms)
  return { fetcher: createFetcher({ fetch: globalThis.fetch, timeoutMs: 5_000, retries: 2, closing, pause, ...options }), pauses, closing }
}

/** Answers in turn; the last one goes on. */
const inTurn = (...answers: readonly Answer[]): Answer => {
  let next = 0
  return (request, response) => answers[Math.min(next++, answers.length - 1)]?.(request, response)
}
const broken: Answer = (request) => void request.socket.destroy()
const good = json({ keys: [] })

describe('attempts', () => {
  it.each<[string, Answer]>([['500', status(500)], ['503', status(503)], ['429', status(429)], ['a broken connection', broken]])('[7.4] %s is tried again twice, each time after 100 to 1,000 ms', async (_title, answer) => {
    const endpoint = await startEndpoint(inTurn(answer, answer, good))
    const { fetcher, pauses } = fetcherWith()
    expect((await fetcher(endpoint.url, {})).kind).toBe('set')
    expect(endpoint.requests).toHaveLength(3)
    expect(pauses).toHaveLength(2)
    for (const pause of pauses) expect(pause).toBeGreaterThanOrEqual(100)
    for (const pause of pauses) expect(pause).toBeLessThanOrEqual(1_000)
  })

  it('[7.4] after the third attempt the failure stands, as the last one said it', async () => {
    const endpoint = await startEndpoint(inTurn(status(500), status(500), status(503)))
    const { fetcher, pauses } = fetcherWith()
    expect(await fetcher(endpoint.url, {})).toMatchObject({ kind: 'unavailable', reason: 'answered 503', answer: { status: 503 } })
    expect([endpoint.requests.length, pauses.length]).toEqual([3, 2])
  })

  it.each<[string, Answer, string]>([
    ['400', status(400), 'unavailable'],
    ['401', status(401), 'unavailable'],
    ['403', status(403), 'unavailable'],
    ['404', status(404), 'unknown'],
    ['410', status(410), 'gone'],
    ['302', status(302, { location: '/' }), 'unavailable'],
    ['a body that is too long', (_request, response) => void response.end(Buffer.alloc(300_000, ' ')), 'unavailable'],
  ])('[7.4] %s is not tried again', async (_title, answer, kind) => {
    const endpoint = await startEndpoint(answer)
    const { fetcher, pauses } = fetcherWith()
    expect((await fetcher(endpoint.url, {})).kind).toBe(kind)
    expect([endpoint.requests.length, pauses.length]).toEqual([1, 0])
  })

  it('[7.4] Retry-After is waited for where it fits into the budget, and otherwise left to the back-off', async () => {
    const endpoint = await startEndpoint(inTurn(status(503, { 'retry-after': '3' }), good))
    const patient = fetcherWith()
    expect((await patient.fetcher(endpoint.url, {})).kind).toBe('set')
    expect(patient.pauses).toEqual([3_000])
    const busy = await startEndpoint(status(503, { 'retry-after': '30' }))
    const { fetcher, pauses } = fetcherWith()
    expect(await fetcher(busy.url, {})).toMatchObject({ kind: 'unavailable', retryAfterMs: 30_000 })
    expect([busy.requests.length, pauses.length]).toEqual([1, 0])
  })

  it.each([[0, 100], [0.5, 550], [1, 1_000]])('the pause is by chance: %d is %d ms', async (chance, expected) => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(chance)
    onTestFinished(() => random.mockRestore())
    const { fetcher, pauses } = fetcherWith({ retries: 1, fetch: async () => new Response(null, { status: 503, headers: { 'retry-after': '0' } }) })
    await fetcher('https://keys.example/', {})
    expect(pauses).toEqual([expected])
  })

  it('gives what it was asked for to each attempt, and its version', async () => {
    const asked: unknown[] = []
    const { fetcher } = fetcherWith({ retries: 1, fetch: async (_url, init) => (asked.push(new Headers(init?.headers).get('if-none-match')), new Response('{"keys":[]}', { status: asked.length === 1 ? 503 : 200 })) })
    expect(await fetcher('https://keys.example/', { validators: { etag: '"v1"' }, maxBytes: 5 })).toMatchObject({ kind: 'unavailable', reason: 'sent a body of more than 5 bytes' })
    expect(asked).toEqual(['"v1"', '"v1"'])
  })

  it('`retries: 0` is one attempt', async () => {
    const endpoint = await startEndpoint(status(500))
    await fetcherWith({ retries: 0 }).fetcher(endpoint.url, {})
    expect(endpoint.requests).toHaveLength(1)
  })

  it('[7.3] all attempts and pauses together take at most twice the time-out', async () => {
    const endpoint = await startEndpoint(() => {})
    expect(await fetcherWith({ timeoutMs: 150, retries: 0 }).fetcher(endpoint.url, {})).toMatchObject({ reason: 'timed out after 150 ms' })
    endpoint.requests.length = 0
    const { fetcher } = fetcherWith({ timeoutMs: 150, retries: 5 })
    const start = performance.now()
    expect(await fetcher(endpoint.url, {})).toMatchObject({ kind: 'unavailable', passing: true })
    // A pause of 100 ms and more does not fit in after the second attempt.
    expect(endpoint.requests.length).toBeLessThanOrEqual(3)
    expect(performance.now() - start).toBeLessThan(5_000)
  })

  it('closing ends pauses and attempts', async () => {
    const endpoint = await startEndpoint(status(500))
    const closing = createClosing()
    const fetcher = createFetcher({ fetch: globalThis.fetch, timeoutMs: 5_000, retries: 2, closing })
    const fetching = fetcher(endpoint.url, {})
    await expect.poll(() => endpoint.requests.length).toBe(1)
    closing.close()
    expect((await fetching).kind).toBe('unavailable')
    expect(endpoint.requests).toHaveLength(1)
    expect((await fetcher(endpoint.url, {})).kind).toBe('unavailable')
    expect(endpoint.requests).toHaveLength(1)
  })
})

describe('[7.20] connections', () => {
  it('a host that hangs has six, holds its own callers no longer than twice the time-out, and others not at all', async () => {
    const [hanging, fine] = [await startEndpoint(() => {}), await startEndpoint(good)]
    const { fetcher } = fetcherWith({ timeoutMs: 400, retries: 0 })
    const stuck = Array.from({ length: 20 }, () => fetcher(hanging.url, {}))
    expect((await fetcher(fine.url, {})).kind).toBe('set')
    expect(hanging.requests.length).toBeLessThanOrEqual(6)
    const results = await Promise.all(stuck)
    expect(results.every(({ kind }) => kind === 'unavailable')).toBe(true)
    // Two turns of six fit into the time, and a third has no time left to be of use.
    expect(hanging.requests.length).toBeLessThanOrEqual(18)
    expect(results.map((result) => ('reason' in result ? result.reason : '')).filter((reason) => reason.startsWith('timed out')).length).toBeGreaterThanOrEqual(6)
  })

  it('many hosts that hang have one connection each after their first failures, so that others find some', async () => {
    const open = new Map<string, number>()
    let most = 0
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const { host } = new URL(new Request(url).url)
      if (host === 'fine.example') return new Response('{"keys":[]}')
      open.set(host, (open.get(host) ?? 0) + 1)
      most = Math.max(most, open.get(host) ?? 0)
      await new Promise((resolve) => init?.signal?.addEventListener('abort', resolve))
      open.set(host, (open.get(host) ?? 0) - 1)
      throw new TypeError('fetch failed')
    }
    const { fetcher } = fetcherWith({ fetch, timeoutMs: 300, retries: 0 })
    const ask = (): Promise<unknown>[] => Array.from({ length: 48 }, (_, index) => fetcher(`https://hanging${index % 8}.example/`, {}))
    await Promise.all(ask())
    expect(most).toBeGreaterThan(1)
    most = 0
    const stuck = ask()
    expect((await fetcher('https://fine.example/', {})).kind).toBe('set')
    await Promise.all(stuck)
    expect(most).toBe(1)
  })

  it('a host that failed has one connection until it answers, and then six again', async () => {
    let open = 0
    let answer = async (): Promise<Response> => Promise.reject(new TypeError('fetch failed'))
    const { fetcher } = fetcherWith({ retries: 0, fetch: () => answer() })
    const ask = (count: number): Promise<unknown>[] => Array.from({ length: count }, () => fetcher('https://keys.example/', {}))
    const atOnce = async (): Promise<number> => {
      const { promise: go, resolve } = Promise.withResolvers<void>()
      open = 0
      answer = async () => (open++, await go, new Response('{"keys":[]}'))
      const asking = ask(10)
      await nextTurn()
      const most = open
      resolve()
      await Promise.all(asking)
      return most
    }
    await Promise.all(ask(1))
    expect(await atOnce()).toBe(1)
    expect(await atOnce()).toBe(6)
  })

  it('a long line at a host that answers is no outage', async () => {
    const fetch: typeof globalThis.fetch = async () => {
      await new Promise((resolve) => setTimeout(resolve, 50))
      return new Response('{"keys":[]}')
    }
    // One after another they take longer than the budget of 2 s.
    const { fetcher } = fetcherWith({ fetch, timeoutMs: 1_000 })
    const start = performance.now()
    const results = await Promise.all(Array.from({ length: 300 }, () => fetcher('https://keys.example/', {})))
    expect(performance.now() - start).toBeGreaterThan(2_000)
    expect(new Set(results.map(({ kind }) => kind))).toEqual(new Set(['set']))
  })

  it('32 at most are open at all', async () => {
    const open = { now: 0, most: 0 }
    const { promise: go, resolve } = Promise.withResolvers<void>()
    const fetch: typeof globalThis.fetch = async () => {
      open.most = Math.max(open.most, ++open.now)
      await go
      open.now--
      return new Response('{"keys":[]}')
    }
    const { fetcher } = fetcherWith({ fetch })
    const all = Array.from({ length: 100 }, (_, index) => fetcher(`https://host${index % 20}.example/`, {}))
    await expect.poll(() => open.now).toBe(32)
    resolve()
    await Promise.all(all)
    expect(open.most).toBe(32)
  })
})
