import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadIdentities } from '@sealbus/core'
import { describe, expect, it } from 'vitest'
import type { ChangeReport } from '../../src/keys/change-report.ts'
import type { KeyView } from '../../src/keys/key-view.ts'
import { type Ended, run, SEALBUS } from '../support/child-process.ts'
import { folder } from '../support/folder.ts'

const keys = (...args: string[]): Promise<Ended> => run(SEALBUS, ['keys', ...args])

/** A command that succeeds, with what it printed as JSON. */
async function done<Report = ChangeReport>(...args: string[]): Promise<Report> {
  const { code, stdout, stderr } = await keys(...args, '--json')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Report
}

const listed = async (file: string, ...args: string[]): Promise<KeyView[]> => (await done<{ keys: KeyView[] }>('list', file, ...args)).keys
const states = async (file: string): Promise<string[]> => (await listed(file)).map(({ kid, state, sealedFor }) => `${kid} ${state}${sealedFor ? ' *' : ''}`)
const newFile = async (): Promise<string> => join(await folder(), 'billing.private.jwks.json')

/** Every private member of a file, at whatever key: what no command may print. */
function secretsOf(file: string): string[] {
  const { keys } = JSON.parse(readFileSync(file, 'utf8')) as { keys: Record<string, unknown>[] }
  return keys.flatMap((key) => ['d', 'p', 'q', 'dp', 'dq', 'qi'].map((member) => key[member]).filter((value) => typeof value === 'string'))
}

