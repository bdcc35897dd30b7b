import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JWK } from 'jose'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import type { SealbusError } from '../src/errors.ts'
import { type IdentityChange, type LoadedIdentities, loadIdentities, type LoadIdentitiesOptions } from '../src/identities.ts'
import { createOpener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import { type KeyKind, testDirectory, testKey, type TestKey } from './support/keys.ts'
import { rejectedBy, rejectionOf } from './support/thrown.ts'

const keys = new Map<string, TestKey>()
const key = (kid: string): TestKey => keys.get(kid) ?? expect.fail(kid)
beforeAll(async () => {
  for (const [kind, kid] of [['P-256', 'one'], ['X25519', 'two']] satisfies [KeyKind, string][]) keys.set(kid, await testKey(kind, kid))
})

const entry = (kid: string, state = 'active'): JWK => ({ ...(key(kid).privateKey.export({ format: 'jwk' }) as JWK), kid, state } as JWK)
const tombstone = (kid: string): object => ({ kid, state: 'destroyed', destroyed_at: '2026-01-02T03:04:05Z', thumbprint: key(kid).identity.thumbprint })
const text = (...entries: object[]): string => JSON.stringify({ keys: entries })

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sealbus-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}

async function replace(file: string, content: string): Promise<void> {
  await writeFile(`${file}.new`, content, { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** A file with these entries, a store that follows it, and what the store told. */
async function following(entries: object[], options: LoadIdentitiesOptions = {}): Promise<{ file: string; store: LoadedIdentities; changes: IdentityChange[][]; failures: SealbusError[] }> {
  const file = join(await folder(), 'private.jwks.json')
  await writeFile(file, text(...entries), { mode: 0o600 })
  const changes: IdentityChange[][] = []
  const failures: SealbusError[] = []
  const store = await loadIdentities(file, { reloadMs: 100, onChange: (each) => void changes.push([...each]), onFailure: (error) => void failures.push(error), ...options })
  onTestFinished(() => store.close())
  return { file, store, changes, failures }
}

const SOON = { timeout: 15_000, interval: 20 }

describe('a file of identities is followed', () => {
  it('when it is replaced by a rename, and when it is written in place; onChange tells what came, went, and changed', async () => {
    const { file, store, changes, failures } = await following([entry('one')])
    await replace(file, text(entry('one'), entry('two', 'pending')))
    await expect.poll(() => store.find('two'), SOON).toMatchObject({ state: 'pending' })
    await writeFile(file, text(entry('one', 'retiring'), entry('two')))
    await expect.poll(() => store.find('two'), SOON).toMatchObject({ state: 'active' })
    await replace(file, text(tombstone('one')))
    await expect.poll(() => store.list(), SOON).toEqual([])
    // A file that is written in place may have been met half written; it tells of that, and goes on.
    expect(failures.map(({ code }) => code).filter((code) => code !== 'ERR_SEALBUS_INVALID_KEY')).toEqual([])
    expect(changes).toEqual([
      [{ kid: 'two', from: undefined, to: 'pending' }],
      [{ kid: 'one', from: 'active', to: 'retiring' }, { kid: 'two', from: 'pending', to: 'active' }],
      [{ kid: 'one', from: 'retiring', to: 'destroyed' }, { kid: 'two', from: 'active', to: undefined }],
    ])
  })

  it('through the links by which Kubernetes swaps a mounted secret', async () => {
    const root = await folder()
    for (const [version, content] of [['v1', text(entry('one'))], ['v2', text(entry('two'))]] as const) {
      await mkdir(join(root, version))
      await writeFile(join(root, version, 'private.jwks.json'), content, { mode: 0o600 })
    }
    await symlink('v1', join(root, '..data'))
    await symlink(join('..data', 'private.jwks.json'), join(root, 'private.jwks.json'))
    const store = await loadIdentities(join(root, 'private.jwks.json'), { reloadMs: 100 })
    onTestFinished(() => store.close())
    expect(store.list().map(({ kid }) => kid)).toEqual(['one'])
    await symlink('v2', join(root, '..data_tmp'))
    await rename(join(root, '..data_tmp'), join(root, '..data'))
    await expect.poll(() => store.list().map(({ kid }) => kid), SOON).toEqual(['two'])
  })

  it('and what did not change stays the same object, also when the file was only touched or laid out anew', async () => {
    const { file, store, changes } = await following([entry('one'), entry('two')], { reloadMs: false })
    const before = store.list()
    await replace(file, text(entry('one'), entry('two')))
    await store.refresh()
    await replace(file, JSON.stringify({ keys: [entry('one'), entry('two')] }, undefined, 2))
    await store.refresh()
    expect(store.list().map((each, index) => each === before[index])).toEqual([true, true])
    expect(changes).toEqual([])
  })

  it('and the last content wins, however many ask at once', async () => {
    const { file, store } = await following([entry('one')], { reloadMs: false })
    const asking: Promise<void>[] = []
    for (const kid of ['two', 'one', 'two']) {
      await replace(file, text(entry(kid)))
      asking.push(store.refresh(), store.refresh())
    }
    await Promise.all(asking)
    expect(store.list().map(({ kid }) => kid)).toEqual(['two'])
  })

  it('without keeping the process alive', async () => {
    const { file } = await following([entry('one')], { reloadMs: false })
    const program = `import { loadIdentities } from ${JSON.stringify(new URL('../src/identities.ts', import.meta.url).href)}; await loadIdentities(${JSON.stringify(file)})`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' })
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  it('with one timer, until it is closed; the keys stay', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { store } = await following([entry('one')])
    expect(vi.getTimerCount()).toBe(1)
    store.close()
    store[Symbol.dispose]()
    await store[Symbol.asyncDispose]()
    expect(vi.getTimerCount()).toBe(0)
    expect(store.find('one')).toBeDefined()
  })

  it('and not when it was closed in the middle of a look', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { file, store, changes } = await following([entry('one')])
    await replace(file, text(entry('two')))
    vi.advanceTimersByTime(100)
    await store[Symbol.asyncDispose]()
    // The look was under way, and was waited for.
    expect(changes).toHaveLength(1)
    expect(vi.getTimerCount()).toBe(0)
  })

  it.each<[string, () => Promise<LoadedIdentities>]>([
    ['a set that was given', async () => loadIdentities({ keys: [entry('one')] })],
    ['reloadMs: false', async () => (await following([entry('one')], { reloadMs: false })).store],
    ['a variable', async () => {
      process.env['SEALBUS_TEST_RELOAD'] = text(entry('one'))
      onTestFinished(() => void delete process.env['SEALBUS_TEST_RELOAD'])
      return loadIdentities({ env: 'SEALBUS_TEST_RELOAD' })
    }],
    ['a pipe, which can be read once only', async () => {
      const pipe = join(await folder(), 'pipe.json')
      execFileSync('mkfifo', [pipe])
      const [store] = await Promise.all([loadIdentities(pipe), writeFile(pipe, text(entry('one')))])
      return store
    }],
  ])('but %s is not', async (_title, load) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const store = await load()
    expect(store.list().map(({ kid }) => kid)).toEqual(['one'])
    expect(vi.getTimerCount()).toBe(0)
    store.close()
  })
})

describe('a source that cannot be read', () => {
  it.each<[string, string, (file: string) => Promise<void>]>([
    ['half written', 'ERR_SEALBUS_INVALID_KEY', (file) => writeFile(file, text(entry('one'), entry('two')).slice(0, -40))],
    ['empty', 'ERR_SEALBUS_INVALID_KEY', (file) => writeFile(file, '')],
    ['no UTF-8', 'ERR_SEALBUS_INVALID_KEY', (file) => writeFile(file, Buffer.concat([Buffer.from('{"keys":[],"x":"'), Buffer.from([0xff]), Buffer.from('"}')]))],
    ['too large', 'ERR_SEALBUS_INVALID_KEY', (file) => writeFile(file, `${text(entry('two'))}${' '.repeat(1_048_576)}`)],
    ['a set with one bad key', 'ERR_SEALBUS_INVALID_KEY', (file) => writeFile(file, text(entry('two'), entry('one', 'lost')))],
    ['gone', 'ERR_SEALBUS_KEY_UNAVAILABLE', (file) => rm(file)],
    ['a folder', 'ERR_SEALBUS_KEY_UNAVAILABLE', async (file) => {
      await rm(file)
      await mkdir(file)
    }],
  ])('%s: what was read before stays in force, it is told of once, is in health(), and gets over it', async (_title, code, spoil) => {
    const { file, store, changes, failures } = await following([entry('one')], { reloadMs: false })
    const before = store.find('one')
    const { readAt } = store.health()
    await spoil(file)
    for (let attempt = 0; attempt < 3; attempt++) expect(await rejectionOf(store.refresh())).toBe(code)
    expect(store.find('one')).toBe(before)
    expect(store.find('two')).toBeUndefined()
    expect(failures).toMatchObject([{ code }])
    expect(store.health()).toEqual({ readAt, failure: { error: failures[0], since: expect.any(Date) as unknown } })
    await rm(file, { recursive: true, force: true })
    await replace(file, text(entry('one'), entry('two')))
    await store.refresh()
    expect(store.health()).toEqual({ readAt: expect.any(Date) as unknown, failure: undefined })
    expect(store.health().readAt.getTime()).toBeGreaterThanOrEqual(readAt.getTime())
    expect([store.find('one') === before, changes]).toEqual([true, [[{ kid: 'two', from: undefined, to: 'active' }]]])
  })

  it('for another reason than before is told of again, and is failing since the first', async () => {
    const { file, store, failures } = await following([entry('one')], { reloadMs: false })
    await writeFile(file, '{')
    await rejectedBy(store.refresh())
    const { since } = store.health().failure ?? expect.fail('it did not fail')
    await rm(file)
    await rejectedBy(store.refresh())
    expect(failures.map(({ code }) => code)).toEqual(['ERR_SEALBUS_INVALID_KEY', 'ERR_SEALBUS_KEY_UNAVAILABLE'])
    expect(store.health().failure?.since).toBe(since)
    await replace(file, text(entry('one')))
    await store.refresh()
    await writeFile(file, '{')
    await rejectedBy(store.refresh())
    expect(failures).toHaveLength(3)
  })

  it('is found by looking, without anyone asking', async () => {
    const { file, store, failures } = await following([entry('one')])
    await replace(file, '{"keys":')
    await expect.poll(() => store.health().failure?.error.code, SOON).toBe('ERR_SEALBUS_INVALID_KEY')
    await replace(file, text(entry('two')))
    await expect.poll(() => store.find('two'), SOON).toBeDefined()
    expect(failures).toHaveLength(1)
  })

  it('is a process warning where nobody asked to be told', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => warned.mockRestore())
    const file = join(await folder(), 'private.jwks.json')
    await writeFile(file, text(entry('one')), { mode: 0o600 })
    const store = await loadIdentities(file, { reloadMs: false })
    await writeFile(file, '{')
    await rejectedBy(store.refresh())
    expect(warned.mock.calls).toEqual([['identities: it is no JWK Set: there is no `keys` array', { type: 'SealbusWarning', code: 'ERR_SEALBUS_INVALID_KEY' }]])
  })

  it('because what was given throws is an invalid one, and its words are not shown', async () => {
    let broken = false
    const source = {
      get keys(): JWK[] {
        if (broken) throw new Error('secret')
        return [entry('one')]
      },
    }
    const store = await loadIdentities(source, { onFailure: () => {} })
    broken = true
    expect(await rejectedBy(store.refresh())).toMatchObject({ code: 'ERR_SEALBUS_INVALID_KEY', message: 'identities: they cannot be read' })
  })
})

