import type { JWK } from 'jose'
import { SealbusError } from './errors.ts'
import { readKeys, type SetKey } from './jwks/parse.ts'
import { selectKey } from './jwks/select.ts'
import type { RecipientDirectory } from './recipient.ts'

/**
 * A directory of keys that are given: one public JWK, or a JWK Set, per recipient. The same checks as for fetched sets.
 *
 * @throws ERR_SEALBUS_NO_USABLE_KEY at construction, when a recipient has none
 */
export function createStaticDirectory(recipients: Readonly<Record<string, JWK | { readonly keys: readonly JWK[] }>>): RecipientDirectory {
  const sets = new Map(Object.entries(recipients).map(([name, given]) => [name, readSet(name, given)]))
  const peek = (name: string): SetKey => {
    const keys = sets.get(name)
    if (!keys) throw new SealbusError('ERR_SEALBUS_UNKNOWN_RECIPIENT', `the directory has no recipient ${JSON.stringify(name)}`)
    const key = selectKey(keys, Date.now())
    if (!key) throw new SealbusError('ERR_SEALBUS_NO_USABLE_KEY', `the key of recipient ${JSON.stringify(name)} is expired, or not valid yet`)
    return key
  }
  return { peek, resolve: async (name) => peek(name) }
}

function readSet(name: string, given: JWK | { readonly keys: readonly JWK[] }): readonly SetKey[] {
  const set = readKeys('keys' in given && Array.isArray(given.keys) ? given.keys : [given])
  if (typeof set === 'string' || set.keys.length === 0) {
    const reason = typeof set === 'string' ? set : (set.rejected[0]?.reason ?? 'it has no keys')
    throw new SealbusError('ERR_SEALBUS_NO_USABLE_KEY', `recipient ${JSON.stringify(name)} has no usable key: ${reason}`)
  }
  return set.keys
}