describe('sealbus keys', () => {
  it('takes a service through the whole life of its keys, and services load the file at every step', { timeout: 60_000 }, async () => {
    const file = await newFile()
    expect(await done('generate', file, '--kid', 'one')).toMatchObject({ file, changes: [{ kid: 'one', from: null, to: 'active' }], sealedFor: 'one', key: { kid: 'one', type: 'P-256', alg: 'ECDH-ES+A256KW', state: 'active' } })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(await done('generate', file, '--kid', 'two')).toMatchObject({ changes: [{ kid: 'two', from: null, to: 'pending' }], sealedFor: 'one' })
    expect(await done('rotate', file)).toMatchObject({ changes: [{ kid: 'one', from: 'active', to: 'retiring' }, { kid: 'two', from: 'pending', to: 'active' }], sealedFor: 'two' })
    expect(await done('activate', file, 'one')).toMatchObject({ changes: [{ kid: 'one', from: 'retiring', to: 'active' }], sealedFor: 'one' })
    expect(await done('retire', file, 'one')).toMatchObject({ changes: [{ kid: 'one', from: 'active', to: 'retiring' }], sealedFor: 'two' })
    expect(await done('archive', file, 'one')).toMatchObject({ changes: [{ kid: 'one', from: 'retiring', to: 'archived' }] })
    expect(await done('rotate', file, '--now', '--kid', 'three', '--type', 'X25519')).toMatchObject({ changes: [{ kid: 'two', from: 'active', to: 'retiring' }, { kid: 'three', from: null, to: 'active' }], sealedFor: 'three' })
    expect(await done('revoke', file, 'two', '--reason', 'laptop lost')).toMatchObject({ changes: [{ kid: 'two', from: 'retiring', to: 'revoked' }] })
    const store = await loadIdentities(file, { reloadMs: false })
    const { thumbprint } = store.list()[0] ?? expect.fail('no key')
    expect(await done('destroy', file, 'one', '--yes', '--early', '--reason', 'retention')).toMatchObject({ changes: [{ kid: 'one', from: 'archived', to: 'destroyed' }] })
    expect(await states(file)).toEqual(['one destroyed', 'two revoked', 'three active *'])
    await store.refresh()
    for (const name of ['one', thumbprint]) expect(store.find(name)).toMatchObject({ kid: 'one', destroyed: { reason: 'retention' } })
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ keys: [{ kid: 'one' }, { kid: 'two', reason: 'laptop lost' }, { kid: 'three' }] })
    expect(Object.keys((JSON.parse(readFileSync(file, 'utf8')) as { keys: object[] }).keys[0] ?? {}).sort()).toEqual(['activated_at', 'archived_at', 'created_at', 'destroyed_at', 'kid', 'reason', 'retired_at', 'state', 'thumbprint'])
    const published = await keys('export-public', file)
    expect(JSON.parse(published.stdout)).toEqual({ keys: [{ kty: 'OKP', crv: 'X25519', x: expect.any(String) as string, kid: 'three', alg: 'ECDH-ES+A256KW', use: 'enc' }] })
  })

  it('makes every kind of key, named by its thumbprint, and prints nothing private in any command', { timeout: 60_000 }, async () => {
    const file = await newFile()
    const kinds = [['P-256'], ['P-384'], ['P-521'], ['X25519'], ['RSA'], ['RSA', '--bits', '3072']]
    const outputs: string[] = []
    for (const [type = '', ...more] of kinds) outputs.push((await keys('generate', file, '--type', type, ...more)).stdout)
    const made = await listed(file)
    expect(made.map(({ type, state }) => [type, state])).toEqual([['P-256', 'active'], ['P-384', 'pending'], ['P-521', 'pending'], ['X25519', 'pending'], ['RSA-2048', 'pending'], ['RSA-3072', 'pending']])
    for (const { kid, thumbprint } of made) expect(kid).toBe(thumbprint)
    expect(new Set(made.map(({ alg }) => alg))).toEqual(new Set(['ECDH-ES+A256KW', 'RSA-OAEP-256']))
    const secrets = secretsOf(file)
    expect(secrets).toHaveLength(4 + 2 * 6)
    for (const args of [['list', file], ['list', file, '--json'], ['export-public', file], ['rotate', file], ['retire', file, made[5]?.kid ?? '', '--last'], ['revoke', file, made[4]?.kid ?? '', '--json']]) {
      const { code, stdout, stderr } = await keys(...args)
      expect(code, stderr).toBe(0)
      outputs.push(stdout, stderr)
    }
    for (const secret of secrets) expect(outputs.join('\n')).not.toContain(secret.slice(0, 16))
  })

  it('lists for people: one row a key, which one sealers choose, and when the old ones may go', async () => {
    const file = await newFile()
    await done('generate', file, '--kid', 'one')
    await done('rotate', file, '--now', '--kid', 'two')
    const { stdout } = await keys('list', file, '--retention', '30d')
    const row = (kid: string): string[] => stdout.split('\n').find((line) => line.includes(`│ ${kid} `))?.split('│').map((cell) => cell.trim()) ?? []
    expect(row('two')).toEqual(['', 'two', 'P-256', 'active', new Date().toISOString().slice(0, 10), 'sealers choose it', ''])
    expect(row('one').slice(1, 4)).toEqual(['one', 'P-256', 'retiring'])
    expect(stdout).toContain('to be destroyed')
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBe(80)
    expect(await done<object>('list', file)).toMatchObject({ file, retentionMs: null })
    const { retentionMs, keys: [one] } = await done<{ retentionMs: number; keys: KeyView[] }>('list', file, '--retention', '30d', '--max-stale', '2h')
    expect(retentionMs).toBe(30 * 24 * 3_600_000)
    const retired = Date.parse(one?.since ?? '')
    expect(Date.parse(one?.destroyableFrom ?? '') - retired).toBe((30 * 24 + 1 + 2 + 1) * 3_600_000 + 300_000)
  })

  it('loses no change, however many runs change one file at once', { timeout: 60_000 }, async () => {
    const file = await newFile()
    const kids = Array.from({ length: 6 }, (_, index) => `key-${index}`)
    await Promise.all(kids.map((kid) => done('generate', file, '--kid', kid)))
    const made = await states(file)
    expect(new Set(made.map((each) => each.split(' ')[0]))).toEqual(new Set(kids))
    expect(made).toHaveLength(kids.length)
    // One of them was the first.
    expect(made.filter((each) => each.endsWith(' active *'))).toHaveLength(1)
  })

  it('tells, in words, what is to be done next, and what stops', async () => {
    const file = await newFile()
    expect((await keys('generate', file, '--kid', 'one')).stdout).toBe('one: new → active\nSealers choose one.\n')
    expect((await keys('generate', file, '--kid', 'two')).stdout).toContain('Put the file on every instance of the service; then publish the new key')
    expect((await keys('revoke', file, 'one')).stdout).toBe('one: active → revoked\nNo key is published: sealing for this service stops, with\nERR_SEALBUS_NO_USABLE_KEY.\n')
  })
})

