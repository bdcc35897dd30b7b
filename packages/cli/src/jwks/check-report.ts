import type { Inspection, RejectedKey, SetKey } from '@sealbus/core/tools'
import { DIRECTORY_LIMITS } from '@sealbus/core/tools'
import { typeOf } from '../key-type.ts'

/** `error`: nothing can be sealed for it, or its keys are known to others. `warning`: it works, and should be mended. */
export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly text: string
}

export interface ReportedKey {
  readonly kid: string | null
  readonly thumbprint: string | null
  /** Such as P-256 or RSA-2048. */
  readonly type: string | null
  readonly alg: string | null
  readonly verdict: 'chosen' | 'usable' | 'not yet' | 'expired' | 'refused'
  /** Why, in words. */
  readonly reason: string
}

/** What a sealer makes of an endpoint. */
export interface CheckReport {
  readonly url: string
  readonly status: number | null
  readonly ms: number | null
  readonly bytes: number | null
  /** Those that say something of the set. */
  readonly headers: Readonly<Record<string, string>>
  /** For how long a directory takes the set as fresh; null: its own default. */
  readonly freshMs: number | null
  readonly chosen: string | null
  readonly keys: readonly ReportedKey[]
  readonly findings: readonly Finding[]
}

/** What the connection says beyond the answer. */
export interface Connection {
  /** Why there is none, as the system or OpenSSL calls it. */
  readonly failure?: string
  /** Where a redirect points. */
  readonly location?: string
}

export function checkReport(url: string, inspection: Inspection, connection: Connection, now: number): CheckReport {
  const { answer, freshMs, chosen, keys, rejected } = inspection
  return {
    url,
    status: answer?.status ?? null,
    ms: answer ? Math.round(answer.ms) : null,
    bytes: answer?.bytes ?? null,
    headers: answer?.headers ?? {},
    freshMs: freshMs ?? null,
    chosen: chosen?.kid ?? null,
    keys: [...keys.map((key) => judged(key, inspection, now)), ...rejected.map(refused)],
    findings: [...problems(inspection, connection, now), ...(answer?.status === 200 ? headerFindings(inspection) : [])],
  }
}

function judged(key: SetKey, { keys, chosen }: Inspection, now: number): ReportedKey {
  const { kid, thumbprint, alg, publicKey, notBefore, notAfter } = key
  const facts = { kid, thumbprint, type: typeOf(publicKey.export({ format: 'jwk' })), alg }
  if (notAfter !== undefined && notAfter <= now) return { ...facts, verdict: 'expired', reason: `exp: ${iso(notAfter)}` }
  if (notBefore !== undefined && notBefore > now) return { ...facts, verdict: 'not yet', reason: `nbf: ${iso(notBefore)}` }
  if (key !== chosen) return { ...facts, verdict: 'usable', reason: 'another is newer, or stands before it' }
  const others = keys.filter((each) => each !== key && !isOutOfTime(each, now))
  if (others.length === 0) return { ...facts, verdict: 'chosen', reason: 'the only usable key' }
  const since = (each: SetKey): number => each.notBefore ?? each.issuedAt ?? 0
  const newest = others.every((each) => since(each) < since(key))
  return { ...facts, verdict: 'chosen', reason: newest ? 'the newest, by nbf or iat' : 'the first of the newest in the document' }
}

const isOutOfTime = ({ notBefore = 0, notAfter = Infinity }: SetKey, now: number): boolean => notBefore > now || notAfter <= now

function refused({ kid, reason }: RejectedKey): ReportedKey {
  return { kid: kid ?? null, thumbprint: null, type: null, alg: null, verdict: 'refused', reason }
}

function* problems({ problem, answer, keys, rejected, chosen }: Inspection, { failure, location }: Connection, now: number): Generator<Finding> {
  const error = (text: string): Finding => ({ severity: 'error', text })
  if (failure !== undefined) yield error(connectionProblem(failure))
  else if (location !== undefined) yield error(`it answered ${answer?.status ?? 'a redirect'} and points to ${location}: redirects are not followed, so sealers must be given that URL itself`)
  else if (problem !== undefined) yield error(problem)
  else if (keys.length === 0 && rejected.length === 0) yield error('its set is empty: that revokes every key, and sealing for it is refused')
  else if (!chosen) yield error(keys.some(({ notBefore = 0 }) => notBefore > now) ? 'no key is usable yet' : 'no key is usable: sealing for it is refused')
  for (const { index, kid, reason } of rejected) {
    const leaked = reason.includes('private members')
    yield { severity: leaked ? 'error' : 'warning', text: `key ${kid === undefined ? index : JSON.stringify(kid)} is refused: ${reason}` }
  }
}

const TLS = /CERT|TLS|SSL|SIGNATURE|ISSUER/

function connectionProblem(code: string): string {
  if (TLS.test(code)) return `TLS failed (${code}): its certificate must be valid for this host, and of an authority that Node knows; NODE_EXTRA_CA_CERTS adds one`
  return `it cannot be reached (${code})`
}

const MEDIA_TYPES = ['application/jwk-set+json', 'application/json']
/** Of the time-out: an endpoint that is slower will fail some day. */
const SLOW_SHARE = 0.2

function* headerFindings({ answer, problem }: Inspection): Generator<Finding> {
  if (!answer || problem !== undefined) return
  const warning = (text: string): Finding => ({ severity: 'warning', text })
  const { headers, ms } = answer
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (type === undefined || !MEDIA_TYPES.includes(type)) yield warning(`its content type is ${type ?? 'not given'}, and should be ${MEDIA_TYPES[0]}`)
  if (headers['etag'] === undefined && headers['last-modified'] === undefined) yield warning('it has neither ETag nor Last-Modified, so that the whole set is sent each time')
  const cacheControl = headers['cache-control']
  if (cacheControl === undefined) yield warning(`it has no Cache-Control: a set counts as fresh for ${DIRECTORY_LIMITS.freshMs / 1_000} s`)
  const seconds = /max-age\s*=\s*"?(\d+)/i.exec(cacheControl ?? '')?.[1]
  if (seconds !== undefined && Number(seconds) * 1_000 > DIRECTORY_LIMITS.freshCeilingMs) yield warning(`its max-age of ${seconds} s is taken as ${DIRECTORY_LIMITS.freshCeilingMs / 1_000} s`)
  if (seconds !== undefined && Number(seconds) * 1_000 < DIRECTORY_LIMITS.freshFloorMs) yield warning(`its max-age of ${seconds} s is taken as ${DIRECTORY_LIMITS.freshFloorMs / 1_000} s`)
  if (ms > DIRECTORY_LIMITS.timeoutMs * SLOW_SHARE) yield warning(`it took ${Math.round(ms)} ms; after ${DIRECTORY_LIMITS.timeoutMs} ms a directory gives up`)
}

const iso = (time: number): string => (Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : 'never')
