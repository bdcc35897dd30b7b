import { isAddressRefused } from './address-refused.ts'
import type { Closing } from './closing.ts'
import { type Deadline, withDeadline } from './deadline.ts'
import { DIRECTORY_LIMITS } from './limits.ts'

export type Fetch = typeof globalThis.fetch

/** What the last answer said of its version; sent back, so that an unchanged set is not sent again (RFC 9110 §13). */
export interface Validators {
  readonly etag?: string
  readonly lastModified?: string
}

export interface FetchOptions {
  readonly fetch: Fetch
  /** Connect, headers and body together. */
  readonly timeoutMs: number
  readonly validators?: Validators | undefined
  /** Of the decoded body. Default 256 KiB. */
  readonly maxBytes?: number
  readonly closing?: Closing | undefined
}

/** Facts of an answer, for events and for whoever looks into an endpoint: never its body. */
export interface Answer {
  readonly status: number
  /** From the request to the end of the body. */
  readonly ms: number
  /** Decoded bytes of the body; absent when it was not read. */
  readonly bytes?: number
  /** Those that say something of the set: its type, version and fresh time. */
  readonly headers: Readonly<Record<string, string>>
}

/** What an endpoint answered. `unavailable` carries a reason in words: never the body, never another library's error. */
export type FetchResult = (
  | { readonly kind: 'set'; readonly body: Buffer; readonly validators: Validators; readonly freshMs: number | undefined }
  | { readonly kind: 'unchanged'; readonly freshMs: number | undefined }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'gone' }
  | Unavailable
) & { readonly answer?: Answer }

export interface Unavailable {
  readonly kind: 'unavailable'
  readonly reason: string
  /** Whether the next try may well find another answer: a connection, a 5xx, a 429. */
  readonly passing: boolean
  readonly retryAfterMs?: number
}

/** One GET of a JWK Set. The time-out covers the body, redirects are refused, and decoded bytes are capped. */
export function fetchKeySet(url: string, options: FetchOptions): Promise<FetchResult> {
  return withDeadline(options.timeoutMs, options.closing, (deadline) => get(url, options, deadline))
}

async function get(url: string, { fetch, timeoutMs, validators = {}, maxBytes = DIRECTORY_LIMITS.bodyBytes }: FetchOptions, deadline: Deadline): Promise<FetchResult> {
  const start = performance.now()
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      credentials: 'omit',
      headers: {
        accept: 'application/jwk-set+json, application/json, application/jose',
        ...(validators.etag !== undefined && { 'if-none-match': validators.etag }),
        ...(validators.lastModified !== undefined && { 'if-modified-since': validators.lastModified }),
      },
      signal: deadline.signal,
    })
    const result = await readResponse(response, validators, maxBytes)
    if (result.kind !== 'set') await response.body?.cancel()
    const answer = { status: response.status, ms: performance.now() - start, ...(result.kind === 'set' && { bytes: result.body.length }), headers: shownHeaders(response) }
    return { ...result, answer }
  } catch (error) {
    if (isAddressRefused(error)) return { kind: 'unavailable', reason: 'has a name that leads to an address that is never asked', passing: false }
    if (deadline.passed) return { kind: 'unavailable', reason: `timed out after ${timeoutMs} ms`, passing: true }
    return { kind: 'unavailable', reason: 'could not be reached: the connection failed', passing: true }
  }
}

async function readResponse(response: Response, { etag, lastModified }: Validators, maxBytes: number): Promise<FetchResult> {
  const { status, headers } = response
  const freshMs = freshTime(headers.get('cache-control'))
  if (status === 304) return etag !== undefined || lastModified !== undefined ? { kind: 'unchanged', freshMs } : { kind: 'unavailable', reason: 'answered 304 without being asked', passing: false }
  if (status === 404) return { kind: 'unknown' }
  if (status === 410) return { kind: 'gone' }
  if (status >= 300 && status < 400) return { kind: 'unavailable', reason: `answered ${status}: redirects are not followed`, passing: false }
  if (status !== 200) return { kind: 'unavailable', reason: `answered ${status}`, passing: status === 429 || status >= 500, ...retryAfter(headers.get('retry-after'), Date.now()) }
  const body = await readBody(response, maxBytes)
  if (!body) return { kind: 'unavailable', reason: `sent a body of more than ${maxBytes} bytes`, passing: false }
  return { kind: 'set', body, validators: validatorsOf(headers), freshMs }
}

/** Undefined when it is too long; read no further then. */
async function readBody({ body }: Response, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > maxBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function validatorsOf(headers: Headers): Validators {
  const [etag, lastModified] = [headers.get('etag'), headers.get('last-modified')]
  const known = (value: string | null): value is string => value !== null && value !== '' && value.length <= DIRECTORY_LIMITS.validatorLength
  return { ...(known(etag) && { etag }), ...(known(lastModified) && { lastModified }) }
}

const SHOWN_HEADERS = ['content-type', 'content-encoding', 'cache-control', 'age', 'etag', 'last-modified', 'retry-after']

function shownHeaders({ headers }: Response): Record<string, string> {
  return Object.fromEntries(SHOWN_HEADERS.flatMap((name) => {
    const value = headers.get(name)
    return value === null ? [] : [[name, value.slice(0, DIRECTORY_LIMITS.validatorLength)]]
  }))
}

/** Cache-Control's fresh time within the floor and the ceiling; undefined when it says nothing that is understood. */
export function freshTime(cacheControl: string | null): number | undefined {
  if (cacheControl === null) return undefined
  if (/(^|[\s,])no-(store|cache)\b/i.test(cacheControl)) return DIRECTORY_LIMITS.freshFloorMs
  const seconds = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,12})"?(?=[\s,]|$)/i.exec(cacheControl)?.[1]
  if (seconds === undefined) return undefined
  return Math.min(DIRECTORY_LIMITS.freshCeilingMs, Math.max(DIRECTORY_LIMITS.freshFloorMs, Number(seconds) * 1_000))
}

/** An HTTP date as servers write it (RFC 9110 §5.6.7); Date.parse takes much more. */
const HTTP_DATE = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** Retry-After in seconds or as a date, and at most a minute: an endpoint must not switch itself off for a day. */
export function retryAfter(value: string | null, now: number): { retryAfterMs?: number } {
  const ms = value === null ? NaN : /^\d{1,12}$/.test(value) ? Number(value) * 1_000 : HTTP_DATE.test(value) ? Date.parse(value) - now : NaN
  return Number.isNaN(ms) ? {} : { retryAfterMs: Math.min(Math.max(ms, 0), DIRECTORY_LIMITS.retryAfterLongestMs) }
}