describe('sealbus keys refuses', () => {
  it('what the life cycle does not allow, with exit code 1 and a reason, and changes nothing', { timeout: 60_000 }, async () => {
    const file = await newFile()
    await done('generate', file, '--kid', 'one')
    const before = readFileSync(file, 'utf8')
    for (const [args, reason] of [
      [['rotate', file], 'no key is pending'],
      [['retire', file, 'one'], 'no other key is published: sealing for this service would stop'],
      [['activate', file, 'one'], 'the key "one" is active already'],
      [['archive', file, 'one'], 'the key "one" is active, and cannot become archived'],
      [['destroy', file, 'one', '--yes'], 'the key "one" is active, and cannot become destroyed: retire or revoke it first'],
      [['activate', file, 'two'], 'the file has no key "two"'],
      [['generate', file, '--kid', 'one'], 'the file has a key "one" already'],
      [['rotate', file, '--now', '--kid', 'one'], 'the file has a key "one" already'],
      [['list', `${file}.none`], 'there is no file'],
      [['rotate', `${file}.none`, '--now'], 'there is no file'],
    ] as const) {
      const { code, stdout, stderr } = await keys(...args)
      expect({ code, stdout }, args.join(' ')).toEqual({ code: 1, stdout: '' })
      expect(stderr).toMatch(/^error: .*\n$/)
      expect(stderr).toContain(reason)
    }
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  it('to destroy what messages may still be sealed for, or what nobody confirmed', async () => {
    const file = await newFile()
    await done('generate', file, '--kid', 'one')
    await done('rotate', file, '--now', '--kid', 'two')
    const early = await keys('destroy', file, 'one', '--yes')
    expect(early).toMatchObject({ code: 1, stdout: '' })
    expect(early.stderr).toMatch(/^error: until 20[-\dT:.]+Z messages that are sealed for this key may be on their way \(--early destroys it all the same\)\n$/)
    // Long ago, but kept for longer.
    const aged = readFileSync(file, 'utf8').replace(/("retired_at": ")[^"]+/, '$12020-01-01T00:00:00.000Z')
    writeFileSync(file, aged)
    expect(await keys('destroy', file, 'one', '--yes', '--retention', '36500d')).toMatchObject({ code: 1 })
    expect(await keys('destroy', file, 'one')).toEqual({ code: 2, stdout: '', stderr: 'error: to destroy a key is asked about, and nobody is here to answer: say --yes\n' })
    expect(readFileSync(file, 'utf8')).toBe(aged)
    expect(await done('destroy', file, 'one', '--yes', '--retention', '7d')).toMatchObject({ changes: [{ kid: 'one', from: 'retiring', to: 'destroyed' }] })
    // Nor may its name come again: its messages are not for another key.
    expect(await keys('generate', file, '--kid', 'one')).toMatchObject({ code: 1 })
    const unknown = readFileSync(file, 'utf8').replace('"state": "active"', '"state": "archived"')
    writeFileSync(file, unknown)
    expect((await keys('destroy', file, 'two', '--yes')).stderr).toContain('it is not noted since when this key is no longer published')
  })

  it('a file that no service would load', async () => {
    const file = await newFile()
    writeFileSync(file, '{"keys":[{"kty":"OKP","crv":"X25519","kid":"x","x":"AAAA","d":"secret-canary"}]}')
    for (const command of ['list', 'generate', 'rotate', 'export-public']) {
      const { code, stdout, stderr } = await keys(command, file)
      expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: 'error: identities: key "x" is no valid private key\n' })
    }
  })
})
