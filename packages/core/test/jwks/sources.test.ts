import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { createJwksDirectory, type JwksDirectoryOptions } from '../../src/jwks/directory.ts'
import { MINUTE, observe, set, temporaryFolder, UNAVAILABLE, until } from '../support/directories.ts'
import { json, startEndpoint, status } from '../support/endpoint.ts'
import { testKey, type TestKey } from '../support/keys.ts'
import { codeOf, rejectedBy, rejectionOf } from '../support/thrown.ts'

let one: TestKey
let two: TestKey
beforeAll(async () => {
  one = await testKey('P-256', 'one')
  two = await testKey('P-256', 'two')
})
const UNKNOWN = 'ERR_SEALBUS_UNKNOWN_RECIPIENT'
const NO_KEY = 'ERR_SEALBUS_NO_USABLE_KEY'
const INVALID = 'ERR_SEALBUS_INVALID_OPTION'

describe('a function from name to source', () => {
  it('is asked once for any number of callers, and its answer is fetched', async () => {
    const endpoint = await startEndpoint(json(set(one)))
    const asked: string[] = []
    const { directory } = observe({ recipients: async (name) => (asked.push(name), endpoint.url) })
    const keys = await Promise.all(Array.from({ length: 1_000 }, () => directory.resolve('billing')))
    expect(new Set(keys).size).toBe(1)
    expect(asked).toEqual(['billing'])
    expect(directory.peek('billing')).toBe(keys[0])
  })

  it('a name that it does not know is an unknown recipient, believed for 30 s, and floods evict no key', async () => {
    let known = false
    let asked = 0
    const { directory, clock } = observe({ recipients: (name) => (asked++, name === 'billing' || known ? set(one) : undefined) })
    const billing = await directory.resolve('billing')
    for (let count = 0; count < 100; count++) expect(await rejectionOf(directory.resolve('audit'))).toBe(UNKNOWN)
    expect(asked).toBe(2)
    await Promise.all(Array.from({ length: 5_000 }, (_, index) => rejectionOf(directory.resolve(`bogus${index}`))))
    expect(directory.peek('billing')).toBe(billing)
    expect(directory.health().length).toBeLessThanOrEqual(1_001)
    known = true
    expect(await rejectionOf(directory.resolve('bogus4999'))).toBe(UNKNOWN)
    clock.advance(30_000)
    expect((await directory.resolve('audit')).kid).toBe('one')
  })

  it('one that fails, or does not answer, is an outage; what it throws is not shown', async () => {
    let answer = async (): Promise<string> => {
      throw new Error('token=secret')
    }
    const { directory, clock } = observe({ recipients: () => answer(), timeoutMs: 100 })
    const error = await rejectedBy(directory.resolve('billing'))
    expect(error).toMatchObject({ code: UNAVAILABLE, transient: true })
    expect(`${String(error)}${JSON.stringify(error)}`).not.toContain('secret')
    answer = () => new Promise(() => {})
    clock.advance(MINUTE)
    await expect(directory.resolve('billing')).rejects.toThrow('did not answer in time')
  })

  it('[7.7] reaches the hosts that are listed, and no host without a list', async () => {
    const fetched: string[] = []
    const fetch: typeof globalThis.fetch = async (url) => (fetched.push(new Request(url).url), new Response(JSON.stringify(set(one))))
    const at = (options: Partial<JwksDirectoryOptions>) => observe({ recipients: (name) => `https://${name}/jwks.json`, fetch, ...options }).directory
    expect(await rejectionOf(at({}).resolve('keys.example'))).toBe(INVALID)
    const listed = at({ hosts: ['*.svc.internal', '10.0.0.1'] })
    expect((await listed.resolve('billing.svc.internal')).kid).toBe('one')
    expect((await listed.resolve('10.0.0.1')).kid).toBe('one')
    for (const name of ['evil.example', '169.254.169.254', '10.0.0.2', 'user@billing.svc.internal', 'svc.internal', 'evil.example/#.svc.internal']) expect(await rejectionOf(listed.resolve(name)), name).toBe(INVALID)
    expect(fetched).toEqual(['https://billing.svc.internal/jwks.json', 'https://10.0.0.1/jwks.json'])
  })

  it('one that fails later: the last good set is served as long as that of an endpoint that fails', async () => {
    let fails = false
    const { directory, clock, told } = observe({
      recipients: () => {
        if (fails) throw new Error('down')
        return { url: 'https://keys.example/', maxStaleMs: 10 * MINUTE }
      },
      hosts: ['keys.example'],
      fetch: async () => new Response(JSON.stringify(set(one))),
    })
    const key = await directory.resolve('billing')
    fails = true
    clock.advance(MINUTE)
    expect(await rejectionOf(directory.refresh('billing'))).toBe(UNAVAILABLE)
    clock.advance(9 * MINUTE - 1)
    expect(directory.peek('billing')).toBe(key)
    await nextTurn()
    clock.advance(1)
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
    expect(told('changed')).toHaveLength(1)
  })

  it('is told by its signal when nobody waits for it any more', async () => {
    const signals: AbortSignal[] = []
    const { directory } = observe({ recipients: (_name, { signal }) => (signals.push(signal), new Promise(() => {})), timeoutMs: 100 })
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
    const waiting = rejectionOf(directory.resolve('shipping'))
    await nextTurn()
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
    directory.close()
    expect(await waiting).toBe('ERR_SEALBUS_CLOSED')
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
  })

  it('the longest time to a revocation counts the sources that it has named', async () => {
    const { directory } = observe({ recipients: (name) => ({ url: `https://${name}.example/`, maxStaleMs: name === 'billing' ? 180 * MINUTE : 120 * MINUTE }), hosts: ['*.example'], fetch: async () => new Response('{"keys":[]}') })
    expect(directory.revocationMs()).toBe(60 * MINUTE)
    for (const name of ['billing', 'shipping']) await rejectionOf(directory.resolve(name))
    expect(directory.revocationMs()).toBe(180 * MINUTE)
    expect(observe({ registry: { url: 'https://keys.example/', maxStaleMs: 180 * MINUTE } }).directory.revocationMs()).toBe(180 * MINUTE)
  })

  it('a recipient that it no longer knows is revoked', async () => {
    let known = true
    const { directory, clock, told } = observe({ recipients: () => (known ? set(one) : undefined) })
    await directory.resolve('billing')
    known = false
    clock.advance(5_000)
    expect(await rejectionOf(directory.refresh('billing'))).toBe(UNKNOWN)
    expect(codeOf(() => directory.peek('billing'))).toBe(UNKNOWN)
    expect(told('changed').at(-1)).toMatchObject({ name: 'billing', added: [], removed: [one.identity.thumbprint] })
  })

  it('another URL or other pins: the version of the old set is not sent', async () => {
    const endpoint = await startEndpoint((request, response) => (request.headers['if-none-match'] === '"v1"' ? status(304)(request, response) : json(set(one, two), { etag: '"v1"' })(request, response)))
    let pins: string[] | undefined
    const { directory, clock } = observe({ recipients: () => ({ url: endpoint.url, ...(pins && { pins }) }) })
    expect((await directory.resolve('billing')).kid).toBe('one')
    pins = [two.identity.thumbprint]
    clock.advance(5_000)
    await directory.refresh('billing')
    expect(directory.peek('billing')?.kid).toBe('two')
    expect(endpoint.requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, undefined])
  })
})

