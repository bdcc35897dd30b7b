import { generateKeyPairSync } from 'node:crypto'
import type { Inspection, SetKey } from '@sealbus/core/tools'
import { describe, expect, it } from 'vitest'
import { checkReport } from '../../src/jwks/check-report.ts'

const NOW = Date.parse('2026-06-01T00:00:00Z')
const { publicKey } = generateKeyPairSync('x25519')
const key = (kid: string, times: Partial<SetKey> = {}): SetKey => ({ kid, thumbprint: `print-${kid}`, alg: 'ECDH-ES+A256KW', publicKey, ...times })
const HEADERS = { 'content-type': 'application/jwk-set+json', 'etag': '"1"', 'cache-control': 'max-age=300' }
const inspection = (more: Partial<Inspection> = {}, headers: Record<string, string> = HEADERS): Inspection => ({ kind: 'set', keys: [], rejected: [], answer: { status: 200, ms: 12.4, bytes: 300, headers }, freshMs: 300_000, ...more })
const URL = 'https://billing.example/jwks.json'

describe('why a key is chosen', () => {
  it.each<[string, SetKey[], number, string[]]>([
    ['it is the only one', [key('a')], 0, ['chosen: the only usable key']],
    ['it stands first', [key('a'), key('b')], 0, ['chosen: the first of the newest in the document', 'usable: another is newer, or stands before it']],
    ['it is the newest', [key('a', { issuedAt: NOW - 2_000 }), key('b', { notBefore: NOW - 1_000 })], 1, ['usable: another is newer, or stands before it', 'chosen: the newest, by nbf or iat']],
    ['the others are of another time', [key('a', { notBefore: NOW + 1_000 }), key('b', { notAfter: NOW }), key('c')], 2, ['not yet: nbf: 2026-06-01T00:00:01.000Z', 'expired: exp: 2026-06-01T00:00:00.000Z', 'chosen: the only usable key']],
  ])('%s', (_title, keys, chosen, verdicts) => {
    const report = checkReport(URL, inspection({ keys, chosen: keys[chosen] }), {}, NOW)
    expect(report.keys.map(({ verdict, reason }) => `${verdict}: ${reason}`)).toEqual(verdicts)
    expect(report).toMatchObject({ url: URL, status: 200, ms: 12, bytes: 300, freshMs: 300_000, chosen: keys[chosen]?.kid, findings: [] })
  })
})

describe('what is found', () => {
  const good = [key('a')]
  it.each<[string, Inspection, object, string[]]>([
    ['a connection that is refused', { kind: 'unavailable', problem: 'it could not be reached', keys: [], rejected: [] }, { failure: 'ECONNREFUSED' }, ['error: it cannot be reached (ECONNREFUSED)']],
    ['a certificate that is no good', { kind: 'unavailable', problem: 'it could not be reached', keys: [], rejected: [] }, { failure: 'CERT_HAS_EXPIRED' }, ['error: TLS failed (CERT_HAS_EXPIRED): its certificate must be valid for this host, and of an authority that Node knows; NODE_EXTRA_CA_CERTS adds one']],
    ['a time-out', { kind: 'unavailable', problem: 'it timed out after 5000 ms', keys: [], rejected: [] }, {}, ['error: it timed out after 5000 ms']],
    ['a redirect', { kind: 'unavailable', problem: 'it answered 301', keys: [], rejected: [], answer: { status: 301, ms: 1, headers: {} } }, { location: 'https://other.example/' }, ['error: it answered 301 and points to https://other.example/: redirects are not followed, so sealers must be given that URL itself']],
    ['an empty set', inspection(), {}, ['error: its set is empty: that revokes every key, and sealing for it is refused']],
    ['no key that is usable', inspection({ rejected: [{ index: 0, reason: 'its use is not enc' }] }), {}, ['error: no key is usable: sealing for it is refused', 'warning: key 0 is refused: its use is not enc']],
    ['a key of tomorrow only', inspection({ keys: [key('a', { notBefore: NOW + 1 })] }), {}, ['error: no key is usable yet']],
    ['a private key that is shown', inspection({ keys: good, chosen: good[0], rejected: [{ index: 1, kid: 'b', reason: 'it holds private members: that key is compromised' }] }), {}, ['error: key "b" is refused: it holds private members: that key is compromised']],
    ['one kid twice', inspection({ keys: good, chosen: good[0], rejected: [{ index: 1, kid: 'b', reason: 'another key of the set has the same kid' }] }), {}, ['warning: key "b" is refused: another key of the set has the same kid']],
    ['a page', inspection({ problem: 'it is no JWK Set: it is not a JSON object' }, { 'content-type': 'text/html' }), {}, ['error: it is no JWK Set: it is not a JSON object']],
    ['headers that are missing', inspection({ keys: good, chosen: good[0] }, {}), {}, ['warning: its content type is not given, and should be application/jwk-set+json', 'warning: it has neither ETag nor Last-Modified, so that the whole set is sent each time', 'warning: it has no Cache-Control: a set counts as fresh for 300 s']],
    ['application/json, as many serve it', inspection({ keys: good, chosen: good[0] }, { ...HEADERS, 'content-type': 'application/JSON; charset=utf-8' }), {}, []],
    ['another content type', inspection({ keys: good, chosen: good[0] }, { ...HEADERS, 'content-type': 'text/plain' }), {}, ['warning: its content type is text/plain, and should be application/jwk-set+json']],
    ['a day of max-age', inspection({ keys: good, chosen: good[0] }, { ...HEADERS, 'cache-control': 'public, max-age=86400' }), {}, ['warning: its max-age of 86400 s is taken as 3600 s']],
    ['a second of max-age', inspection({ keys: good, chosen: good[0] }, { ...HEADERS, 'cache-control': 'max-age=1' }), {}, ['warning: its max-age of 1 s is taken as 60 s']],
    ['a slow answer', inspection({ keys: good, chosen: good[0], answer: { status: 200, ms: 1_001, headers: HEADERS } }), {}, ['warning: it took 1001 ms; after 5000 ms a directory gives up']],
  ])('%s', (_title, seen, connection, findings) => {
    expect(checkReport(URL, seen, connection, NOW).findings.map(({ severity, text }) => `${severity}: ${text}`)).toEqual(findings)
  })
})
