import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Ended {
  readonly code: number | null
  /** What ended it, where it was a signal. */
  readonly signal?: NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
}

export const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
export const SEALBUS: string = source('../../src/sealbus.ts')
export const UNTRUE_DEMO: string = source('untrue-demo.ts')

/** Runs a program from the sources, with nothing of this process's settings for brokers and colours. */
export async function run(program: string, args: readonly string[], { env = {}, onOutput }: { env?: Record<string, string>; onOutput?: (text: string, child: { kill: (signal: NodeJS.Signals) => void }) => void } = {}): Promise<Ended> {
  const { SEALBUS_KAFKA_BROKERS: _kafka, SEALBUS_AMQP_URL: _amqp, FORCE_COLOR: _forced, NO_COLOR: _none, ...inherited } = process.env
  const child = spawn(process.execPath, ['--conditions=@sealbus/source', program, ...args], { env: { ...inherited, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    onOutput?.(stdout, { kill: (signal) => void child.kill(signal) })
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (stderr += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, stdout, stderr, ...(signal && { signal }) }))
  })
}
