import type { lookup as systemLookup, LookupAddress } from 'node:dns'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGuardedFetch, guardedLookup } from '../../src/jwks/guarded-fetch.ts'
import { fetchKeySet } from '../../src/jwks/fetch.ts'
import { json, startEndpoint } from '../support/endpoint.ts'

type Callback = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void

/** A resolver whose answers a test decides. */
function resolver(answer: () => readonly string[]): typeof systemLookup & { asked: string[] } {
  const asked: string[] = []
  const lookup = (hostname: string, _options: object, callback: Callback): void => {
    asked.push(hostname)
    callback(null, answer().map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
  }
  return Object.assign(lookup as unknown as typeof systemLookup, { asked })
}

const addressesFor = (answer: readonly string[], allowLoopback = false, all = true): Promise<unknown> =>
  new Promise((resolve, reject) => {
    guardedLookup(resolver(() => answer), allowLoopback)('keys.example', { all }, (error, addresses) => (error ? reject(error) : resolve(addresses)))
  })

describe('[7.7] the address actually connected to', () => {
  it('is one of those that may be asked, and the others are as if they were not there', async () => {
    expect(await addressesFor(['169.254.169.254', '10.0.0.1', '::1'])).toEqual([{ address: '10.0.0.1', family: 4 }])
    expect(await addressesFor(['fe80::1', 'fd00::1'], false, false)).toBe('fd00::1')
    await expect(addressesFor(['169.254.169.254', '127.0.0.1'])).rejects.toThrow('an address that is never asked')
    await expect(addressesFor([])).rejects.toThrow('an address that is never asked')
    expect(await addressesFor(['127.0.0.1', '169.254.169.254'], true)).toEqual([{ address: '127.0.0.1', family: 4 }])
  })

  it('is asked for with what the connection wants, all of it, and given with its family where one is wanted', async () => {
    const asked: unknown[] = []
    const lookup = ((_hostname: string, options: object, callback: Callback) => (asked.push(options), callback(null, [{ address: '169.254.0.1', family: 4 }, { address: 'fd00::1', family: 6 }]))) as unknown as typeof systemLookup
    const given = await new Promise((resolve) => guardedLookup(lookup, false)('keys.example', { family: 6, all: false }, (...answer) => resolve(answer)))
    expect(given).toEqual([null, 'fd00::1', 6])
    expect(asked).toEqual([{ family: 6, all: true }])
  })

  it("a resolver's own error stays what it is", async () => {
    const lookup = ((_hostname: string, _options: object, callback: Callback) => callback(Object.assign(new Error('no such host'), { code: 'ENOTFOUND' }), [])) as unknown as typeof systemLookup
    await expect(new Promise((_resolve, reject) => guardedLookup(lookup, false)('keys.example', { all: true }, reject))).rejects.toMatchObject({ code: 'ENOTFOUND' })
  })

  it('a name that leads to this machine is refused before any connection, and is no outage to be tried again', async () => {
    let connections = 0
    const server = createServer((_request, response) => void response.end('{"keys":[]}')).on('connection', () => connections++)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const guarded = createGuardedFetch({ allowLoopback: false, lookup: resolver(() => ['127.0.0.1']) })
    onTestFinished(() => {
      guarded.close()
      server.close()
    })
    const url = `http://keys.example:${(server.address() as AddressInfo).port}/`
    expect(await fetchKeySet(url, { fetch: guarded.fetch, timeoutMs: 1_000 })).toMatchObject({ kind: 'unavailable', reason: 'has a name that leads to an address that is never asked', passing: false })
    expect(connections).toBe(0)
  })

  it('an answer that changes between two connections is looked at each time; a connection that is kept is the one that was looked at', async () => {
    const endpoint = await startEndpoint(json({ keys: [] }))
    let addresses = ['127.0.0.1']
    const lookup = resolver(() => addresses)
    const guarded = createGuardedFetch({ allowLoopback: true, lookup })
    onTestFinished(() => guarded.close())
    const url = endpoint.url.replace('127.0.0.1', 'keys.example')
    const get = async (): Promise<string> => {
      // The last answer's connection is free again one turn later.
      await nextTurn()
      return (await fetchKeySet(url, { fetch: guarded.fetch, timeoutMs: 1_000 })).kind
    }
    expect(await get()).toBe('set')
    addresses = ['169.254.169.254']
    // The socket is there, and goes where it went.
    expect(await get()).toBe('set')
    expect(lookup.asked).toHaveLength(1)
    expect(new Set(endpoint.requests.map(({ socket }) => socket)).size).toBe(1)
    endpoint.requests[0]?.socket.destroy()
    await expect.poll(get).toBe('unavailable')
    expect(lookup.asked.length).toBeGreaterThan(1)
    expect(endpoint.requests).toHaveLength(2)
  })

  it('nothing is loaded or opened before the first fetch, and closing then is fine', () => {
    const guarded = createGuardedFetch({ allowLoopback: false })
    guarded.close()
    guarded.close()
  })

  it('closing ends its connections', async () => {
    const endpoint = await startEndpoint(json({ keys: [] }))
    const guarded = createGuardedFetch({ allowLoopback: true })
    expect((await fetchKeySet(endpoint.url, { fetch: guarded.fetch, timeoutMs: 1_000 })).kind).toBe('set')
    const socket = endpoint.requests[0]?.socket
    expect(socket?.destroyed).toBe(false)
    guarded.close()
    // Well before it would be closed for want of requests.
    await expect.poll(() => socket?.destroyed, { timeout: 2_000 }).toBe(true)
  })
})
