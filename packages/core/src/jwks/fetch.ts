import { DIRECTORY_LIMITS } from './limits.ts'

export type Fetch = typeof globalThis.fetch

export interface FetchOptions {
  readonly fetch: Fetch
  readonly timeoutMs: number
  readonly etag: string | undefined
  readonly signal: AbortSignal
}

/** What an endpoint answered. `unavailable` carries a reason in words: never the body, never another library's error. */
export type FetchResult =
  | { readonly kind: 'set'; readonly body: Buffer; readonly etag: string | undefined; readonly freshMs: number | undefined }
  | { readonly kind: 'unchanged'; readonly freshMs: number | undefined }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'gone' }
  | { readonly kind: 'unavailable'; readonly reason: string; readonly retryAfterMs?: number }

/** One GET of a JWK Set. The time-out covers the body, redirects are refused, and decoded bytes are capped. */
export async function fetchKeySet(url: string, { fetch, timeoutMs, etag, signal }: FetchOptions): Promise<FetchResult> {
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      credentials: 'omit',
      headers: { accept: 'application/jwk-set+json, application/json', ...(etag !== undefined && { 'if-none-match': etag }) },
      signal: AbortSignal.any([timeout, signal]),
    })
    const result = await readResponse(response, etag)
    if (result.kind !== 'set') await response.body?.cancel()
    return result
  } catch {
    if (timeout.aborted) return { kind: 'unavailable', reason: `timed out after ${timeoutMs} ms` }
    return { kind: 'unavailable', reason: signal.aborted ? 'the directory was closed' : 'the connection failed' }
  }
}

async function readResponse(response: Response, etag: string | undefined): Promise<FetchResult> {
  const { status, headers } = response
  const freshMs = freshTime(headers.get('cache-control'))
  if (status === 304 && etag !== undefined) return { kind: 'unchanged', freshMs }
  if (status === 404) return { kind: 'unknown' }
  if (status === 410) return { kind: 'gone' }
  if (status >= 300 && status < 400) return { kind: 'unavailable', reason: `answered ${status}: redirects are not followed` }
  if (status !== 200) return { kind: 'unavailable', reason: `answered ${status}`, ...retryAfter(headers.get('retry-after')) }
  const body = await readBody(response)
  if (!body) return { kind: 'unavailable', reason: `its body exceeds ${DIRECTORY_LIMITS.bodyBytes} bytes` }
  return { kind: 'set', body, etag: headers.get('etag') ?? undefined, freshMs }
}

/** Undefined when it is too long; read no further then. */
async function readBody({ body }: Response): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body ?? []) {
    size += chunk.length
    if (size > DIRECTORY_LIMITS.bodyBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Cache-Control's fresh time within the floor and the ceiling; undefined when it says nothing that is understood. */
export function freshTime(cacheControl: string | null): number | undefined {
  if (cacheControl === null) return undefined
  if (/(^|[\s,])no-(store|cache)\b/i.test(cacheControl)) return DIRECTORY_LIMITS.freshFloorMs
  const seconds = /(?:^|[\s,])max-age\s*=\s*"?(\d{1,12})"?(?=[\s,]|$)/i.exec(cacheControl)?.[1]
  if (seconds === undefined) return undefined
  return Math.min(DIRECTORY_LIMITS.freshCeilingMs, Math.max(DIRECTORY_LIMITS.freshFloorMs, Number(seconds) * 1_000))
}

/** Seconds only, and at most a minute: an endpoint must not switch itself off for a day. */
function retryAfter(value: string | null): { retryAfterMs?: number } {
  const seconds = value !== null && /^\d{1,6}$/.test(value) ? Number(value) : undefined
  return seconds === undefined ? {} : { retryAfterMs: Math.min(seconds * 1_000, DIRECTORY_LIMITS.backoffLongestMs) }
}