describe('a file that others can read', () => {
  const shared = async (options: LoadIdentitiesOptions): Promise<{ store: Promise<LoadedIdentities>; file: string; warned: ReturnType<typeof vi.spyOn> }> => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    onTestFinished(() => warned.mockRestore())
    const file = join(await folder(), 'private.jwks.json')
    await writeFile(file, text(entry('one')))
    await chmod(file, 0o640)
    return { store: loadIdentities(file, { reloadMs: false, ...options }), file, warned }
  }

  it('is warned of once, by default', async () => {
    const { store, warned } = await shared({})
    const loaded = await store
    expect(warned).toHaveBeenCalledTimes(1)
    for (let look = 0; look < 3; look++) await loaded.refresh()
    expect(warned.mock.calls).toEqual([['identities: its group or others have access to the file (mode 640, not 600)', { type: 'SealbusWarning', code: 'SEALBUS_IDENTITIES_READABLE' }]])
  })

  it('is refused on request, at load and later', async () => {
    const { store, warned, file } = await shared({ readableByOthers: 'refuse', onFailure: () => {} })
    expect(await rejectionOf(store)).toBe('ERR_SEALBUS_INVALID_KEY')
    await chmod(file, 0o600)
    const good = await loadIdentities(file, { reloadMs: false, readableByOthers: 'refuse', onFailure: () => {} })
    await chmod(file, 0o604)
    expect(await rejectedBy(good.refresh())).toMatchObject({ message: 'identities: its group or others have access to the file (mode 604, not 600)' })
    expect(good.find('one')).toBeDefined()
    expect(warned).not.toHaveBeenCalled()
  })

  it('is not looked at on Windows, whose modes say nothing', async () => {
    const { platform } = process
    Object.defineProperty(process, 'platform', { value: 'win32' })
    onTestFinished(() => void Object.defineProperty(process, 'platform', { value: platform }))
    const { store, warned } = await shared({ readableByOthers: 'refuse' })
    expect((await store).find('one')).toBeDefined()
    expect(warned).not.toHaveBeenCalled()
  })

  it('is taken in silence on request', async () => {
    const { store, warned } = await shared({ readableByOthers: 'allow' })
    expect((await store).find('one')).toBeDefined()
    expect(warned).not.toHaveBeenCalled()
  })
})

