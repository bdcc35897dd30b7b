import { lstat, readFile, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { createJwksHandler, type Identity, loadIdentities } from '@sealbus/core'
import { isJsonObject, type Json, type JsonObject, parseJson, parseKeySet, selectKey } from '@sealbus/core/tools'
import writeFileAtomic from 'write-file-atomic'
import { codeOf, Refusal } from '../refusal.ts'
import type { KeyEntry, KeyState } from './life-cycle.ts'
import { locked } from './lock.ts'

/** A private JWK Set, as `loadIdentities` takes it. Whoever shows an entry shows private members: see `key-view.ts`. */
export interface KeyFile {
  readonly entries: readonly KeyEntry[]
  /** The checked keys of these entries; a tombstone has none. */
  identityOf(kid: string): Identity | undefined
  /** What is published of them: public members of active keys. */
  readonly published: string
  /** The key that sealers choose of those. */
  readonly sealedFor: string | undefined
}

/** @throws Refusal, ERR_SEALBUS_INVALID_KEY */
export async function readKeyFile(path: string): Promise<KeyFile> {
  const text = await readText(path)
  if (text === undefined) throw new Refusal(`there is no file ${path}`)
  return (await parse(text)).file
}

/**
 * Changes a file so that it is never half written, and that no other run's change is lost. `create`: it may be missing.
 *
 * @throws Refusal, ERR_SEALBUS_INVALID_KEY
 */
export async function changeKeyFile(path: string, change: (file: KeyFile) => readonly KeyEntry[], { create = false }: { readonly create?: boolean } = {}): Promise<{ before: KeyFile; after: KeyFile }> {
  const target = await resolved(path)
  return locked(target, async () => {
    const text = await readText(target)
    if (text === undefined && !create) throw new Refusal(`there is no file ${path}`)
    const { file: before, rest } = await parse(text ?? '{"keys":[]}')
    // Checked as a service would read it, before it is written.
    const { file: after } = await parse(JSON.stringify({ ...rest, keys: change(before) }))
    if ((await readText(target)) !== text) throw new Refusal(`something else than sealbus changed ${path} meanwhile; nothing was written`)
    try {
      await writeFileAtomic(target, `${JSON.stringify({ ...rest, keys: after.entries }, undefined, 2)}\n`, { mode: 0o600 })
    } catch (error) {
      throw new Refusal(`${path} cannot be written (${codeOf(error)})`)
    }
    return { before, after }
  })
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new Refusal(`${path} cannot be read (${codeOf(error)})`)
  }
}

/** One file has one lock, whatever it is called. */
async function resolved(path: string): Promise<string> {
  try {
    const link = await lstat(path).catch(() => undefined)
    return link ? await realpath(path) : join(await realpath(dirname(path)), basename(path))
  } catch (error) {
    throw new Refusal(`${path} cannot be opened (${codeOf(error)})`)
  }
}

async function parse(text: string): Promise<{ file: KeyFile; rest: JsonObject }> {
  const document = parseJson(text)
  if (!isJsonObject(document) || !Array.isArray(document['keys'])) throw new Refusal('the file is no JWK Set: strict JSON with a `keys` array')
  const { keys, ...rest } = document as JsonObject & { keys: readonly Json[] }
  const identities = await loadIdentities({ keys: keys as never })
  const unnamed = identities.list()[Symbol.iterator]()
  const entries = keys.map((each): KeyEntry => {
    const entry = each as JsonObject & { kid?: string; state?: KeyState }
    const state = entry.state ?? 'active'
    // Its thumbprint, where it has no kid: identities are in the order of the document.
    const kid = state === 'destroyed' ? entry.kid : unnamed.next().value?.kid
    return { ...entry, kid: kid ?? '', state }
  })
  const published = await createJwksHandler(identities).fetch(new Request('http://localhost/')).text()
  const set = parseKeySet(Buffer.from(published))
  const file: KeyFile = {
    entries,
    identityOf: (kid) => identities.list().find((identity) => identity.kid === kid),
    published,
    sealedFor: typeof set === 'string' ? undefined : selectKey(set.keys, Date.now())?.kid,
  }
  return { file, rest }
}
