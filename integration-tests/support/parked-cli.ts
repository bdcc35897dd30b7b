import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSealer, createStaticDirectory, defineChannels, loadIdentities, type Sealer } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import type { JWK } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { RedriveHarness } from '../../packages/testing/test/support/redrive-harness.ts'

const SEALBUS = fileURLToPath(new URL('../../packages/cli/src/sealbus.ts', import.meta.url))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function sealbus(...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, ['--conditions=@sealbus/source', SEALBUS, 'parked', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (chunk: string) => void (text[name] += chunk))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, ...text }))
  })
}

/** `sealbus parked` as its user has it, on a real broker: the same for each. */
export function describeParkedCommand(name: string, placeOptions: (from: string) => readonly string[], open: () => Promise<RedriveHarness>): void {
  describe(`sealbus parked: ${name}`, () => {
    const declarations = { orders: { to: ['billing'], match: ['orders'] } }
    const folder = mkdtempSync(join(tmpdir(), 'sealbus-parked-'))
    let sealer: Sealer
    let harness: RedriveHarness
    let opening: readonly string[]

    beforeAll(async () => {
      const key: JWK = { ...(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as JWK), kid: 'billing-7' }
      const [identity] = (await loadIdentities({ keys: [key] })).list()
      if (!identity) throw new Error('no identity')
      sealer = createSealer({ directory: createStaticDirectory({ billing: identity.publicJwk }), channels: defineChannels(declarations) })
      const [identities, channels] = [join(folder, 'keys.json'), join(folder, 'channels.json')]
      writeFileSync(identities, JSON.stringify({ keys: [key] }), { mode: 0o600 })
      writeFileSync(channels, JSON.stringify(declarations))
      opening = ['--identities', identities, '--name', 'billing', '--channels', channels, '--channel', 'orders']
    })
    afterAll(() => rmSync(folder, { recursive: true }))
    beforeEach(async () => void (harness = await open()))
    afterEach(() => harness.close())

    const at = (command: string, ...args: readonly string[]): Promise<Ended> => sealbus(command, ...args, ...placeOptions(harness.from))
    const redrive = (...args: readonly string[]): Promise<Ended> => at('redrive', '--by', harness.by, ...(harness.to === harness.by ? [] : ['--to', harness.to]), ...args)
    const parkOrders = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) await harness.park({ bytes: sealer.sealSync(`{"secret":${n}}`, { channel: 'orders' }).bytes }, 'ERR_SEALBUS_KEY_MISSING')
    }

    it('list: a line for each, with its id, code, keys, origin and who parked it; also as JSON', async () => {
      await parkOrders(2)
      await harness.park({ bytes: Buffer.from('plain') }, 'ERR_SEALBUS_NOT_SEALED', { [PARK_HEADERS.origin]: 'orders/0/9\u001b[31m' })
      const { code, stdout, stderr } = await at('list')
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout.match(new RegExp(`^\\S+ +ERR_SEALBUS_KEY_MISSING +billing-7 +orders/\\S+ +${harness.by} +\\d{4}-\\S+Z +\\d+`, 'gm'))).toHaveLength(2)
      expect(stdout).toContain('ERR_SEALBUS_NOT_SEALED')
      expect(stdout, 'what others wrote moves no cursor').not.toContain('\u001b[31m')
      const { copies } = JSON.parse((await at('list', '--json', '--limit', '1')).stdout) as { copies: object[] }
      expect(copies).toEqual([{ id: expect.any(String), code: 'ERR_SEALBUS_KEY_MISSING', by: harness.by, origin: expect.any(String), time: expect.any(String), bytes: expect.any(Number), kids: ['billing-7'], redriven: false }])
      expect((await at('list', '--by', 'nobody')).stdout).toBe('Nothing is parked here.\n')
    })

    it('why: the code in the words of the documentation, the keys and the recipients, and that nothing of it is authenticated', async () => {
      await parkOrders(1)
      const { copies: [copy] } = JSON.parse((await at('list', '--json')).stdout) as { copies: { id: string }[] }
      const { code, stdout } = await at('why', copy?.id ?? '')
      expect(code).toBe(0)
      expect(stdout.replaceAll(/\s+/g, ' ')).toContain('Put private keys on every consumer before their public halves are published.')
      expect(stdout.replaceAll(/\s+/g, ' ')).toContain('Not authenticated before it is opened')
      for (const line of [/^to +billing$/m, /^key +billing-7 +ECDH-ES\+A256KW$/m, /^channel +orders$/m, new RegExp(`^parked by +${harness.by}$`, 'm')]) expect(stdout).toMatch(line)
      expect(stdout).not.toContain('secret')
      expect(JSON.parse((await at('why', copy?.id ?? '', '--json')).stdout)).toMatchObject({ code: 'ERR_SEALBUS_KEY_MISSING', envelope: { to: ['billing'], channel: 'orders', recipients: [{ kid: 'billing-7' }] } })
      expect(await at('why', 'nothing-like-that')).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('no message with this id') })
    })

    it('redrive: tells what the key opens, delivers with --yes only, and says what stays', async () => {
      await parkOrders(3)
      await harness.park({ bytes: Buffer.from('plain') }, 'ERR_SEALBUS_NOT_SEALED')
      const dry = await redrive(...opening)
      expect(dry.code).toBe(1)
      expect(dry.stdout).toMatch(/^3 +ERR_SEALBUS_KEY_MISSING +billing-7 +open now$/m)
      expect(dry.stdout).toMatch(/^1 +ERR_SEALBUS_NOT_SEALED +- +still fail with ERR_SEALBUS_NOT_SEALED$/m)
      expect(dry.stdout).toContain('dry run')
      expect(await harness.arrived()).toEqual([])

      const first = await redrive(...opening, '--yes', '--limit', '2', '--json')
      expect(JSON.parse(first.stdout)).toMatchObject({ dryRun: false, ended: 'limit', delivered: 2 })
      const second = await redrive(...opening, '--yes')
      expect(second).toMatchObject({ code: 1, stderr: '' })
      expect(second.stdout).toContain('1 delivered, 1 stay parked')
      expect(await harness.arrived()).toHaveLength(3)
      const filtered = await redrive('--code', 'ERR_SEALBUS_KEY_MISSING', '--yes')
      expect(filtered).toMatchObject({ code: 0 })
      expect(filtered.stdout).toContain('0 delivered')
      expect(await harness.list()).toHaveLength(1)
    })

    it('refuses what it cannot do, with a line and an exit code', async () => {
      expect(await redrive('--identities', 'keys.json')).toMatchObject({ code: 2, stderr: expect.stringContaining('--name and --channels') })
      expect(await redrive('--code', 'ERR_SEALBUS_TYPO')).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error: redrive: `codes`/) })
      const gone = await sealbus('list', ...placeOptions(`${harness.from}-gone`))
      expect(gone).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: .+\n$/) })
    })
  })
}
