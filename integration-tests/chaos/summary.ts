import { setTimeout as sleep } from 'node:timers/promises'

/** What a run shows, for whoever started it. */
export function print(title: string, lines: Readonly<Record<string, string>>): void {
  const width = Math.max(...Object.keys(lines).map((name) => name.length))
  console.log(`\n${title}\n${Object.entries(lines).map(([name, text]) => `  ${name.padEnd(width)}  ${text}`).join('\n')}\n`)
}

export const count = (number: number): string => number.toLocaleString('en')
export const megabytes = (bytes: number): string => `${count(Math.round(bytes / 1e6))} MB`

const PATIENCE_MS = 180_000

/** Waits for a condition; where it does not come, the error has what is known. */
export async function untilAs(what: string, condition: () => boolean | Promise<boolean>, known: () => unknown): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE_MS / 1_000} s: ${what}; ${JSON.stringify(known())}`)
    await sleep(20)
  }
}
