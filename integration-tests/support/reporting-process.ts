import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** One of our scripts as a process of its own, to be killed; see `reporting.ts` for its side. */
export interface ReportingProcess {
  running(): boolean
  /** One command, as a line of JSON on its standard input. */
  tell(command: unknown): void
  /** Ends it, and resolves to its exit code or signal when its last line was read. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | NodeJS.Signals | null>
}

export interface ReportingProcessOptions<Report> {
  readonly script: URL
  /** Told in its one argument. */
  readonly assignment: unknown
  /** For what must not be seen in a list of processes. */
  readonly env?: NodeJS.ProcessEnv
  readonly onReport: (report: Report) => void
  /** Called once, after its last report, whoever ended it. */
  readonly onEnd?: (outcome: number | NodeJS.Signals | null) => void
}

/** What it wrote before a SIGKILL is read to the end. It ends when this process does, however that comes about. */
export function startReporting<Report>({ script, assignment, env = {}, onReport, onEnd }: ReportingProcessOptions<Report>): ReportingProcess {
  const child = spawn(process.execPath, ['--conditions=@sealbus/source', script.pathname, JSON.stringify(assignment)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  // Commands to one that has just ended are lost with it.
  child.stdin.on('error', () => {})
  createInterface(child.stdout).on('line', (line) => onReport(JSON.parse(line) as Report))
  const outcome = (): number | NodeJS.Signals | null => child.exitCode ?? child.signalCode
  const closed = once(child, 'close').then(() => onEnd?.(outcome()))
  return {
    running: () => outcome() === null,
    tell: (command) => void child.stdin.write(`${JSON.stringify(command)}\n`),
    async end(signal) {
      child.kill(signal)
      await closed
      return outcome()
    },
  }
}
