import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { changeKeyFile, readKeyFile } from '../../src/keys/key-file.ts'
import { locked } from '../../src/keys/lock.ts'
import { newKey } from '../../src/keys/new-key.ts'
import { run, source } from '../support/child-process.ts'
import { folder } from '../support/folder.ts'

const key = (kid?: string): ReturnType<typeof newKey> => newKey({ type: 'X25519', bits: 2048, kid, now: new Date() })

async function keyFile(...kids: string[]): Promise<string> {
  const path = join(await folder(), 'billing.private.jwks.json')
  const keys = await Promise.all(kids.map(key))
  writeFileSync(path, JSON.stringify({ keys, note: 'mine' }), { mode: 0o600 })
  return path
}

const refusal = async (promise: Promise<unknown>): Promise<string> => promise.then(() => expect.fail('it was done'), (error: Error) => error.message)

describe('a key file', () => {
  it('is replaced as a whole, with mode 600, whatever it had; what else is in it stays', async () => {
    const path = await keyFile('one')
    chmodSync(path, 0o644)
    const { ino } = statSync(path)
    const more = await key('two')
    const { before, after } = await changeKeyFile(path, ({ entries }) => [...entries, more])
    expect([before, after].map(({ entries }) => entries.map(({ kid }) => kid))).toEqual([['one'], ['one', 'two']])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(path).ino).not.toBe(ino)
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ note: 'mine', keys: [{ kid: 'one' }, { kid: 'two' }] })
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  it('behind a link is changed where it is, and the link stays', async () => {
    const path = await keyFile('one')
    const link = `${path}.link`
    symlinkSync(path, link)
    const more = await key('two')
    await changeKeyFile(link, ({ entries }) => [...entries, more])
    expect((await readKeyFile(path)).entries).toHaveLength(2)
    expect(readFileSync(link, 'utf8')).toBe(readFileSync(path, 'utf8'))
  })

  it('keys without a kid are named by their thumbprints, and without a state are active, also among destroyed ones', async () => {
    const path = await keyFile()
    const { kid, state: _state, ...bare } = await key()
    writeFileSync(path, JSON.stringify({ keys: [{ kid: 'old', state: 'destroyed', destroyed_at: '2026-01-01T00:00:00Z' }, { ...bare, kid: undefined }] }))
    const file = await readKeyFile(path)
    expect(file.entries).toMatchObject([{ kid: 'old', state: 'destroyed' }, { kid, state: 'active' }])
    expect(file.sealedFor).toBe(kid)
    expect(file.identityOf('old')).toBeUndefined()
    expect(file.identityOf(kid)?.kid).toBe(kid)
  })

  it('is not written when its next content is one that no service would load', async () => {
    const path = await keyFile('one')
    const before = readFileSync(path, 'utf8')
    expect(await refusal(changeKeyFile(path, ({ entries }) => [...entries, ...entries.map((each) => ({ ...each, kid: 'again' }))]))).toContain('two keys have the kid or thumbprint')
    expect(readFileSync(path, 'utf8')).toBe(before)
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  it('that an editor changed meanwhile stays as the editor left it', async () => {
    const path = await keyFile('one')
    const edited = `${readFileSync(path, 'utf8')}\n`
    expect(await refusal(changeKeyFile(path, ({ entries }) => {
      writeFileSync(path, edited)
      return entries
    }))).toMatch(/^something else than sealbus changed .*; nothing was written$/)
    expect(readFileSync(path, 'utf8')).toBe(edited)
  })

  it('of which a lock is left behind is not touched, and the reason names the lock', async () => {
    const path = await keyFile('one')
    writeFileSync(`${path}.lock`, 'process 4711 since 2026-01-01T00:00:00.000Z')
    expect(await refusal(locked(path, async () => {}, 120))).toBe(`another run of sealbus changes this file: ${path}.lock is held by process 4711 since 2026-01-01T00:00:00.000Z. If there is none, remove the lock`)
    writeFileSync(`${path}.lock`, '\u001B[2J')
    expect(await refusal(locked(path, async () => {}, 0))).toContain('is held by somebody')
    expect(existsSync(`${path}.lock`)).toBe(true)
  })

  it('is finished before a signal ends the command', async () => {
    const path = await keyFile('one')
    const { code, signal, stdout } = await run(source('held-lock.ts'), [path])
    expect({ code, signal, stdout }).toEqual({ code: null, signal: 'SIGTERM', stdout: 'finished' })
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  it.each<[string, (path: string) => void, string]>([
    ['is missing', () => {}, 'there is no file'],
    ['is a folder', (path) => mkdirSync(path), 'cannot be read (EISDIR)'],
    ['is no JSON', (path) => writeFileSync(path, '{'), 'the file is no JWK Set'],
    ['has no keys', (path) => writeFileSync(path, '{}'), 'the file is no JWK Set'],
    ['names a member twice', (path) => writeFileSync(path, '{"keys":[],"keys":[]}'), 'the file is no JWK Set'],
    ['has a bad key', (path) => writeFileSync(path, '{"keys":[{"kty":"OKP","kid":"x","d":"secret-canary"}]}'), 'identities: key "x" is no valid private key'],
  ])('that %s is refused, and nothing of it is quoted', async (_title, prepare, reason) => {
    const path = join(await folder(), 'keys.json')
    prepare(path)
    for (const attempt of [readKeyFile(path), changeKeyFile(path, ({ entries }) => entries)]) {
      const message = await refusal(attempt)
      expect(message).toContain(reason)
      expect(message).not.toContain('canary')
    }
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  it('in a folder that is missing cannot be made', async () => {
    expect(await refusal(changeKeyFile(join(await folder(), 'nowhere', 'keys.json'), () => [], { create: true }))).toMatch(/nowhere\/keys\.json cannot be opened \(ENOENT\)$/)
  })
})
