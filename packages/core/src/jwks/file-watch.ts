import { type StatsListener, unwatchFile, watchFile } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { FetchResult } from './fetch.ts'
import { DIRECTORY_LIMITS } from './limits.ts'

/** The bytes of a key file, not more than so many. */
export async function readKeyFile(path: string, maxBytes: number): Promise<FetchResult> {
  let file: FileHandle | undefined
  try {
    file = await open(path)
    const buffer = Buffer.alloc(maxBytes + 1)
    let size = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, size, buffer.length - size)
      size += bytesRead
      if (size > maxBytes) return { kind: 'unavailable', reason: `is longer than ${maxBytes} bytes`, passing: false }
      if (bytesRead === 0) return { kind: 'set', body: Buffer.from(buffer.subarray(0, size)), validators: {}, freshMs: undefined }
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    return { kind: 'unavailable', reason: `cannot be read (${code})`, passing: true }
  } finally {
    await file?.close()
  }
}

/**
 * Calls when a file has changed, appeared or gone; returns what ends it. By looking at it now and then, which also sees
 * the swapped links of a Kubernetes ConfigMap and files on a network, where events of the file system do not come.
 */
export function watchKeyFile(path: string, changed: () => void): () => void {
  const listener: StatsListener = (now, before) => {
    if (now.mtimeMs !== before.mtimeMs || now.ino !== before.ino || now.size !== before.size) changed()
  }
  watchFile(path, { interval: DIRECTORY_LIMITS.fileWatchMs, persistent: false }, listener)
  return () => unwatchFile(path, listener)
}
