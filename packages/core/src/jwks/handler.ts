import { hash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { JWK } from 'jose'
import { checkNames, one } from '../bounds.ts'
import type { IdentityStore } from '../identity.ts'

/** What clients are told about caching. */
export interface JwksHandlerOptions {
  /** What clients may cache, in seconds. Default 300; 0 to 86,400. A retired key goes on being used for up to this long. */
  readonly maxAgeSeconds?: number
  /** For how long clients may go on with what they have while this endpoint fails, in seconds. Default 3,600; 0 to 86,400. */
  readonly staleIfErrorSeconds?: number
}

/** For `node:http` and whatever passes its request and response on; `fetch` is the same for servers of Fetch API requests. */
export interface JwksHandler {
  (request: IncomingMessage, response: ServerResponse): void
  fetch(request: Pick<Request, 'method' | 'headers'>): Response
}

const OPTIONS: Record<keyof JwksHandlerOptions, true> = { maxAgeSeconds: true, staleIfErrorSeconds: true }
const DAY = 86_400

/**
 * Publishes the public halves of the active identities as a JWK Set (RFC 7517). Mounts as it is in `node:http` and Express,
 * and in Fastify with the raw request and response. The set is made at each request, so that a retired key is gone at once;
 * when the store fails, the answer is 503, and never an empty set (which would be a revocation).
 *
 * @throws ERR_SEALBUS_INVALID_OPTION
 */
export function createJwksHandler(identities: Pick<IdentityStore, 'list'>, options: JwksHandlerOptions = {}): JwksHandler {
  checkNames('a JWKS handler', OPTIONS, options)
  const maxAge = one('maxAgeSeconds', { default: 300, least: 0, most: DAY }, options.maxAgeSeconds)
  const staleIfError = one('staleIfErrorSeconds', { default: 3_600, least: 0, most: DAY }, options.staleIfErrorSeconds)
  const cacheControl = `public, max-age=${maxAge}, stale-if-error=${staleIfError}`

  const answer = (method: string | undefined, ifNoneMatch: string | null | undefined): Answer => {
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, headers: { allow: 'GET, HEAD' } }
    const body = bodyOf(identities)
    if (body === undefined) return { status: 503, headers: { 'cache-control': 'no-store' } }
    const etag = `"${hash('sha256', body, 'base64url')}"`
    const headers = { etag, 'cache-control': cacheControl }
    if (matches(ifNoneMatch, etag)) return { status: 304, headers }
    const size = String(Buffer.byteLength(body))
    return { status: 200, headers: { ...headers, 'content-type': 'application/jwk-set+json', 'content-length': size }, ...(method === 'GET' && { body }) }
  }

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const { status, headers, body } = answer(request.method, request.headers['if-none-match'])
    response.writeHead(status, headers).end(body)
  }
  const fetch: JwksHandler['fetch'] = (request) => {
    const { status, headers, body = null } = answer(request.method, request.headers.get('if-none-match'))
    return new Response(body, { status, headers })
  }
  return Object.assign(handle, { fetch })
}

interface Answer {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body?: string
}

/** The set as it is at this moment; undefined when the store fails, also at only one of its keys. */
function bodyOf(identities: Pick<IdentityStore, 'list'>): string | undefined {
  try {
    const keys = identities.list().filter(({ state }) => state === 'active').map(({ publicJwk, kid, alg }) => ({ ...publicMembers(publicJwk), kid, alg, use: 'enc' }))
    return JSON.stringify({ keys })
  } catch {
    return undefined
  }
}

/** The public members by name (RFC 7518 §6, RFC 8037 §2): what is not listed cannot get out. */
const PUBLIC_MEMBERS: ReadonlyMap<string | undefined, readonly string[]> = new Map([
  ['EC', ['crv', 'x', 'y']],
  ['OKP', ['crv', 'x']],
  ['RSA', ['n', 'e']],
])

/** Throws for what is no public key: without it, the set would be another one. */
function publicMembers(jwk: JWK): Record<string, string> {
  const members = PUBLIC_MEMBERS.get(jwk.kty)
  if (!members) throw new Error('another type of key')
  const text = (member: string): string => {
    const value: unknown = Reflect.get(jwk, member)
    if (typeof value !== 'string') throw new Error('no text')
    return value
  }
  return Object.fromEntries([['kty', text('kty')], ...members.map((member) => [member, text(member)] as const)])
}

/** RFC 9110 §13.1.2: a list, and weak comparison. */
function matches(header: string | null | undefined, etag: string): boolean {
  return typeof header === 'string' && header.split(',').some((each) => each.trim() === '*' || each.trim().replace(/^W\//, '') === etag)
}
