import { setTimeout as sleep } from 'node:timers/promises'

/** Slow brokers need seconds; by then something is lost. */
const PATIENCE_MS = 30_000

/** Waits until it is so, or no longer: whether it is so is for a check to say. */
export async function waitUntil(condition: () => boolean | Promise<boolean>, { signal, everyMs = 10 }: { readonly signal: AbortSignal; readonly everyMs?: number }): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !(await condition()) && performance.now() < deadline; ) await sleep(everyMs, undefined, { signal })
}
