import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { generateKeyPairSync } from 'node:crypto'
import { type Channels, createJwksDirectory, createJwksHandler, createOpener, createSealer, type Identity, type IdentityStore, type JwksDirectory, loadIdentities, type Opener, type OpenerOptions, type Sealer, type SealerOptions } from '@sealbus/core'

/** A service with a private key of its own, whose public half it publishes over HTTP. */
export interface Service {
  readonly name: string
  readonly identities: IdentityStore
  /** Its private JWK Set, as text: for a process of its own. */
  readonly privateJwks: string
  readonly url: string
  opener(channels: Channels, options?: Partial<OpenerOptions>): Opener
}

export interface Services {
  readonly directory: JwksDirectory
  readonly all: Readonly<Record<string, Service>>
  named(name: string): Service
  sealer(channels: Channels, options?: Partial<SealerOptions>): Promise<Sealer>
  close(): void
}

/** Starts services with fresh keys and one real key endpoint. */
export async function startServices(...names: readonly string[]): Promise<Services> {
  const keys = new Map<string, { identities: IdentityStore; privateJwks: string }>()
  for (const name of names) {
    const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
    const set = { keys: [{ ...jwk, kid: `${name}-1` }] }
    keys.set(name, { identities: await loadIdentities(set), privateJwks: JSON.stringify(set) })
  }
  const server = createServer((request, response) => {
    const found = keys.get((request.url ?? '').slice(1))
    if (found) createJwksHandler(found.identities)(request, response)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.unref()
  const { port } = server.address() as AddressInfo
  const all = Object.fromEntries(
    [...keys].map(([name, { identities, privateJwks }]) => {
      const url = `http://127.0.0.1:${port}/${name}`
      const opener: Service['opener'] = (channels, options = {}) => createOpener({ name, identities, channels, ...options })
      return [name, { name, identities, privateJwks, url, opener }]
    }),
  )
  const directory = createJwksDirectory({ recipients: Object.fromEntries(Object.values(all).map(({ name, url }) => [name, url])), allowInsecureLoopback: true })
  return {
    directory,
    all,
    named(name): Service {
      const service = all[name]
      if (!service) throw new Error(`no service ${name}`)
      return service
    },
    async sealer(channels, options = {}): Promise<Sealer> {
      const sealer = createSealer({ directory, channels, ...options })
      await sealer.ready()
      return sealer
    },
    close(): void {
      directory.close()
      server.closeAllConnections()
      server.close()
    },
  }
}

/** The identities of a service behind a key source that a test switches off and on, as a KMS would be. */
export function remoteIdentities({ identities }: Service): IdentityStore & { available: boolean; calls: number } {
  const remote = (identity: Identity): Identity => ({
    ...identity,
    async unwrap(request): Promise<Buffer | null> {
      source.calls++
      if (!source.available) throw new Error('the key source is down')
      return identity.unwrap(request)
    },
  })
  const list = identities.list().map(remote)
  const source = {
    available: true,
    calls: 0,
    find: (kid: string) => list.find((identity) => identity.kid === kid || identity.thumbprint === kid),
    list: () => list,
  }
  return source
}
