import { isUtf8 } from 'node:buffer'
import { open } from 'node:fs/promises'
import type { JWK } from 'jose'
import { SealbusError } from './errors.ts'
import { invalid } from './identity-set.ts'
import { parseJson } from './json.ts'
import { LIMITS } from './limits.ts'

/** Where a private JWK Set is: a file's path, the set itself, or the name of an environment variable that holds it. */
export type IdentitySource = string | { readonly keys: readonly JWK[] } | { readonly env: string }

/** What a source holds at this moment. */
export interface SourceContent {
  readonly bytes: Buffer
  /** A file that can be read again, with its permissions; undefined for a variable, and for a pipe. */
  readonly file: { readonly mode: number } | undefined
}

/** @throws ERR_SEALBUS_KEY_UNAVAILABLE, ERR_SEALBUS_INVALID_KEY */
export async function readSource(source: string | { readonly env: string }): Promise<SourceContent> {
  return typeof source === 'string' ? readPath(source) : { bytes: readVariable(source.env), file: undefined }
}

/** The entries of a set, unchecked. @throws ERR_SEALBUS_INVALID_KEY */
export function entriesOf(bytes: Buffer): readonly unknown[] {
  if (bytes.length > LIMITS.identityFileBytes) throw invalid(`there are more than ${LIMITS.identityFileBytes} bytes`)
  return keysOf(isUtf8(bytes) ? parseJson(bytes.toString('utf8')) : undefined)
}

/** @throws ERR_SEALBUS_INVALID_KEY */
export function keysOf(document: unknown): readonly unknown[] {
  const keys: unknown = typeof document === 'object' && document !== null ? Reflect.get(document, 'keys') : undefined
  if (!Array.isArray(keys)) throw invalid('it is no JWK Set: there is no `keys` array')
  return keys
}

async function readPath(path: string): Promise<SourceContent> {
  const chunks: Buffer[] = []
  try {
    const handle = await open(path)
    try {
      const stat = await handle.stat()
      for await (const chunk of handle.createReadStream({ end: LIMITS.identityFileBytes, autoClose: false }) as AsyncIterable<Buffer>) chunks.push(chunk)
      return { bytes: Buffer.concat(chunks), file: stat.isFile() ? { mode: stat.mode } : undefined }
    } finally {
      await handle.close()
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', `the identities cannot be read from ${shown(path, FILE_NAME)} (${code})`)
  } finally {
    for (const chunk of chunks) chunk.fill(0)
  }
}

function readVariable(name: string): Buffer {
  const text = process.env[name]
  if (text === undefined) throw new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', `the environment variable ${shown(name, VARIABLE_NAME)} is not set`)
  return Buffer.from(text)
}

/** A caller may pass the keys themselves where a path or a variable's name belongs: only what cannot be keys is quoted. */
const FILE_NAME = /^[^{}"\r\n]+\.(json|jwks|jwk)$/i
const VARIABLE_NAME = /^[A-Z][A-Z0-9_]*$/

function shown(name: string, shape: RegExp): string {
  return shape.test(name) ? name : '(not shown, because it may hold keys)'
}
