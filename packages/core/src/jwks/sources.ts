import { abortable } from '../abortable.ts'
import { isSealbusError, SealbusError } from '../errors.ts'
import { checkRegistry, checkSource, type RecipientSource, type RegistrySource, type Source, type SourceRules } from './source.ts'

/** A recipient's name to where its keys are; undefined: there is no such recipient. It does no network calls to where names lead by itself. */
export type SourceFunction = (name: string, context: { readonly signal: AbortSignal }) => RecipientSource | undefined | Promise<RecipientSource | undefined>

/** Which source has a recipient's keys. A source is known by a name of its own: its recipient's, or `registry`. */
export interface Sources {
  /** Those that are known from the start. */
  readonly declared: readonly string[] | undefined
  /** Of the source that would have this recipient. */
  sourceName(recipient: string): string
  /** False: there is no such recipient, and no source need be asked. */
  mayHave(recipient: string): boolean
  /** @throws SealbusError when it cannot be told, or is not permitted */
  find(sourceName: string, signal: AbortSignal): Promise<Source | undefined>
  /** The longest `maxStaleMs`: of a function's sources, of those that it has named so far. */
  longestStaleMs(): number
}

export const REGISTRY = 'registry'

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function createSources(recipients: Readonly<Record<string, RecipientSource>> | SourceFunction | undefined, registry: RegistrySource | undefined, rules: SourceRules): Sources {
  if ((recipients === undefined) === (registry === undefined)) throw invalid('a directory has either `recipients` or a `registry`')
  if (registry !== undefined) {
    const source = checkRegistry(registry, rules)
    return { declared: [REGISTRY], sourceName: () => REGISTRY, mayHave: () => true, find: async () => source, longestStaleMs: () => source.maxStaleMs }
  }
  if (typeof recipients === 'function') {
    // What a function makes of a name must not reach any host: without a list there is none.
    const strict = { ...rules, hosts: rules.hosts ?? [] }
    let longest = 0
    return {
      declared: undefined,
      sourceName: (recipient) => recipient,
      mayHave: () => true,
      async find(name, signal): Promise<Source | undefined> {
        const source = await ask(recipients, name, signal, strict)
        longest = Math.max(longest, source?.maxStaleMs ?? 0)
        return source
      },
      longestStaleMs: () => longest,
    }
  }
  if (typeof recipients !== 'object' || recipients === null) throw invalid('`recipients` are sources by name, or a function')
  const known = new Map(Object.entries(recipients).map(([name, given]) => [name, checkSource(name, given, rules)]))
  return {
    declared: [...known.keys()],
    sourceName: (recipient) => recipient,
    mayHave: (recipient) => known.has(recipient),
    find: async (name) => known.get(name),
    longestStaleMs: () => Math.max(0, ...[...known.values()].map((source) => source.maxStaleMs)),
  }
}

async function ask(recipients: SourceFunction, name: string, signal: AbortSignal, rules: SourceRules): Promise<Source | undefined> {
  const unavailable = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', `the source of ${JSON.stringify(name)} is not known: the function that names it ${reason}`)
  let given: RecipientSource | undefined
  try {
    given = await abortable((async () => recipients(name, { signal }))(), signal, () => unavailable('did not answer in time'))
  } catch (error) {
    // What it throws may hold anything.
    throw isSealbusError(error) ? error : unavailable('failed')
  }
  return given === undefined ? undefined : checkSource(name, given, rules)
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
