import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../../packages/cli/src/sealbus.ts', import.meta.url))
const ARGS = ['--conditions=@sealbus/source', CLI]

/** Runs a command of the command line to its end; what it printed as JSON. */
export async function sealbus(...args: readonly string[]): Promise<unknown> {
  const child = spawn(process.execPath, [...ARGS, ...args, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => void (output[name] += text))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`sealbus ${args.join(' ')} ended with ${code}: ${output.stderr}`)
  return JSON.parse(output.stdout)
}

/** `sealbus jwks serve` of a file, on a free port. */
export interface KeyServing {
  readonly url: string
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | NodeJS.Signals | null>
}

export async function startServing(file: string): Promise<KeyServing> {
  const child = spawn(process.execPath, [...ARGS, 'jwks', 'serve', file, '--port', '0', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), closed])) as [unknown]
  const { url } = (typeof line === 'string' ? JSON.parse(line) : {}) as { url?: string }
  if (url === undefined) throw new Error('sealbus jwks serve ended before it listened')
  return {
    url,
    async end(signal) {
      child.kill(signal)
      await closed
      return child.exitCode ?? child.signalCode
    },
  }
}
