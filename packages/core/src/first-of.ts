import { isSealbusError, SealbusError } from './errors.ts'
import type { RecipientDirectory, RecipientKey } from './recipient.ts'

/**
 * One directory from several: the first that is not out of order says which key it is. Only an outage falls through to the
 * next; an empty set, one without a usable key and an unknown name are answers, which nobody else may overrule. Members are
 * closed by whoever made them.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION without any
 */
export function firstOf(...directories: readonly RecipientDirectory[]): RecipientDirectory {
  if (directories.length === 0) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`firstOf` needs a directory')
  /** By member, the names whose keys it could not say when last asked: nobody waits for it then, who can have the next one's. */
  const out = new Map(directories.map((directory) => [directory, new Set<string>()]))
  const probed = new Set<string>()

  /** Asks a member again that was out of order, while others serve. */
  const probe = (directory: RecipientDirectory, name: string): void => {
    if (probed.has(name)) return
    probed.add(name)
    directory.resolve(name).then(() => out.get(directory)?.delete(name), () => {}).finally(() => probed.delete(name))
  }

  return {
    peek(name): RecipientKey | undefined {
      let outage: unknown
      for (const directory of directories) {
        try {
          const key = directory.peek(name)
          if (key || !out.get(directory)?.has(name)) return key
          probe(directory, name)
        } catch (error) {
          if (!isOutage(error)) throw error
          out.get(directory)?.add(name)
          outage ??= error
        }
      }
      if (outage === undefined) return undefined
      throw outage
    },
    async resolve(name, options): Promise<RecipientKey> {
      let outage: unknown
      for (const directory of directories) {
        try {
          const key = await directory.resolve(name, options)
          out.get(directory)?.delete(name)
          return key
        } catch (error) {
          if (!isOutage(error) || options?.signal?.aborted) throw error
          out.get(directory)?.add(name)
          outage ??= error
        }
      }
      throw outage
    },
    keepWarm(names): void {
      for (const directory of directories) directory.keepWarm?.(names)
    },
    revocationMs: () => Math.max(...directories.map((directory) => directory.revocationMs?.() ?? Infinity)),
  }
}

const isOutage = (error: unknown): boolean => isSealbusError(error) && error.code === 'ERR_SEALBUS_DIRECTORY_UNAVAILABLE'
