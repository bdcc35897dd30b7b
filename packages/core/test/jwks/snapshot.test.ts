import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { JwksDirectoryOptions } from '../../src/jwks/directory.ts'
import { createSnapshotStore, type DirectorySnapshot, placeName, type SnapshotStore } from '../../src/jwks/snapshot.ts'
import { MINUTE, type Observed, observe, set, temporaryFolder, UNAVAILABLE, until } from '../support/directories.ts'
import { type Answer, type Endpoint, json, startEndpoint, status, testClock } from '../support/endpoint.ts'
import { testKey, type TestKey } from '../support/keys.ts'
import { codeOf, rejectionOf } from '../support/thrown.ts'

let one: TestKey
let two: TestKey
beforeAll(async () => {
  one = await testKey('P-256', 'one')
  two = await testKey('P-256', 'two')
})

/** A directory that has fetched `billing`'s set and written its snapshot, and is gone; the endpoint is down since. */
async function written(options: Partial<JwksDirectoryOptions> = {}): Promise<{ path: string; endpoint: Endpoint; clock: ReturnType<typeof testClock>; restart: (options?: Partial<JwksDirectoryOptions>) => Observed }> {
  const endpoint = await startEndpoint(json(set(one, two), { etag: '"v1"' }))
  const path = join(await temporaryFolder(), 'snapshot.json')
  const clock = testClock()
  const recipients = { billing: `${endpoint.url}?token=secret` }
  const first = observe({ recipients, snapshot: path, ...options }, clock)
  await first.directory.resolve('billing')
  await first.directory[Symbol.asyncDispose]()
  endpoint.answer = status(503)
  endpoint.requests.length = 0
  return { path, endpoint, clock, restart: (more = {}) => observe({ recipients, snapshot: path, ...options, ...more }, clock) }
}

const read = async (path: string): Promise<DirectorySnapshot> => JSON.parse(await readFile(path, 'utf8')) as DirectorySnapshot