describe('a registry', () => {
  const registry = (recipients: object): object => ({ recipients })

  it('is fetched once for all its recipients', async () => {
    const endpoint = await startEndpoint(json(registry({ billing: set(one), shipping: set(two) })))
    const { directory } = observe({ registry: endpoint.url })
    const [billing, shipping] = await Promise.all([directory.resolve('billing'), directory.resolve('shipping')])
    expect([billing?.kid, shipping?.kid]).toEqual(['one', 'two'])
    expect(directory.peek('billing')).toBe(billing)
    expect(codeOf(() => directory.peek('audit'))).toBe(UNKNOWN)
    for (const name of ['__proto__', 'constructor', '']) expect(await rejectionOf(directory.resolve(name))).toBe(UNKNOWN)
    directory.keepWarm(['billing', 'shipping'])
    expect(endpoint.requests).toHaveLength(1)
    expect(directory.health()).toEqual([{ name: 'registry', state: 'fresh', ageMs: 0 }])
  })

  it('one bad set, or one bad key, spoils no other', async () => {
    const endpoint = await startEndpoint(json(registry({ billing: set(one), shipping: { keys: 7 }, audit: 'none', reports: { keys: [] } })))
    const { directory } = observe({ registry: endpoint.url })
    expect((await directory.resolve('billing')).kid).toBe('one')
    for (const [name, reason] of [['shipping', 'it has no `keys` array'], ['audit', 'it is not an object'], ['reports', 'its set is empty, which revokes']] as const) {
      expect(codeOf(() => directory.peek(name))).toBe(NO_KEY)
      expect(() => directory.peek(name)).toThrow(reason)
    }
  })

  it.each<[string, unknown]>([['no recipients', { keys: [] }], ['a list of recipients', { recipients: [] }], ['a page', '<html>']])('%s is an outage', async (_title, body) => {
    const endpoint = await startEndpoint(json(body))
    const { directory } = observe({ registry: { url: endpoint.url } })
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('[7.6] may have a megabyte, and no more', async () => {
    const text = JSON.stringify(registry({ billing: set(one) }))
    const endpoint = await startEndpoint((_request, response) => void response.end(text.padEnd(1_048_576)))
    const { directory, clock } = observe({ registry: endpoint.url })
    expect((await directory.resolve('billing')).kid).toBe('one')
    endpoint.answer = (_request, response) => void response.end(text.padEnd(1_048_577))
    clock.advance(MINUTE)
    await expect(directory.refresh('billing')).rejects.toThrow('a body of more than 1048576 bytes')
  })

  it('a 410 revokes all its recipients', async () => {
    const endpoint = await startEndpoint(json(registry({ billing: set(one) })))
    const { directory, clock, told } = observe({ registry: endpoint.url })
    await directory.resolve('billing')
    endpoint.answer = status(410)
    clock.advance(MINUTE)
    await directory.refresh('billing')
    expect(codeOf(() => directory.peek('billing'))).toBe(UNKNOWN)
    expect(await rejectionOf(directory.resolve('registry'))).toBe(UNKNOWN)
    expect(told('changed').at(-1)).toMatchObject({ name: 'billing', added: [], removed: [one.identity.thumbprint] })
  })

  it('a 404 is an outage of the registry, and no unknown recipient', async () => {
    const endpoint = await startEndpoint(status(404))
    expect(await rejectionOf(observe({ registry: endpoint.url }).directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('a recipient that leaves is unknown, one that comes has a key, and the others keep their object', async () => {
    const endpoint = await startEndpoint(json(registry({ billing: set(one), shipping: set(two) })))
    const { directory, clock, told } = observe({ registry: endpoint.url })
    const billing = await directory.resolve('billing')
    endpoint.answer = json(registry({ billing: set(one), audit: set(two) }))
    clock.advance(5_000)
    await directory.refresh('billing')
    expect(directory.peek('billing')).toBe(billing)
    expect(codeOf(() => directory.peek('shipping'))).toBe(UNKNOWN)
    expect(directory.peek('audit')?.kid).toBe('two')
    expect(told('changed').map(({ name, added, removed }) => [name, added.length, removed.length])).toEqual([['billing', 1, 0], ['shipping', 1, 0], ['shipping', 0, 1], ['audit', 1, 0]])
  })

  it('pins are by name', async () => {
    const endpoint = await startEndpoint(json(registry({ billing: set(one, two), shipping: set(one, two) })))
    const { directory } = observe({ registry: { url: endpoint.url, pins: { billing: [two.identity.thumbprint] } } })
    expect((await directory.resolve('billing')).kid).toBe('two')
    expect(directory.peek('shipping')?.kid).toBe('one')
  })

  it('with 1,000 recipients it is one document of less than a megabyte', async () => {
    const endpoint = await startEndpoint(json(registry(Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`service-${index}`, set(one)])))))
    const { directory } = observe({ registry: endpoint.url })
    expect((await directory.resolve('service-999')).kid).toBe('one')
    expect(directory.peek('service-0')?.kid).toBe('one')
    expect(endpoint.requests).toHaveLength(1)
  })
})

describe('a file', () => {
  it('is read again when it changes, also by a swapped link, and the last good set outlives a broken one', async () => {
    const folder = await temporaryFolder()
    const file = join(folder, 'jwks.json')
    await writeFile(file, JSON.stringify(set(one)))
    const { directory } = observe({ recipients: { billing: { file } } })
    expect((await directory.resolve('billing')).kid).toBe('one')
    await writeFile(file, JSON.stringify(set(two)))
    await until(() => directory.peek('billing')?.kid === 'two')
    await writeFile(file, '{"keys":[')
    await until(() => directory.health()[0]?.lastError === UNAVAILABLE)
    expect(directory.peek('billing')?.kid).toBe('two')
    // As a ConfigMap changes: the link is replaced.
    await mkdir(join(folder, 'next'))
    await writeFile(join(folder, 'next', 'jwks.json'), JSON.stringify(set(one)))
    await symlink(join(folder, 'next', 'jwks.json'), join(folder, 'link'))
    await rename(join(folder, 'link'), file)
    await until(() => directory.peek('billing')?.kid === 'one')
  })

  it('that changes while it is read, or before it was looked at again, is not missed', async () => {
    const file = join(await temporaryFolder(), 'jwks.json')
    await writeFile(file, JSON.stringify(set(one)))
    const { directory } = observe({ recipients: { billing: { file } } })
    expect((await directory.resolve('billing')).kid).toBe('one')
    await writeFile(file, JSON.stringify(set(two)))
    await until(() => directory.peek('billing')?.kid === 'two')
  })

  it('that a function names is watched as long as it names it', async () => {
    const folder = await temporaryFolder()
    let file = join(folder, 'a.json')
    await writeFile(join(folder, 'a.json'), JSON.stringify(set(one)))
    await writeFile(join(folder, 'b.json'), JSON.stringify(set(two)))
    const { directory, clock, told } = observe({ recipients: () => ({ file }) })
    await directory.resolve('billing')
    file = join(folder, 'b.json')
    clock.advance(MINUTE)
    await directory.refresh('billing')
    expect(directory.peek('billing')?.kid).toBe('two')
    await writeFile(join(folder, 'b.json'), JSON.stringify(set(one, two)))
    await until(() => directory.peek('billing')?.kid === 'one')
    const { length } = told('fetched')
    await writeFile(join(folder, 'a.json'), '{}')
    // Whole, so that it is one change.
    await writeFile(join(folder, 'next'), JSON.stringify(set(two)))
    await rename(join(folder, 'next'), join(folder, 'b.json'))
    await until(() => directory.peek('billing')?.kid === 'two')
    expect(told('fetched').length).toBe(length + 1)
    expect(directory.health()).toMatchObject([{ state: 'fresh' }])
  })

  it('that is not there is an outage until it comes', async () => {
    const file = join(await temporaryFolder(), 'jwks.json')
    const { directory } = observe({ recipients: { billing: { file } } })
    await expect(directory.resolve('billing')).rejects.toThrow('cannot be read (ENOENT)')
    await writeFile(file, JSON.stringify(set(one)))
    await until(() => directory.health()[0]?.state === 'fresh')
    expect(directory.peek('billing')?.kid).toBe('one')
  })

  it('that goes away is served as long as an endpoint that fails', async () => {
    const file = join(await temporaryFolder(), 'jwks.json')
    await writeFile(file, JSON.stringify(set(one)))
    const { directory, clock } = observe({ recipients: { billing: { file, maxStaleMs: 10 * MINUTE } } })
    await directory.resolve('billing')
    await rm(file)
    clock.advance(9 * MINUTE)
    expect(directory.peek('billing')?.kid).toBe('one')
    clock.advance(MINUTE)
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('[7.6] of more than 256 KiB is not read', async () => {
    const file = join(await temporaryFolder(), 'jwks.json')
    await writeFile(file, Buffer.concat([Buffer.from(JSON.stringify(set(one))), Buffer.alloc(300_000, ' ')]))
    await expect(observe({ recipients: { billing: { file } } }).directory.resolve('billing')).rejects.toThrow('is longer than 262144 bytes')
  })

  it('may be the registry', async () => {
    const file = join(await temporaryFolder(), 'registry.json')
    await writeFile(file, JSON.stringify({ recipients: { billing: set(one) } }))
    expect((await observe({ registry: { file } }).directory.resolve('billing')).kid).toBe('one')
  })
})

describe('keys that are given', () => {
  it('are never due, and obey pins', async () => {
    const { directory, clock } = observe({ recipients: { billing: { ...set(one, two), pins: [two.identity.thumbprint] } } })
    const key = await directory.resolve('billing')
    expect(key.kid).toBe('two')
    directory.keepWarm(['billing'])
    clock.advance(30 * 24 * 60 * MINUTE)
    await nextTurn()
    expect(directory.peek('billing')).toBe(key)
    expect(directory.health()).toMatchObject([{ name: 'billing', state: 'fresh' }])
  })
})

describe('errors', () => {
  it.each<[string, Partial<JwksDirectoryOptions>, string]>([
    ['an endpoint', { recipients: { billing: 'https://keys.example:8443/path-secret?token=secret' } }, 'the key endpoint of "billing" (https://keys.example:8443) answered 503'],
    ['a registry', { registry: 'https://keys.example/path-secret?token=secret' }, 'the key registry endpoint (https://keys.example) answered 503'],
    ['a file', { recipients: { billing: { file: '/nowhere/jwks.json' } } }, 'the key file of "billing" (/nowhere/jwks.json) cannot be read (ENOENT)'],
    ['given keys', { recipients: { billing: { keys: [] } } }, 'the key list of "billing" has no key that can be sealed for now: its set is empty, which revokes'],
  ])('name %s, but no path and no query of a URL', async (_title, source, message) => {
    const { directory } = observe({ ...source, fetch: async () => new Response(null, { status: 503 }) })
    expect(await rejectedBy(directory.resolve('billing'))).toMatchObject({ message })
  })
})

describe('options', () => {
  const url = 'https://keys.example/'
  it.each<[string, unknown]>([
    ['neither recipients nor a registry', {}],
    ['recipients that are null', { recipients: null }],
    ['a registry that is null', { registry: null }],
    ['both', { recipients: {}, registry: url }],
    ['recipients that are a list', { recipients: 7 }],
    ['a misspelt name', { recipients: {}, maxStale: 1 }],
    ['a URL that is no text', { recipients: { billing: { url: 7 } } }],
    ['a file and keys', { recipients: { billing: { file: 'jwks.json', keys: [] } } }],
    ['two places', { recipients: { billing: { url, file: 'jwks.json' } } }],
    ['no place', { recipients: { billing: {} } }],
    ['a source that is null', { recipients: { billing: null } }],
    ['a misspelt source', { recipients: { billing: { url, pin: ['x'] } } }],
    ['an empty file name', { recipients: { billing: { file: '' } } }],
    ['keys that are no list', { recipients: { billing: { keys: {} } } }],
    ['given keys that are to be signed', { recipients: { billing: { keys: [], signedBy: [{ kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }] } } }],
    ['no signature keys', { recipients: { billing: { url, signedBy: [] } } }],
    ['a signature key of another kind', { recipients: { billing: { url, signedBy: [{ kty: 'RSA', n: 'AA', e: 'AQAB' }] } } }],
    ['signature keys that are no list', { recipients: { billing: { url, signedBy: { kty: 'OKP' } } } }],
    ['a signature key beside a good one', { recipients: { billing: { url, signedBy: [{ kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }, {}] } } }],
    ['pins that are no list', { recipients: { billing: { url, pins: 'A'.repeat(43) } } }],
    ['a pin beside a good one', { recipients: { billing: { url, pins: ['A'.repeat(43), 'A'.repeat(42)] } } }],
    ['a pin that is too long', { recipients: { billing: { url, pins: ['A'.repeat(44)] } } }],
    ['a pin that is no text', { recipients: { billing: { url, pins: [['A'.repeat(43)]] } } }],
    ['a registry that is stale for too long', { registry: { url, maxStaleMs: 86_400_001 } }],
    ['pins of a registry that are a number', { registry: { url, pins: 7 } }],
    ['pins of a registry that are no object', { registry: { url, pins: 'billing' } }],
    ['a misspelt member of a registry', { registry: { url, pin: {} } }],
    ['hosts with something else', { recipients: {}, hosts: ['keys.example', 7] }],
    ['a snapshot path that is no text', { recipients: {}, snapshot: 7 }],
    ['an option that is no boolean', { recipients: { billing: { url, requireThumbprintKids: 1 } } }],
    ['a registry of given keys', { registry: { keys: [] } }],
    ['pins of a registry that are a list', { registry: { url, pins: { billing: 'A'.repeat(43) } } }],
    ['hosts that are no list', { recipients: {}, hosts: 'keys.example' }],
    ['hosts with a URL', { recipients: {}, hosts: [url] }],
    ['a URL whose host is not listed', { recipients: { billing: url }, hosts: ['other.example'] }],
    ['an empty snapshot path', { recipients: {}, snapshot: '' }],
    ['six retries', { recipients: {}, retries: 6 }],
    ['a maxFreshMs below a minute', { recipients: {}, maxFreshMs: 59_999 }],
  ])('%s: refused', (_title, options) => {
    expect(codeOf(() => createJwksDirectory(options as JwksDirectoryOptions))).toBe(INVALID)
  })
})
