import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CanarySearch } from './canary-search.ts'

export interface FileFinding {
  file: string
  canary: Buffer
}

/** Which canaries lie in the files of a broker's data directory. Compressed data hides them. */
export async function findInFiles(dir: string, canaries: readonly Buffer[]): Promise<FileFinding[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const findings: FileFinding[] = []
  for (const entry of entries.filter((entry) => entry.isFile())) {
    const file = join(entry.parentPath, entry.name)
    for (const canary of await findInFile(file, canaries)) findings.push({ file, canary })
  }
  return findings
}

async function findInFile(file: string, canaries: readonly Buffer[]): Promise<Buffer[]> {
  const search = new CanarySearch(canaries)
  const found: Buffer[] = []
  try {
    for await (const chunk of createReadStream(file)) found.push(...search.push(chunk as Buffer))
  } catch (error) {
    // A running broker rolls and deletes files while they are read.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return found
}