it.each<[string, string, object]>([
  ['a misspelt option', 'loading identities has no "reload"', { reload: 100 }],
  ['too short a time', '`reloadMs` is an integer from 100 to 3600000', { reloadMs: 99 }],
  ['too long a time', '`reloadMs` is an integer from 100 to 3600000', { reloadMs: 3_600_001 }],
  ['true', '`reloadMs` is an integer from 100 to 3600000', { reloadMs: true }],
  ['an unknown choice', '`readableByOthers` is one of warn, refuse, allow', { readableByOthers: 'ignore' }],
])('%s is refused: %s', async (_title, message, options) => {
  expect(await rejectedBy(loadIdentities({ keys: [] }, options))).toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION', message })
})

describe('what became of a key reaches its openers at once', () => {
  const channels = defineChannels({ orders: { to: ['billing'] } })
  const sealFor = (kid: string): Buffer => createSealer({ directory: testDirectory({ billing: key(kid).recipientKey }), channels }).sealSync('paid', { channel: 'orders' }).bytes
  const where = { channel: 'orders' }

  it('§7.23 retiring and archived keys open; revoked and destroyed ones have their own errors, also for a content key that was cached', async () => {
    const { file, store } = await following([entry('one')], { reloadMs: false })
    const openers = [1, 2].map(() => createOpener({ name: 'billing', identities: store, channels }))
    const message = sealFor('one')
    const outcomes: Record<string, unknown> = {}
    for (const [state, content] of [['active', entry('one')], ['retiring', entry('one', 'retiring')], ['archived', entry('one', 'archived')], ['revoked', entry('one', 'revoked')], ['active again', entry('one')], ['destroyed', tombstone('one')]] as const) {
      await replace(file, text(content))
      await store.refresh()
      outcomes[state] = openers.map((opener) => {
        try {
          return opener.openSync(message, where).plaintext.toString()
        } catch (error) {
          return (error as SealbusError).code
        }
      })
    }
    expect(outcomes).toEqual({
      'active': ['paid', 'paid'],
      'retiring': ['paid', 'paid'],
      'archived': ['paid', 'paid'],
      'revoked': ['ERR_SEALBUS_KEY_REVOKED', 'ERR_SEALBUS_KEY_REVOKED'],
      'active again': ['paid', 'paid'],
      'destroyed': ['ERR_SEALBUS_KEY_DESTROYED', 'ERR_SEALBUS_KEY_DESTROYED'],
    })
  })

  it('a tombstone that kept its thumbprint is found by it', async () => {
    const { thumbprint } = key('one').identity
    const store = await loadIdentities(JSON.parse(text(tombstone('one'))) as { keys: JWK[] })
    expect(store.find(thumbprint)).toBe(store.find('one'))
    expect(store.find(thumbprint)).toEqual({ kid: 'one', thumbprint, destroyed: { at: new Date('2026-01-02T03:04:05Z') } })
    expect(store.list()).toEqual([])
    const wrong = { ...tombstone('one'), thumbprint: 'none' } as unknown as JWK
    expect(await rejectedBy(loadIdentities({ keys: [wrong] }))).toMatchObject({ message: 'identities: key "one" has a `thumbprint` that is none' })
    expect(await rejectedBy(loadIdentities(JSON.parse(text(entry('one'), { ...tombstone('one'), kid: 'before' })) as { keys: JWK[] }))).toMatchObject({ code: 'ERR_SEALBUS_INVALID_KEY' })
  })

  it('§7.23 a key that comes is found by the message that waited for it', async () => {
    const { file, store } = await following([entry('one')])
    const opener = createOpener({ name: 'billing', identities: store, channels })
    const message = sealFor('two')
    expect(await rejectionOf(opener.open(message, where))).toBe('ERR_SEALBUS_KEY_MISSING')
    await replace(file, text(entry('one'), entry('two')))
    await expect.poll(async () => opener.open(message, where).then(({ plaintext }) => plaintext.toString(), (error: SealbusError) => error.code), SOON).toBe('paid')
  })
})
