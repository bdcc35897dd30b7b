import { open, readFile, unlink } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { codeOf, Refusal } from '../refusal.ts'

/** Holding it takes milliseconds: who has it for longer has died. */
const PATIENCE_MS = 10_000
const RETRY_MS = 50

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Runs a change while no other run changes the same file. A lock that was left behind is never taken over, because two
 * runs could both believe that they did; a signal waits until it is given back.
 */
export async function locked<Value>(path: string, change: () => Promise<Value>, patienceMs: number = PATIENCE_MS): Promise<Value> {
  const lock = `${path}.lock`
  let interrupted: NodeJS.Signals | undefined
  const later = (signal: NodeJS.Signals): void => void (interrupted = signal)
  for (const signal of SIGNALS) process.on(signal, later)
  try {
    await acquire(lock, Date.now() + patienceMs, () => interrupted !== undefined)
    try {
      return await change()
    } finally {
      await unlink(lock)
    }
  } finally {
    for (const signal of SIGNALS) process.off(signal, later)
    if (interrupted !== undefined) process.kill(process.pid, interrupted)
  }
}

async function acquire(lock: string, until: number, interrupted: () => boolean): Promise<void> {
  for (;;) {
    try {
      const handle = await open(lock, 'wx', 0o600)
      await handle.writeFile(`process ${process.pid} since ${new Date().toISOString()}`)
      await handle.close()
      return
    } catch (error) {
      const code = codeOf(error)
      if (code !== 'EEXIST') throw new Refusal(`${lock} cannot be made (${code})`)
    }
    if (interrupted()) throw new Refusal('it was interrupted, and nothing was changed')
    if (Date.now() > until) throw new Refusal(`another run of sealbus changes this file: ${lock} is held by ${await holder(lock)}. If there is none, remove the lock`)
    await sleep(RETRY_MS)
  }
}

async function holder(lock: string): Promise<string> {
  const text = await readFile(lock, 'utf8').catch(() => '')
  return /^process \d+ since [\d:.TZ-]+$/.test(text) ? text : 'somebody'
}
