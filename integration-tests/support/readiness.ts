import { setTimeout as sleep } from 'node:timers/promises'
import type { OwnedProcess } from './owned-processes.ts'

const TIMEOUT_MS = 90_000

/** Repeats `probe` until it succeeds; gives up when the process ends or takes too long. */
export async function untilReady(name: string, server: OwnedProcess, probe: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + TIMEOUT_MS
  for (;;) {
    if (!server.running()) throw new Error(`${name} ended while starting:\n${server.lastWords()}`)
    try {
      return await probe()
    } catch (cause) {
      if (Date.now() > deadline) throw new Error(`${name} is not ready:\n${server.lastWords()}`, { cause })
      await sleep(100)
    }
  }
}
