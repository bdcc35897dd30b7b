import { spawn } from 'node:child_process'
import { lines } from './lines.ts'

export interface LineProgram {
  /** Rejects with the program's refusal, or when it ends without an answer. */
  ask(question: object): Promise<Readonly<Record<string, unknown>>>
  end(): Promise<void>
}

/** The program answered that it could not. */
export class Refusal extends Error {}

/** A program that reads one JSON text per line and answers each with one, in order; `{"error":…}` is a refusal. */
export function startLineProgram(name: string, file: string, args: readonly string[]): LineProgram {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting: { answered: (line: string) => void; failed: (error: Error) => void }[] = []
  const ended = new Promise<void>((resolve) => {
    const end = (why: string): void => {
      for (const { failed } of waiting.splice(0)) failed(new Error(`${name} ended without an answer: ${why}`))
      resolve()
    }
    child.once('error', (error) => end(error.message))
    child.once('close', (code, signal) => end(`exit code ${code}, signal ${signal}`))
  })
  // A program that is gone is reported by `close`, with its exit code: not by the broken pipe.
  child.stdin.on('error', () => {})
  void (async () => {
    for await (const line of lines(child.stdout)) waiting.shift()?.answered(line)
  })()

  return {
    async ask(question) {
      const line = await new Promise<string>((answered, failed) => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${name} is not running`)
        waiting.push({ answered, failed })
        child.stdin.write(`${JSON.stringify(question)}\n`)
      })
      const answer = JSON.parse(line) as Readonly<Record<string, unknown>>
      const { error } = answer
      if (typeof error === 'string') throw new Refusal(`${name}: ${error}`)
      return answer
    },
    async end() {
      child.stdin.end()
      await ended
    },
  }
}
