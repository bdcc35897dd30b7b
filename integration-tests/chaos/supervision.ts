import { type ReportingProcess, startReporting, type ReportingProcessOptions } from '../support/reporting-process.ts'

/** A service whose process is started again whenever it ends, as an orchestrator does. */
export interface SupervisedProcess {
  /** How many there were, this one included. */
  readonly processes: number
  /** SIGKILL; the next process starts at once. */
  kill(): Promise<void>
  /** SIGKILL, for good. */
  stop(): Promise<void>
}

export function supervise<Report>(options: Omit<ReportingProcessOptions<Report>, 'onEnd'> & { onEnd?: () => void }): SupervisedProcess {
  const { onEnd, ...rest } = options
  let processes = 0
  let stopping = false
  let child: ReportingProcess
  const start = (): void => {
    processes++
    child = startReporting({
      ...rest,
      onEnd(): void {
        onEnd?.()
        if (!stopping) start()
      },
    })
  }
  start()
  return {
    get processes() {
      return processes
    },
    kill: async () => void (await child.end('SIGKILL')),
    async stop(): Promise<void> {
      stopping = true
      await child.end('SIGKILL')
    },
  }
}
