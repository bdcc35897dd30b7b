import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type ChannelDeclarations, type Channels, createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities, type Opener, type Sealer } from '@sealbus/core'
import type { JWK } from 'jose'

export interface Service {
  readonly name: string
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

/** A channel for each number of recipients, named `to-N`, and a reader whose entry stands in the middle of each. */
export interface Setting {
  readonly channels: Channels
  readonly sealer: Sealer
  readonly perMessage: Sealer
  readonly recipients: (count: number) => readonly Service[]
  /** The recipient that opens: in the middle, so that who tries the entries in turn has tried half of them. */
  readonly reader: (count: number) => Service
  readonly opener: (count: number) => Opener
}

export async function createSetting(counts: readonly number[]): Promise<Setting> {
  const services = Array.from({ length: Math.max(...counts) }, (_, index) => ({ name: `service-${index}`, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) }))
  const recipients = (count: number): readonly Service[] => services.slice(0, count)
  const directory = createStaticDirectory(Object.fromEntries(services.map(({ name, publicKey }) => [name, { ...jwk(publicKey), kid: name }])))
  const channels = defineChannels(Object.fromEntries(counts.map((count) => [`to-${count}`, { to: recipients(count).map(({ name }) => name) }])))
  const reader = (count: number): Service => services[Math.floor((count - 1) / 2)] as Service
  const openers = new Map<number, Opener>()
  for (const count of counts) {
    const { name, privateKey } = reader(count)
    openers.set(count, createOpener({ name, identities: await loadIdentities({ keys: [{ ...jwk(privateKey), kid: name }] }), channels }))
  }
  return {
    channels,
    sealer: createSealer({ directory, channels }),
    perMessage: createSealer({ directory, channels, contentKeys: 'per-message' }),
    recipients,
    reader,
    opener: (count) => openers.get(count) as Opener,
  }
}

/** A service that seals and one that opens, `billing`, for the benches with a broker. */
export interface Pair {
  readonly sealer: Sealer
  /** One that has unwrapped nothing yet, as a consumer that starts. */
  readonly createOpener: () => Promise<Opener>
  readonly publicKey: KeyObject
}

export async function createPair(declarations: ChannelDeclarations): Promise<Pair> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const channels = defineChannels(declarations)
  const sealer = createSealer({ directory: createStaticDirectory({ billing: { ...jwk(publicKey), kid: 'billing' } }), channels })
  await sealer.ready()
  return {
    sealer,
    createOpener: async () => createOpener({ name: 'billing', identities: await loadIdentities({ keys: [{ ...jwk(privateKey), kid: 'billing' }] }), channels }),
    publicKey,
  }
}

const jwk = (key: KeyObject): JWK => key.export({ format: 'jwk' })
