import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findExecutable } from './executables.ts'

/** A child process that never outlives this one. */
export interface OwnedProcess {
  readonly pid: number
  /** Resolves when it has ended, however that came about. */
  readonly exited: Promise<number | undefined>
  running(): boolean
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
  /** The end of what it printed, for error messages. */
  lastWords(): string
}

export interface OwnedDirectory {
  readonly path: string
  remove(): void
}

const children = new Set<ChildProcess>()
const directories = new Set<string>()

export function startOwned(
  command: string,
  args: readonly string[],
  { cwd, log, env = process.env }: { cwd: string; log: string; env?: NodeJS.ProcessEnv },
): OwnedProcess {
  const output = openSync(log, 'a')
  // On Linux the kernel ends the child even when this process is killed with SIGKILL.
  const guard = process.platform === 'linux' ? findExecutable('setpriv') : undefined
  const child =
    guard === undefined
      ? spawn(command, args, { cwd, env, stdio: ['ignore', output, output] })
      : spawn(guard, ['--pdeathsig', 'KILL', command, ...args], { cwd, env, stdio: ['ignore', output, output] })
  closeSync(output)
  children.add(child)
  const exited = new Promise<number | undefined>((resolve) => {
    const ended = (code?: number): void => {
      children.delete(child)
      resolve(code)
    }
    child.once('exit', (code) => ended(code ?? undefined))
    child.once('error', () => ended())
  })
  return {
    pid: child.pid ?? -1,
    exited,
    running: () => children.has(child),
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
    lastWords: () => readFileSync(log, 'utf8').trimEnd().split('\n').slice(-15).join('\n'),
  }
}

export function createOwnedDirectory(name: string): OwnedDirectory {
  const path = mkdtempSync(join(tmpdir(), `sealbus-${name}-`))
  directories.add(path)
  const release = removeWhenOwnerEnds(path)
  return {
    path,
    remove() {
      removeDirectory(path)
      directories.delete(path)
      release()
    },
  }
}

/** Also when this process is killed, or its exit is cut short: the other's standard input ends then. */
function removeWhenOwnerEnds(path: string): () => void {
  if (process.platform === 'win32') return () => {}
  // Its children may be at their end, and still write.
  const script = 'IFS= read -r path; read -r _; for _ in 1 2 3 4 5; do sleep 1; rm -rf -- "$path" && exit; done'
  const remover = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  remover.on('error', () => {})
  remover.stdin.on('error', () => {})
  remover.stdin.write(`${path}\n`)
  remover.unref()
  ;(remover.stdin as Socket).unref()
  return () => remover.kill('SIGKILL')
}

function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
}

function releaseAll(): void {
  for (const child of children) child.kill('SIGKILL')
  for (const path of directories) removeDirectory(path)
}

process.on('exit', releaseAll)

for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
  const release = (): void => {
    releaseAll()
    process.off(signal, release)
    // Where nobody else handles the signal it keeps its default effect.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
  }
  process.on(signal, release)
}
