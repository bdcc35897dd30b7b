import { execFile, execFileSync } from 'node:child_process'
import { appendFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { readKeyFile, watchKeyFile } from '../../src/jwks/key-file.ts'
import { temporaryFolder } from '../support/directories.ts'

const path = async (text?: string): Promise<string> => {
  const file = join(await temporaryFolder(), 'jwks.json')
  if (text !== undefined) await writeFile(file, text)
  return file
}
const etagOf = async (file: string): Promise<string | undefined> => {
  const result = await readKeyFile(file, 100)
  return result.kind === 'set' ? result.validators.etag : expect.fail(result.kind)
}

describe('a key file', () => {
  it('is read up to its bound, and no further', async () => {
    const file = await path('12345678')
    for (const most of [8, 9]) expect(await readKeyFile(file, most)).toEqual({ kind: 'set', body: Buffer.from('12345678'), validators: { etag: expect.any(String) as string }, freshMs: undefined })
    expect(await readKeyFile(file, 7)).toEqual({ kind: 'unavailable', reason: 'is longer than 7 bytes', passing: false })
  })

  it('may be empty; one that is missing, or no file, is an outage that may pass', async () => {
    expect(await readKeyFile(await path(''), 8)).toMatchObject({ kind: 'set', body: Buffer.alloc(0) })
    expect(await readKeyFile(await path(), 8)).toEqual({ kind: 'unavailable', reason: 'cannot be read (ENOENT)', passing: true })
    expect(await readKeyFile(await temporaryFolder(), 8)).toEqual({ kind: 'unavailable', reason: 'cannot be read (EISDIR)', passing: true })
  })

  it('that comes in pieces is read to its end', async () => {
    const pipe = await path()
    execFileSync('mkfifo', [pipe])
    const writing = promisify(execFile)('sh', ['-c', `(printf 1234; sleep 0.2; printf 5678) > "$1"`, 'sh', pipe])
    expect(await readKeyFile(pipe, 8)).toMatchObject({ kind: 'set', body: Buffer.from('12345678') })
    await writing
  })

  it('has a version, which changes with it', async () => {
    const file = await path('1')
    const first = await etagOf(file)
    expect(await etagOf(file)).toBe(first)
    await appendFile(file, '2')
    expect(await etagOf(file)).not.toBe(first)
  })

  it.runIf(process.platform === 'linux')('is closed after each read', async () => {
    const files = [await path('12345678'), await temporaryFolder()]
    const open = async (): Promise<number> => (await readdir('/proc/self/fd')).length
    const before = await open()
    for (let count = 0; count < 50; count++) for (const file of files) await readKeyFile(file, 4)
    expect(await open()).toBeLessThan(before + 25)
  })
})

describe('watching a key file', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
  afterEach(() => void vi.useRealTimers())

  /** Tells how often it was called after a look of one second's. */
  function watch(file: string, read: string | undefined): { looked: () => Promise<number>; end: () => void } {
    const changed = vi.fn<() => void>()
    const end = watchKeyFile(file, read, changed)
    onTestFinished(end)
    const looked = async (): Promise<number> => {
      vi.advanceTimersByTime(1_000)
      // A look is one stat(), whose end cannot be seen from here: it is over when others are that began later.
      for (let later = 0; later < 20; later++) await stat('/')
      return changed.mock.calls.length
    }
    return { looked, end }
  }

  it('tells of each new version once, and of its going and coming', async () => {
    const file = await path('1')
    const { looked } = watch(file, await etagOf(file))
    expect([await looked(), await looked()]).toEqual([0, 0])
    await appendFile(file, '2')
    expect([await looked(), await looked()]).toEqual([1, 1])
    await rm(file)
    expect([await looked(), await looked()]).toEqual([2, 2])
    await writeFile(file, '3')
    expect([await looked(), await looked()]).toEqual([3, 3])
  })

  it('tells of what changed between the read and the first look', async () => {
    const file = await path('1')
    const { looked } = watch(file, 'another')
    expect(await looked()).toBe(1)
  })

  it('that was not there tells when it comes, and not before', async () => {
    const file = await path()
    const { looked } = watch(file, undefined)
    expect(await looked()).toBe(0)
    await writeFile(file, '1')
    expect(await looked()).toBe(1)
  })

  it('ends when told', async () => {
    const { looked, end } = watch(await path('1'), 'another')
    end()
    expect(await looked()).toBe(0)
    expect(vi.getTimerCount()).toBe(0)
  })
})
