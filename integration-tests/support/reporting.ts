/** The side of a script that `startReporting` runs. */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** What the script was told to do. */
export const assignment = (): unknown => JSON.parse(process.argv[2] ?? '{}')

/** Writes one line at once: what was written survives a SIGKILL. */
export function report(what: object): void {
  const line = Buffer.from(`${JSON.stringify(what)}\n`)
  for (let written = 0; written < line.length; ) written += writeSync(1, line, written)
}

/** Calls `onCommand` for each command. The script ends when whoever started it has. */
export function listen(onCommand: (command: unknown) => void = () => {}): void {
  createInterface(process.stdin).on('line', (line) => onCommand(JSON.parse(line)))
  process.stdin.once('close', () => process.exit(1))
}
