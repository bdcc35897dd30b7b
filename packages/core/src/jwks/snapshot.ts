import { hash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import writeFileAtomic from 'write-file-atomic'
import type { Validators } from './fetch.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import type { Place } from './source.ts'

/** The last good document of one source as it came, so that all checks can be made again. */
export interface StoredDocument {
  /** Of the URL or path: a document counts only for the place that it came from. */
  readonly place: string
  readonly body: string
  /** Epoch milliseconds of the last good answer. */
  readonly fetchedAt: number
  readonly freshMs: number
  readonly validators: Validators
}

/** The last good documents of a directory's sources, by recipient's name (or `registry`): JSON, for a file or any other store. */
export interface DirectorySnapshot {
  readonly version: 1
  readonly documents: Readonly<Record<string, StoredDocument>>
}

export interface SnapshotStore {
  /** What was stored for a source; waits for the file to be read. */
  find(name: string, place: Place): Promise<StoredDocument | undefined>
  put(name: string, place: Place, document: Omit<StoredDocument, 'place'>): void
  /** Waits for the file to be read, because it would bring the document back. */
  remove(name: string): Promise<void>
  /** Adds what is not there, or is older. @returns the names that were added */
  merge(snapshot: unknown): readonly string[]
  /** Ends the pause between two writes, so that what is not written yet is written now. */
  close(): void
  /** Resolves when nothing is being written. */
  settled(): Promise<void>
}

export interface SnapshotOptions {
  readonly path: string | undefined
  readonly entries: number
  readonly failed: (reason: string) => void
}

/** Of a URL whose query may hold a token, too: it is not written down. */
export const placeName = (place: Place): string => hash('sha256', place.kind === 'url' ? `url ${place.url}` : place.kind === 'file' ? `file ${place.path}` : 'given', 'base64url')

/** Keeps the last good documents in a file: whoever can write to it decides as much as the sources do, which is why pins and signatures are checked again. */
export function createSnapshotStore({ path, entries, failed }: SnapshotOptions): SnapshotStore {
  const documents = new LRUCache<string, StoredDocument>({ max: entries })
  const closing = new AbortController()
  let dirty = false
  let writing: Promise<void> | undefined

  const merge = (snapshot: unknown): string[] => {
    const added: string[] = []
    for (const [name, document] of Object.entries(documentsOf(snapshot))) {
      const known = documents.peek(name)
      if (!isStored(document) || (known && known.fetchedAt >= document.fetchedAt)) continue
      documents.set(name, document)
      added.push(name)
    }
    return added
  }
  const reading = path === undefined ? Promise.resolve() : read(path).then((snapshot) => void merge(snapshot), (error: unknown) => {
    // There is none at the first start.
    if (codeOf(error) !== 'ENOENT') failed(`it cannot be read (${codeOf(error)})`)
  })

  const text = (): string => JSON.stringify({ version: 1, documents: Object.fromEntries([...documents.entries()].toReversed()) } satisfies DirectorySnapshot)
  const write = async (): Promise<void> => {
    // What the file holds of others must not be lost.
    await reading
    while (dirty && path !== undefined) {
      dirty = false
      try {
        await writeFileAtomic(path, text(), { mode: 0o600 })
      } catch (error) {
        failed(`it cannot be written (${codeOf(error)})`)
      }
      // Closing ends the wait, and what is left is written.
      await sleep(DIRECTORY_LIMITS.snapshotEveryMs, undefined, { ref: false, signal: closing.signal }).catch(() => {})
    }
    writing = undefined
  }
  const changed = (): void => {
    dirty = true
    writing ??= write()
  }

  return {
    async find(name, place): Promise<StoredDocument | undefined> {
      await reading
      const document = documents.get(name)
      return document?.place === placeName(place) ? document : undefined
    },
    put(name, place, document): void {
      if (path === undefined) return
      documents.set(name, { place: placeName(place), ...document })
      changed()
    },
    async remove(name): Promise<void> {
      await reading
      if (documents.delete(name) && path !== undefined) changed()
    },
    merge,
    close(): void {
      closing.abort()
    },
    async settled(): Promise<void> {
      await writing
    },
  }
}

async function read(path: string): Promise<unknown> {
  const { size } = await stat(path)
  if (size > DIRECTORY_LIMITS.snapshotBytes) throw Object.assign(new Error('too large'), { code: 'too large' })
  return JSON.parse(await readFile(path, 'utf8'))
}

function documentsOf(snapshot: unknown): object {
  const { version, documents } = (snapshot ?? {}) as { version?: unknown; documents?: unknown }
  return version === 1 && typeof documents === 'object' && documents !== null ? documents : {}
}

function isStored(document: unknown): document is StoredDocument {
  const { place, body, fetchedAt, freshMs, validators } = (document ?? {}) as Record<string, unknown>
  const { etag = '', lastModified = '' } = (validators ?? {}) as Record<string, unknown>
  return typeof place === 'string' && typeof body === 'string' && typeof etag === 'string' && typeof lastModified === 'string' && isTime(fetchedAt) && isTime(freshMs)
}

const isTime = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value) && value >= 0
const codeOf = (error: unknown): string => (error instanceof SyntaxError ? 'no JSON' : error instanceof Error && 'code' in error ? String(error.code) : 'unknown error')
