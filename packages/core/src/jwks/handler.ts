import { hash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { JWK } from 'jose'
import type { IdentityStore } from '../identity.ts'

export interface JwksHandlerOptions {
  /** What clients may cache, in seconds. Default 300. A retired key goes on being used for up to this long. */
  readonly maxAgeSeconds?: number
}

/**
 * Publishes the public halves of the active identities as a JWK Set (RFC 7517). For `node:http`; mounts as it is in
 * Express, and in Fastify with the raw request and response. The set is made at each request, so that a retired key
 * is gone at once; when the store fails, the answer is 503, and never an empty set (which would be a revocation).
 */
export function createJwksHandler(identities: Pick<IdentityStore, 'list'>, { maxAgeSeconds = 300 }: JwksHandlerOptions = {}): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end()
      return
    }
    const body = bodyOf(identities)
    if (body === undefined) {
      response.writeHead(503, { 'cache-control': 'no-store' }).end()
      return
    }
    const etag = `"${hash('sha256', body, 'base64url')}"`
    const headers = { etag, 'cache-control': `public, max-age=${maxAgeSeconds}, stale-if-error=3600` }
    if (matches(request.headers['if-none-match'], etag)) {
      response.writeHead(304, headers).end()
      return
    }
    response.writeHead(200, { ...headers, 'content-type': 'application/jwk-set+json', 'content-length': Buffer.byteLength(body) })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
}

function bodyOf(identities: Pick<IdentityStore, 'list'>): string | undefined {
  try {
    const keys = identities.list().filter(({ state }) => state === 'active').map(({ publicJwk, kid, alg }) => ({ ...publicMembers(publicJwk), kid, alg, use: 'enc' }))
    return JSON.stringify({ keys })
  } catch {
    return undefined
  }
}

/** The public members by name: what is not listed cannot get out. */
function publicMembers({ kty, crv, x, y, n, e }: JWK): JWK {
  if (kty === 'RSA') return { kty, ...(n !== undefined && { n }), ...(e !== undefined && { e }) }
  return { ...(kty !== undefined && { kty }), ...(crv !== undefined && { crv }), ...(x !== undefined && { x }), ...(kty === 'EC' && y !== undefined && { y }) }
}

/** RFC 9110 §13.1.2: a list, and weak comparison. */
function matches(header: string | undefined, etag: string): boolean {
  return header !== undefined && header.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === etag)
}
