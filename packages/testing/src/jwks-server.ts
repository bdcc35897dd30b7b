import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createJwksHandler, type IdentityStore, type JwksHandlerOptions } from '@sealbus/core'

/** Real key endpoints over HTTP, on 127.0.0.1 and a free port; a directory needs `allowInsecureLoopback` for them. */
export interface JwksServer {
  /** The endpoint of one service. @throws RangeError for a name that was not given; so do the methods below */
  url(name: string): string
  /** How many requests for its keys came in, answered or not. */
  requests(name: string): number
  /** From now on its keys are answered with an error. Default 503. */
  fail(name: string, status?: number): void
  /** From now on requests for its keys get no answer at all, until `restore` or `close`. */
  stall(name: string): void
  /** It answers again, and answers what waits. */
  restore(name: string): void
  /** Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

interface Endpoint {
  requests: number
  trouble: number | 'stall' | undefined
  readonly waiting: Set<() => void>
}

/** The server does not keep the process. `services` are names with their private keys, of which the public halves are published. */
export async function startJwksServer(services: Readonly<Record<string, Pick<IdentityStore, 'list'>>>, options: JwksHandlerOptions = {}): Promise<JwksServer> {
  const handlers = new Map(Object.entries(services).map(([name, identities]) => [name, createJwksHandler(identities, options)]))
  const endpoints = new Map<string, Endpoint>([...handlers.keys()].map((name) => [name, { requests: 0, trouble: undefined, waiting: new Set() }]))
  const endpoint = (name: string): Endpoint => {
    const known = endpoints.get(name)
    if (!known) throw new RangeError(`there are no keys of ${JSON.stringify(name)} here`)
    return known
  }

  const server = createServer((request, response) => {
    const name = nameIn(request.url)
    const handler = handlers.get(name)
    if (!handler) {
      response.writeHead(404).end()
      return
    }
    const known = endpoint(name)
    known.requests++
    const answer = (): void => {
      if (known.trouble === 'stall') known.waiting.add(answer)
      else if (known.trouble === undefined) handler(request, response)
      else response.writeHead(known.trouble, { 'cache-control': 'no-store' }).end()
    }
    answer()
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  server.unref()
  const { port } = server.address() as AddressInfo

  const close = async (): Promise<void> => {
    if (!server.listening) return
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }
  return {
    url(name): string {
      endpoint(name)
      return `http://127.0.0.1:${port}/${encodeURIComponent(name)}/jwks.json`
    },
    requests: (name) => endpoint(name).requests,
    fail(name, status = 503): void {
      endpoint(name).trouble = status
    },
    stall(name): void {
      endpoint(name).trouble = 'stall'
    },
    restore(name): void {
      const known = endpoint(name)
      known.trouble = undefined
      const waiting = [...known.waiting]
      known.waiting.clear()
      for (const answer of waiting) answer()
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function nameIn(url: string | undefined): string {
  try {
    return decodeURIComponent(/^\/([^/]+)\/jwks\.json$/.exec(url ?? '')?.[1] ?? '')
  } catch {
    return ''
  }
}
