import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Clock } from '../../src/clock.ts'

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A real key endpoint on loopback whose answer a test can change, and which counts its requests. */
export interface Endpoint {
  readonly url: string
  readonly requests: IncomingMessage[]
  answer: Answer
}

export async function startEndpoint(answer: Answer): Promise<Endpoint> {
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    endpoint.answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint: Endpoint = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`, requests, answer }
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return endpoint
}

export const json = (value: unknown, headers: Record<string, string> = {}): Answer => (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/jwk-set+json', ...headers }).end(JSON.stringify(value))
}

export const status = (code: number, headers: Record<string, string> = {}): Answer => (_request, response) => void response.writeHead(code, headers).end()

/** A clock that moves only when told. */
export function testClock(): Clock & { advance(ms: number): void; step(ms: number): void } {
  let monotonic = 0
  let wall = Date.UTC(2026, 0, 1)
  return {
    monotonic: () => monotonic,
    wall: () => wall,
    advance(ms): void {
      monotonic += ms
      wall += ms
    },
    step(ms): void {
      wall += ms
    },
  }
}
