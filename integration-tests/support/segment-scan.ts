import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CanarySearch } from './canary-search.ts'

export interface FileFinding {
  file: string
  canary: Buffer
}

export interface FileSearch {
  findings: FileFinding[]
  /** How much was looked through. */
  bytes: number
}

/** Which canaries lie in the files of a broker's data directory. Compressed data hides them. */
export async function findInFiles(dir: string, canaries: readonly Buffer[]): Promise<FileFinding[]> {
  return (await searchFiles(dir, canaries)).findings
}

/** The same, and how much there was to look through. */
export async function searchFiles(dir: string, canaries: readonly Buffer[]): Promise<FileSearch> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  const result: FileSearch = { findings: [], bytes: 0 }
  for (const entry of entries.filter((entry) => entry.isFile())) {
    const file = join(entry.parentPath, entry.name)
    const { found, bytes } = await searchFile(file, canaries)
    result.findings.push(...found.map((canary) => ({ file, canary })))
    result.bytes += bytes
  }
  return result
}

async function searchFile(file: string, canaries: readonly Buffer[]): Promise<{ found: Buffer[]; bytes: number }> {
  const search = new CanarySearch(canaries)
  const found: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      found.push(...search.push(chunk))
    }
  } catch (error) {
    // A running broker rolls and deletes files while they are read.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return { found, bytes }
}
