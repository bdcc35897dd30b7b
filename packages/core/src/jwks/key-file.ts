import type { Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import type { FetchResult } from './fetch.ts'
import { DIRECTORY_LIMITS } from './limits.ts'

/** The bytes of a key file, not more than so many, with its version as the ETag. */
export async function readKeyFile(path: string, maxBytes: number): Promise<FetchResult> {
  let file: FileHandle | undefined
  try {
    file = await open(path)
    // Looked at before it is read: what is written meanwhile is another version.
    const etag = versionOf(await file.stat())
    const buffer = Buffer.alloc(maxBytes + 1)
    let size = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, size, buffer.length - size)
      size += bytesRead
      if (size > maxBytes) return { kind: 'unavailable', reason: `is longer than ${maxBytes} bytes`, passing: false }
      if (bytesRead === 0) return { kind: 'set', body: Buffer.from(buffer.subarray(0, size)), validators: { etag }, freshMs: undefined }
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    return { kind: 'unavailable', reason: `cannot be read (${code})`, passing: true }
  } finally {
    await file?.close()
  }
}

/**
 * Calls when a file is of another version than the one that was read, has come or gone; returns what ends it. By looking at it now and
 * then, which also sees the swapped links of a Kubernetes ConfigMap and files on a network, where events of the file system do not come.
 */
export function watchKeyFile(path: string, read: string | undefined, changed: () => void): () => void {
  let seen = read ?? NO_FILE
  const look = async (): Promise<void> => {
    const version = await stat(path).then(versionOf, () => NO_FILE)
    if (version === seen) return
    seen = version
    changed()
  }
  const timer = setInterval(() => void look(), DIRECTORY_LIMITS.fileWatchMs).unref()
  return () => clearInterval(timer)
}

const NO_FILE = 'none'
const versionOf = ({ ino, size, mtimeMs, ctimeMs }: Stats): string => `${ino}-${size}-${mtimeMs}-${ctimeMs}`
