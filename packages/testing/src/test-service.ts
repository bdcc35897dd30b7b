import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { type Channels, createOpener, type IdentityStore, loadIdentities, type Opener, type OpenerOptions } from '@sealbus/core'
import type { JWK } from 'jose'

export type TestKeyType = 'P-256' | 'P-384' | 'P-521' | 'X25519' | 'RSA'

export interface TestServiceOptions {
  /** What kind of key it has, and gets by rotation. Default `P-256`; `RSA` has 2,048 bits. */
  readonly key?: TestKeyType
}

/** A service with a private key of its own. */
export interface TestService {
  readonly name: string
  /** Its private keys, the retired ones included; follows rotations. Kids are `billing-1`, `billing-2`, and so on. */
  readonly identities: IdentityStore
  /** The public half of the key to seal for now. */
  publicJwk(): JWK
  /** Opens what was sealed for this service. */
  opener(channels: Channels, options?: Pick<OpenerOptions, 'realm'>): Opener
  /** Makes a new key, to be sealed for from now on; what was sealed for earlier ones still opens. Resolves to the new kid. */
  rotate(): Promise<string>
  /** Destroys a key: what was sealed for it never opens again. @throws RangeError for a kid that it does not have, or the one in use */
  destroy(kid: string): Promise<void>
}

const generate = promisify(generateKeyPair)

/** Makes a service with a fresh key: for tests only, because its keys are known to nobody else and kept nowhere. */
export async function createTestService(name: string, { key = 'P-256' }: TestServiceOptions = {}): Promise<TestService> {
  if (typeof name !== 'string' || name === '') throw new TypeError('a service has a name')
  let entries: (JWK & { kid: string; state?: string })[] = []
  let count = 0
  let current = await loadIdentities({ keys: [] })

  const use = async (next: typeof entries): Promise<void> => {
    current = await loadIdentities({ keys: next })
    entries = next
  }
  const rotate = async (): Promise<string> => {
    const kid = `${name}-${++count}`
    const jwk = (await generatePrivateKey(key)).export({ format: 'jwk' }) as JWK
    await use([...entries.map((each) => (each.state === 'active' ? { ...each, state: 'retiring' } : each)), { ...jwk, kid, state: 'active' }])
    return kid
  }
  const active = (): JWK & { kid: string } => {
    const found = current.list().find(({ state }) => state === 'active')
    if (!found) throw new Error(`${name} has no key in use`)
    return { ...found.publicJwk, kid: found.kid }
  }
  const identities: IdentityStore = { find: (kid) => current.find(kid), list: () => current.list() }
  await rotate()

  return {
    name,
    identities,
    publicJwk: active,
    opener: (channels, options = {}) => createOpener({ name, identities, channels, ...options }),
    rotate,
    async destroy(kid): Promise<void> {
      if (kid === active().kid || !entries.some((each) => each.kid === kid)) throw new RangeError(`${name} has no retired key ${JSON.stringify(kid)}`)
      await use(entries.map((each) => (each.kid === kid ? { kid, state: 'destroyed', destroyed_at: new Date().toISOString() } as unknown as (typeof entries)[number] : each)))
    },
  }
}

async function generatePrivateKey(type: TestKeyType): Promise<KeyObject> {
  if (type === 'RSA') return (await generate('rsa', { modulusLength: 2048 })).privateKey
  if (type === 'X25519') return (await generate('x25519')).privateKey
  return (await generate('ec', { namedCurve: type })).privateKey
}
