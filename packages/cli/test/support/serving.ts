import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { expect, onTestFinished } from 'vitest'
import { SEALBUS } from './child-process.ts'

/** A `sealbus jwks serve` that runs. */
export interface Serving {
  readonly url: string
  /** Its lines so far, the first included. */
  readonly lines: readonly string[]
  /** Ends it, and gives its exit code. */
  stop(signal: 'SIGINT' | 'SIGTERM'): Promise<number | null>
}

export async function startServing(args: readonly string[]): Promise<Serving> {
  const child = spawn(process.execPath, ['--conditions=@sealbus/source', SEALBUS, 'jwks', 'serve', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  const reader = createInterface(child.stdout).on('line', (line) => lines.push(line))
  await Promise.race([once(reader, 'line'), once(child, 'exit')])
  const url = /http:\/\/[^\s"]+/.exec(lines[0] ?? '')?.[0]
  return {
    url: url ?? expect.fail(`it does not serve: ${lines.join('\n')}`),
    lines,
    async stop(signal): Promise<number | null> {
      const closed = once(child, 'close')
      child.kill(signal)
      const [code] = (await closed) as [number | null]
      return code
    },
  }
}
