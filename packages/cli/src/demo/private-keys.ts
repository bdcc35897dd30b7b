import { generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { type IdentityStore, loadIdentities } from '@sealbus/core'

type KeyState = 'pending' | 'active' | 'retiring'

/** A service's private keys, in memory, and what its operator does with them. */
export interface PrivateKeys {
  readonly identities: IdentityStore
  /** Makes a key. A pending one opens messages already, and is not published yet. */
  add(kid: string, state: KeyState): Promise<void>
  /** Publishes this key from now on, and no other. The others go on opening what was sealed for them. */
  publishOnly(kid: string): Promise<void>
}

export async function createPrivateKeys(kid: string): Promise<PrivateKeys> {
  const set: { keys: (JsonWebKey & { kid: string; state: KeyState })[] } = { keys: [] }
  const make = (kid: string, state: KeyState): void => {
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
    set.keys.push({ ...jwk, kid, state })
  }
  make(kid, 'active')
  const identities = await loadIdentities(set)
  const reload = async (): Promise<void> => identities.refresh?.()
  return {
    identities,
    async add(kid, state) {
      make(kid, state)
      await reload()
    },
    async publishOnly(kid) {
      for (const key of set.keys) key.state = key.kid === kid ? 'active' : 'retiring'
      await reload()
    },
  }
}
