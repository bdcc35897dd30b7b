import { beforeAll, describe, expect, it } from 'vitest'
import { createJwksDirectory, type JwksDirectory } from '../../src/jwks/directory.ts'
import { freshTime } from '../../src/jwks/fetch.ts'
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
    ['', undefined],
    [null, undefined],
  ])('%j is %j ms', (header, expected) => {
    expect(freshTime(header)).toBe(expected)
  })

  it('304 to a request without an ETag is an outage, and no revocation', async () => {
    const { directory } = await start(status(304))
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
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
