import { lines } from './lines.ts'
import type { Opened, OpenTask, SealTask } from './peer.ts'

/** The other end of a line program, for libraries that run in Node. */
export interface Library {
  seal(task: SealTask): Promise<string>
  open(task: OpenTask): Promise<Opened>
}

/** Answers each line of standard input until it ends. */
export async function serveLines(library: Library): Promise<void> {
  for await (const line of lines(process.stdin)) {
    process.stdout.write(`${JSON.stringify(await answer(library, JSON.parse(line) as SealTask | OpenTask))}\n`)
  }
}

async function answer(library: Library, task: SealTask | OpenTask): Promise<object> {
  try {
    return task.task === 'seal' ? { jwe: await library.seal(task) } : await library.open(task)
  } catch (error) {
    return { error: String(error) }
  }
}