describe('a snapshot', () => {
  it('lets a process start while an endpoint is down: without a fetch while the set is fresh, and stale after that', async () => {
    const { endpoint, clock, restart } = await written()
    clock.advance(2 * MINUTE)
    const second = restart()
    expect((await second.directory.resolve('billing')).kid).toBe('one')
    expect(endpoint.requests).toHaveLength(0)
    expect(second.events).toEqual([{ kind: 'restored', name: 'billing', ageMs: 2 * MINUTE }])
    clock.advance(8 * MINUTE)
    const third = restart()
    expect((await third.directory.resolve('billing')).kid).toBe('one')
    expect(endpoint.requests).toHaveLength(1)
    expect(third.directory.health()).toMatchObject([{ state: 'stale', ageMs: 10 * MINUTE, lastError: UNAVAILABLE }])
  })

  it('keeps the time of the fetch: maxStale goes on from there, however often a process starts', async () => {
    const { clock, restart } = await written()
    for (let start = 0; start < 3; start++) {
      clock.advance(19 * MINUTE)
      const { directory } = restart()
      expect((await directory.resolve('billing')).kid).toBe('one')
      await directory[Symbol.asyncDispose]()
    }
    clock.advance(3 * MINUTE)
    const { directory } = restart()
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
    expect(await rejectionOf(restart({ maxStaleMs: 0 }).directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('obeys the pins and signers of today', async () => {
    const { endpoint, restart } = await written()
    const { url } = endpoint
    const pinned = (pins: string[]) => restart({ recipients: { billing: { url: `${url}?token=secret`, pins } } }).directory
    expect((await pinned([two.identity.thumbprint]).resolve('billing')).kid).toBe('two')
    expect(await rejectionOf(pinned(['A'.repeat(43)]).resolve('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    const signedBy = [{ kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }]
    expect(await rejectionOf(restart({ recipients: { billing: { url: `${url}?token=secret`, signedBy } } }).directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('counts only for the place that it came from', async () => {
    const { endpoint, restart } = await written()
    expect(await rejectionOf(restart({ recipients: { billing: endpoint.url } }).directory.resolve('billing'))).toBe(UNAVAILABLE)
    expect(await rejectionOf(restart({ recipients: { shipping: `${endpoint.url}?token=secret` } }).directory.resolve('shipping'))).toBe(UNAVAILABLE)
  })

  it('an unchanged set is renewed in it, and a changed one replaced: a restart sees no old key', async () => {
    const { path, endpoint, clock, restart } = await written()
    endpoint.answer = status(304)
    clock.advance(10 * MINUTE)
    const renewing = restart()
    await renewing.directory.resolve('billing')
    expect(endpoint.requests[0]?.headers['if-none-match']).toBe('"v1"')
    await renewing.directory[Symbol.asyncDispose]()
    expect((await read(path)).documents['billing']?.fetchedAt).toBe(clock.wall())
    endpoint.answer = json(set(two))
    clock.advance(10 * MINUTE)
    const changing = restart()
    expect((await changing.directory.resolve('billing')).kid).toBe('two')
    expect(changing.told('changed')).toEqual([{ kind: 'changed', name: 'billing', added: [], removed: [one.identity.thumbprint] }])
    await changing.directory[Symbol.asyncDispose]()
    endpoint.answer = status(500)
    expect((await restart().directory.resolve('billing')).kid).toBe('two')
  })

  it.each<[string, Answer]>([['an empty set', json({ keys: [] })], ['a 410', status(410)]])('%s is a revocation that a restart does not undo', async (_title, revoked) => {
    const { endpoint, clock, restart } = await written()
    endpoint.answer = revoked
    clock.advance(10 * MINUTE)
    const revoking = restart()
    expect(await rejectionOf(revoking.directory.resolve('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    await revoking.directory[Symbol.asyncDispose]()
    endpoint.answer = status(503)
    expect(['ERR_SEALBUS_NO_USABLE_KEY', UNAVAILABLE]).toContain(await rejectionOf(restart().directory.resolve('billing')))
  })

  it('is for its owner only, holds no token of a URL, and is replaced whole', async () => {
    const { path, restart, endpoint, clock } = await written()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readFile(path, 'utf8')).not.toContain('secret')
    endpoint.answer = json(set(two))
    clock.advance(10 * MINUTE)
    const { directory } = restart()
    await directory.resolve('billing')
    await directory[Symbol.asyncDispose]()
    expect(await readdir(join(path, '..'))).toEqual(['snapshot.json'])
  })

  it('is written without closing, and keeps what other recipients have in it', async () => {
    const { path, endpoint, restart } = await written()
    endpoint.answer = json(set(two))
    const { directory } = restart({ recipients: { shipping: endpoint.url } })
    await directory.resolve('shipping')
    await expect.poll(async () => Object.keys((await read(path)).documents)).toEqual(['billing', 'shipping'])
  })

  it.each<[string, string]>([
    ['no JSON', '{"version":1,'],
    ['another version', '{"version":2,"documents":{"billing":{}}}'],
    ['no object', 'null'],
    ['documents that are none', '{"version":1,"documents":{"billing":7,"shipping":null}}'],
  ])('%s: a start as without one', async (_title, text) => {
    const { path, endpoint, restart } = await written()
    await writeFile(path, text)
    endpoint.answer = json(set(two))
    const { directory, told } = restart()
    expect((await directory.resolve('billing')).kid).toBe('two')
    expect(told('snapshot-failed').length).toBe(text.endsWith(',') ? 1 : 0)
    expect(JSON.stringify(told('snapshot-failed'))).not.toContain('version')
  })

  it('a fetch time in the future is not believed, nor a fresh time without end', async () => {
    const { path, clock, restart } = await written()
    const snapshot = await read(path)
    const change = async (member: object): Promise<void> => {
      await writeFile(path, JSON.stringify({ version: 1, documents: { billing: { ...snapshot.documents['billing'], ...member } } }))
    }
    await change({ fetchedAt: clock.wall() + 5 * MINUTE + 1 })
    expect(await rejectionOf(restart().directory.resolve('billing'))).toBe(UNAVAILABLE)
    // Clocks differ a little.
    await change({ fetchedAt: clock.wall() + 5 * MINUTE })
    const { directory } = restart()
    await directory.resolve('billing')
    expect(directory.health()).toMatchObject([{ ageMs: 0 }])
    await change({ freshMs: 1e15 })
    clock.advance(61 * MINUTE)
    expect(await rejectionOf(restart().directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('a fetch on demand does not make do with it', async () => {
    const { endpoint, restart } = await written()
    endpoint.answer = json(set(two))
    const { directory, told } = restart()
    await directory.refresh('billing')
    expect(directory.peek('billing')?.kid).toBe('two')
    expect(told('changed')).toMatchObject([{ added: [], removed: [one.identity.thumbprint] }])
  })

  it('a fetch on demand does not make do with it either while somebody else is given what it holds', async () => {
    const { endpoint, clock, restart } = await written()
    endpoint.answer = json(set(two))
    clock.advance(MINUTE)
    const { directory } = restart()
    await Promise.all([directory.resolve('billing'), ...Array.from({ length: 5 }, () => directory.refresh('billing'))])
    expect(directory.peek('billing')?.kid).toBe('two')
    expect(endpoint.requests).toHaveLength(1)
  })

  it('a recipient that the function no longer knows is not in it any more', async () => {
    const { endpoint, clock, restart } = await written()
    let known = false
    const options: Partial<JwksDirectoryOptions> = { recipients: () => (known ? `${endpoint.url}?token=secret` : undefined) }
    const { directory } = restart(options)
    expect(await rejectionOf(directory.resolve('billing'))).toBe('ERR_SEALBUS_UNKNOWN_RECIPIENT')
    await directory[Symbol.asyncDispose]()
    known = true
    clock.advance(MINUTE)
    expect(await rejectionOf(restart(options).directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('has the set of a file too, for that file only; keys that are given are not in it', async () => {
    const folder = await temporaryFolder()
    const [file, path] = [join(folder, 'jwks.json'), join(folder, 'snapshot.json')]
    await writeFile(file, JSON.stringify(set(one)))
    const start = (name: string): Observed => observe({ recipients: { billing: { file: name }, given: set(two) }, snapshot: path })
    const first = start(file)
    for (const name of ['billing', 'given']) await first.directory.resolve(name)
    await first.directory[Symbol.asyncDispose]()
    expect(Object.keys((await read(path)).documents)).toEqual(['billing'])
    await rm(file)
    expect((await start(file).directory.resolve('billing')).kid).toBe('one')
    expect(await rejectionOf(start(join(folder, 'other.json')).directory.resolve('billing'))).toBe(UNAVAILABLE)
  })

  it('is not read when it is larger than 64 MiB, which is told', async () => {
    const { path, restart } = await written()
    await truncate(path, 67_108_865)
    const { directory, told } = restart()
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
    expect(told('snapshot-failed')).toEqual([{ kind: 'snapshot-failed', reason: 'it cannot be read (too large)' }])
  })

  it('keeps up to `maxEntries` sets', async () => {
    const { path, endpoint, restart } = await written()
    endpoint.answer = json(set(two))
    const { directory } = restart({ recipients: { shipping: endpoint.url, audit: endpoint.url }, maxEntries: 2 })
    for (const name of ['shipping', 'audit']) await directory.resolve(name)
    await directory[Symbol.asyncDispose]()
    expect(Object.keys((await read(path)).documents)).toEqual(['shipping', 'audit'])
  })

  it('what changes in the pause after a write is written when it is closed', async () => {
    const { endpoint, restart, clock } = await written()
    endpoint.answer = json(set(two))
    const { directory } = restart()
    await directory.refresh('billing')
    clock.advance(MINUTE)
    endpoint.answer = json(set(one))
    await directory.refresh('billing')
    await directory[Symbol.asyncDispose]()
    endpoint.answer = status(503)
    expect((await restart().directory.resolve('billing')).kid).toBe('one')
  })

  it('that cannot be written is told, and the directory goes on', async () => {
    const folder = await temporaryFolder()
    const endpoint = await startEndpoint(json(set(one)))
    const { directory, told } = observe({ recipients: { billing: endpoint.url }, snapshot: join(folder, 'missing', 'snapshot.json') })
    expect((await directory.resolve('billing')).kid).toBe('one')
    await until(() => told('snapshot-failed').length > 0)
    expect(told('snapshot-failed')[0]?.reason).toBe('it cannot be written (ENOENT)')
  })
})

describe('hydrate()', () => {
  it('gives recipients without keys those of a snapshot, by its own rules; what a fetch said stands', async () => {
    const { path, endpoint, restart } = await written()
    const snapshot = await read(path)
    const { directory } = restart({ snapshot: undefined } as never)
    expect(await rejectionOf(directory.resolve('billing'))).toBe(UNAVAILABLE)
    directory.hydrate(snapshot)
    expect((await directory.resolve('billing')).kid).toBe('one')
    const { directory: fetched, clock } = observe({ recipients: { billing: `${endpoint.url}?token=secret` } })
    endpoint.answer = json({ keys: [] })
    expect(await rejectionOf(fetched.resolve('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    fetched.hydrate(snapshot)
    clock.advance(MINUTE)
    expect(codeOf(() => fetched.peek('billing'))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    fetched.close()
    expect(codeOf(() => fetched.hydrate(snapshot))).toBe('ERR_SEALBUS_CLOSED')
  })
})

describe('documents of a snapshot', () => {
  const place = { kind: 'url', url: 'https://keys.example/' } as const
  const good = { place: placeName(place), body: '{"keys":[]}', fetchedAt: 2, freshMs: 1, validators: { etag: '"v1"', lastModified: 'then' } }
  const store = (): SnapshotStore => createSnapshotStore({ path: undefined, entries: 10, failed: () => {} })
  const merged = (document: unknown, into = store()): readonly string[] => into.merge({ version: 1, documents: { billing: document } })

  it('are taken where there is none, or an older one', async () => {
    const into = store()
    expect(merged(good, into)).toEqual(['billing'])
    for (const fetchedAt of [1, 2]) expect(merged({ ...good, body: 'other', fetchedAt }, into)).toEqual([])
    expect(await into.find('billing', place)).toEqual(good)
    expect(merged({ ...good, body: 'newer', fetchedAt: 3 }, into)).toEqual(['billing'])
    expect(await into.find('billing', place)).toMatchObject({ body: 'newer' })
    expect(await into.find('shipping', place)).toBeUndefined()
    expect(await into.find('billing', { kind: 'url', url: 'https://keys.example/2' })).toBeUndefined()
    await into.remove('billing')
    expect(await into.find('billing', place)).toBeUndefined()
  })

  it.each<[string, object]>([
    ['without validators', { validators: undefined }],
    ['with empty validators', { validators: {} }],
    ['of the first moment', { fetchedAt: 0, freshMs: 0 }],
  ])('%s are taken', (_title, change) => {
    expect(merged({ ...good, ...change })).toEqual(['billing'])
  })

  it.each<[string, unknown]>([
    ['null', null],
    ['a text', 'document'],
    ['without a place', { ...good, place: undefined }],
    ['without a body', { ...good, body: undefined }],
    ['with a body that is no text', { ...good, body: {} }],
    ['without a fetch time', { ...good, fetchedAt: undefined }],
    ['with a fetch time that is a text', { ...good, fetchedAt: '2' }],
    ['with a fetch time before 1970', { ...good, fetchedAt: -1 }],
    ['with a fetch time that is not finite', { ...good, fetchedAt: Infinity }],
    ['with a fresh time that is none', { ...good, freshMs: Number.NaN }],
    ['with an ETag that is no text', { ...good, validators: { etag: 7 } }],
    ['with a time of change that is no text', { ...good, validators: { lastModified: 7 } }],
  ])('%s are left out', (_title, document) => {
    expect(merged(document)).toEqual([])
  })

  it.each<[string, unknown]>([['undefined', undefined], ['another version', { version: 2, documents: { billing: good } }], ['no version', { documents: { billing: good } }], ['null as documents', { version: 1, documents: null }], ['a text as documents', { version: 1, documents: 'text' }]])('%s holds none', (_title, snapshot) => {
    expect(store().merge(snapshot)).toEqual([])
  })

  it('that are fetched are kept only where there is a file to keep them in', async () => {
    const { place: _place, ...document } = good
    const into = store()
    into.put('billing', place, document)
    expect(await into.find('billing', place)).toBeUndefined()
    await into.settled()
  })
})
