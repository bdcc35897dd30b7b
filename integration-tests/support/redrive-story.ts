import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { generateKeyPairSync } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { type Channels, createOpener, createSealer, createStaticDirectory, defineChannels, type IdentityStore, loadIdentities, type Opener, type Sealer } from '@sealbus/core'
import type { JWK } from 'jose'
import type { RedriveAssignment } from './redrive-process.ts'

/** What a redrive of one service needs: a key that sealers use already, and that is deployed late. */
export interface LateKey {
  readonly channels: Channels
  readonly sealer: Sealer
  /** The service before its key is deployed, and after. */
  readonly early: Opener
  readonly late: Opener
  readonly jwk: JWK
}

export async function createLateKey(): Promise<LateKey> {
  const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders/, /^billing/] } })
  const jwk = (kid: string): JWK => ({ ...(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as JWK), kid })
  const [old, next] = [jwk('billing-1'), jwk('billing-2')]
  const identities = (...keys: JWK[]): Promise<IdentityStore> => loadIdentities({ keys })
  const [{ publicJwk } = { publicJwk: next }] = (await identities(next)).list()
  return {
    channels,
    sealer: createSealer({ directory: createStaticDirectory({ billing: publicJwk }), channels }),
    early: createOpener({ name: 'billing', identities: await identities(old), channels }),
    late: createOpener({ name: 'billing', identities: await identities(old, next), channels }),
    jwk: next,
  }
}

/** An envelope with a changed tag. */
export function changed(bytes: Buffer): Buffer {
  const jwe = JSON.parse(bytes.toString()) as object
  return Buffer.from(JSON.stringify({ ...jwe, tag: Buffer.alloc(16, 7).toString('base64url') }))
}

const SCRIPT = fileURLToPath(new URL('redrive-process.ts', import.meta.url))

/** Runs a redrive that kills itself; the lines that it wrote until then. Rejects when it was not killed. */
export async function killedRedrive(assignment: RedriveAssignment): Promise<string[]> {
  const child = spawn(process.execPath, ['--conditions=@sealbus/source', SCRIPT, JSON.stringify(assignment)], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (signal !== 'SIGKILL') throw new Error(`the redrive was not killed, but ended with ${code ?? signal}: ${text}`)
  return text.split('\n').filter(Boolean)
}
