import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CountedRequest {
  readonly at: number
  readonly status: number
}

/** Stands before a key endpoint, and counts. It takes Cache-Control away, so that the directory's own fresh time holds, which may be short. */
export interface CountedEndpoint {
  readonly url: string
  readonly requests: readonly CountedRequest[]
  close(): void
}

export async function startCountedEndpoint(target: string): Promise<CountedEndpoint> {
  const requests: CountedRequest[] = []
  const server = createServer((request, response) => {
    const at = Date.now()
    const condition = request.headers['if-none-match']
    const pass = async (): Promise<void> => {
      const answer = await fetch(target, { headers: condition === undefined ? {} : { 'if-none-match': condition } })
      const headers = Object.fromEntries([...answer.headers].filter(([name]) => name === 'etag' || name === 'content-type'))
      requests.push({ at, status: answer.status })
      response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()))
    }
    pass().catch(() => response.writeHead(502).end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
    requests,
    close(): void {
      server.closeAllConnections()
      server.close()
    },
  }
}
