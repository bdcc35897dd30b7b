import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createJwksHandler, type IdentityStore } from '@sealbus/core'

/** One answered request for a service's public keys. */
export interface KeyFetch {
  readonly service: string
  readonly status: number
}

/** Where services publish their public keys: real HTTP, on a free port of the loopback interface. */
export interface KeyEndpoint {
  readonly fetches: readonly KeyFetch[]
  urlOf(service: string): string
  close(): void
}

export async function startKeyEndpoint(services: Readonly<Record<string, Pick<IdentityStore, 'list'>>>): Promise<KeyEndpoint> {
  const fetches: KeyFetch[] = []
  const handlers = new Map(Object.entries(services).map(([service, identities]) => [`/${service}/jwks.json`, { service, handle: createJwksHandler(identities) }]))
  const server = createServer((request, response) => {
    const published = handlers.get(request.url ?? '')
    if (!published) {
      response.writeHead(404).end()
      return
    }
    response.once('finish', () => fetches.push({ service: published.service, status: response.statusCode }))
    published.handle(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    fetches,
    urlOf: (service) => `http://127.0.0.1:${port}/${service}/jwks.json`,
    close(): void {
      server.close()
      server.closeAllConnections()
    },
  }
}
