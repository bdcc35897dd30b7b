import { createHash, createHmac } from 'node:crypto'
import { fails, opens, type VectorCase } from '../case.ts'
import type { Members, Plan } from '../envelope.ts'
import { fixedBytes } from '../fixed-bytes.ts'
import { billing, shipping } from '../keys.ts'

const two: Plan = { to: [billing, shipping] }
const header = (edit: (header: Members) => void, plan: Plan = two): Plan => ({ ...plan, header: edit })
const msg = (edit: (msg: Members) => void, plan: Plan = two): Plan => ({ ...plan, msg: edit })
const set = (name: string, value: unknown): Plan => msg((each) => (each[name] = value))
const astral = (count: number): string => '\u{1f511}'.repeat(count)

/** The members of the protected header that concern the content: docs/FORMAT.md §5.4 and §5.7. */
export function nativeHeader(): readonly VectorCase[] {
  return [...contentParameters(), ...commitments(), ...contexts(), ...foreign()]
}

function contentParameters(): readonly VectorCase[] {
  return [
    fails('5.4', 'no enc', 'REFUSED', 'fails', header((each) => delete each['enc'])),
    fails('5.4', 'enc A192GCM, encrypted with it', 'REFUSED', 'opens', { ...two, enc: 'A192GCM' }),
    fails('5.4', 'enc A128CBC-HS256, encrypted with it', 'REFUSED', 'opens', { ...two, enc: 'A128CBC-HS256' }),
    ...['a256gcm', 'A256GCM ', 'constructor', '', 1, null, ['A256GCM']].map((enc) => fails('5.4', `enc ${JSON.stringify(enc)}`, 'REFUSED', 'fails', header((each) => (each['enc'] = enc)))),
    fails('5.4', 'enc A128GCM over what A256GCM encrypted', 'MALFORMED', 'fails', header((each) => (each['enc'] = 'A128GCM'))),
    ...['application/sealbus+jwe', 'SEALBUS+JWE', 'Application/Sealbus+JWE'].map((typ) => opens('5.4', `typ ${typ}`, header((each) => (each['typ'] = typ)))),
    ...['JWT', 'sealbus+jwe; v=1', ' sealbus+jwe', 'x/sealbus+jwe', 'sealbus+jwe2', 'sealbus-jwe', '', 1, null, ['sealbus+jwe']].map((typ) => fails('5.7', `typ ${JSON.stringify(typ)}, where foreign envelopes are not accepted`, 'REFUSED', 'opens', header((each) => (each['typ'] = typ)))),
    fails('5.7', 'no typ, where foreign envelopes are not accepted', 'REFUSED', 'opens', header((each) => delete each['typ'])),
    ...['application/json', 'text/plain', 'text/plain; charset=utf-8', 'application/vnd.example+json', 'image/png', 'avro'].map((cty) => opens('3.3', `cty ${cty}`, header((each) => (each['cty'] = cty)))),
    opens('3.3', 'no cty', header((each) => delete each['cty'])),
    ...[1, null, {}].map((cty) => fails('5.4', `cty ${JSON.stringify(cty)}`, 'MALFORMED', 'opens', header((each) => (each['cty'] = cty)))),
    ...['jose', 'JOSE', 'application/jose', 'Application/Jose', 'jose+json', 'application/jose+json', 'jose; x=1', 'jose '].map((cty) => fails('5.4', `cty ${cty}`, 'REFUSED', 'opens', header((each) => (each['cty'] = cty)))),
  ]
}

function commitments(): readonly VectorCase[] {
  const contentKey = fixedBytes('committed', 32)
  const kc = (value: unknown): Plan => ({ ...two, contentKey, header: (each) => (each['kc'] = value) })
  const over = (text: string): string => createHmac('sha256', contentKey).update(text).digest('base64url')
  return [
    fails('5.4', 'no kc', 'MALFORMED', 'opens', header((each) => delete each['kc'])),
    ...([['null', null], ['a number', 1], ['empty', ''], ['of 31 bytes', fixedBytes('kc', 31).toString('base64url')], ['of 33 bytes', fixedBytes('kc', 33).toString('base64url')]] as const).map(([name, value]) => fails('5.4', `kc that is ${name}`, 'MALFORMED', 'opens', kc(value))),
    fails('5.10', 'kc of another content key', 'DECRYPT_FAILED', 'opens', { ...two, committed: fixedBytes('another', 32) }),
    fails('5.10', 'kc for another enc', 'DECRYPT_FAILED', 'opens', kc(over('sealbus/1 kc A128GCM'))),
    fails('5.10', 'kc over another text', 'DECRYPT_FAILED', 'opens', kc(over('sealbus/1 kc'))),
    fails('5.10', 'kc that is a bare hash of the content key', 'DECRYPT_FAILED', 'opens', kc(createHash('sha256').update(contentKey).digest('base64url'))),
    fails('5.10', 'kc of zeros', 'DECRYPT_FAILED', 'opens', kc(Buffer.alloc(32).toString('base64url'))),
    fails('5.10', 'kc with one bit changed', 'DECRYPT_FAILED', 'opens', kc(flipped(Buffer.from(over('sealbus/1 kc A256GCM'), 'base64url')).toString('base64url'))),
  ]
}

function flipped(bytes: Buffer): Buffer {
  const made = Buffer.from(bytes)
  made[0] = (made[0] ?? 0) ^ 1
  return made
}

function contexts(): readonly VectorCase[] {
  const bad: readonly [string, readonly unknown[]][] = [
    ['v', ['1', 1.5, true, null, [1], Number.MAX_VALUE + 0.5]],
    ['id', ['', 'x'.repeat(129), astral(65), 1, null]],
    ['iat', [-1, 1.5, 8_640_000_000_001, '1767225600', null, true]],
    ['ch', ['', 'x'.repeat(256), 1, null]],
    ['to', [[], 'billing', {}, [''], [1], [null], Array.from({ length: 101 }, (_, index) => `s${index}`), null]],
    ['key', ['', 'AAAA', fixedBytes('key', 31).toString('base64url'), fixedBytes('key', 33).toString('base64url'), 1, null]],
    ['ce', ['', 'x'.repeat(129), 1, null]],
    ['re', ['', 'x'.repeat(129), 1, null]],
    ['realm', ['', 'x'.repeat(256), 1, null]],
    ['z', ['deflate', 'GZIP', '', true, null]],
    ['hdr', [[], 'x', null, { tenant: 'YQ' }, { tenant: [1] }, { tenant: ['='] }, { tenant: null }, { tenant: { a: 'YQ' } }]],
  ]
  const shown = (value: unknown): string => {
    const text = JSON.stringify(value)
    return text.length > 24 ? `${text.slice(0, 20)}… (${text.length})` : text
  }
  return [
    fails('5.4', 'no msg', 'MALFORMED', 'opens', header((each) => delete each['msg'])),
    ...([['null', null], ['an array', []], ['a string', 'x']] as const).map(([name, value]) => fails('5.4', `msg that is ${name}`, 'MALFORMED', 'opens', header((each) => (each['msg'] = value)))),
    ...bad.flatMap(([name, values]) => values
      .filter((value) => !(name === 'v' && typeof value === 'number' && value > 2))
      .map((value) => fails('5.4', `msg.${name} ${shown(value)}`, 'MALFORMED', 'opens', set(name, value)))),
    fails('5.4', 'msg.v beyond all numbers', 'MALFORMED', 'opens', { ...two, headerText: (text) => text.replace('"v":1', '"v":1e999') }),
    ...['v', 'id', 'iat', 'ch', 'to'].map((name) => fails('5.4', `no msg.${name}`, 'MALFORMED', 'opens', msg((each) => delete each[name]))),
    ...[0, 2, -1, 9_007_199_254_740_991].map((v) => fails('5.4', `msg.v ${v}`, 'UNSUPPORTED_VERSION', 'opens', set('v', v))),
    fails('5.4', 'msg.v 2, with members of another kind', 'UNSUPPORTED_VERSION', 'opens', header((each) => (each['msg'] = { v: 2, to: 'all', id: 7 }))),
    opens('3.4', 'all members of msg', msg((each) => Object.assign(each, { ce: 'gzip', re: 'request-1', realm: 'production', hdr: { tenant: ['YWNtZQ', ''], empty: [] } })), { opener: { realm: 'production', headers: { tenant: ['YWNtZQ', ''], empty: [] } } }),
    opens('3.4', 'members of msg that nobody knows', msg((each) => Object.assign(each, { x: 1, prio: { high: true } }))),
    opens('3.4', 'an id of 128 characters', set('id', 'x'.repeat(128))),
    opens('1.3', 'an id of 64 characters beyond the basic plane', set('id', astral(64))),
    opens('3.4', 'an id of one character', set('id', '0')),
    opens('3.4', 'an iat of 0', set('iat', 0)),
    opens('3.4', 'the latest iat', set('iat', 8_640_000_000_000)),
    opens('3.4', 'a channel of 255 characters', set('ch', 'c'.repeat(255)), { opener: { channel: 'c'.repeat(255) } }),
    opens('3.4', 'a channel beyond ASCII', set('ch', 'заказы/注文'), { opener: { channel: 'заказы/注文' } }),
    opens('3.4', '100 names in to', set('to', ['billing', ...Array.from({ length: 99 }, (_, index) => `s${index}`)])),
    opens('3.4', 'to without our name, although there is an entry for our key', set('to', ['somebody'])),
  ]
}

/** Envelopes of other libraries, without typ, kc and msg. */
function foreign(): readonly VectorCase[] {
  const bare = (each: Members): void => {
    for (const name of ['typ', 'kc', 'cty', 'msg']) delete each[name]
  }
  const accepted = { opener: { foreign: true } }
  return [
    ...(['general', 'flattened', 'compact'] as const).map((form) => opens('5.7', `foreign, ${form}`, { to: [billing], form, header: bare }, accepted)),
    opens('5.7', 'foreign, several recipients', header(bare), accepted),
    opens('5.7', 'foreign, A256CBC-HS512', header(bare, { ...two, enc: 'A256CBC-HS512' }), accepted),
    opens('5.7', 'foreign, another typ, and a cty', header((each) => {
      bare(each)
      Object.assign(each, { typ: 'JOSE', cty: 'text/plain' })
    }), accepted),
    opens('5.7', 'foreign, with members that only a native envelope has', header((each) => {
      delete each['typ']
      Object.assign(each, { kc: 'x', msg: { v: 7 } })
    }), accepted),
    opens('5.7', 'foreign, where a realm is configured', header(bare), { opener: { foreign: true, realm: 'production' } }),
    ...(['general', 'flattened', 'compact'] as const).map((form) => fails('5.7', `foreign, ${form}, where it is not accepted`, 'REFUSED', 'opens', { to: [billing], form, header: bare })),
    fails('5.4', 'foreign, signed content', 'REFUSED', 'opens', header((each) => {
      bare(each)
      each['cty'] = 'JOSE'
    }), accepted),
    fails('5.4', 'native without kc, where foreign envelopes are accepted', 'MALFORMED', 'opens', header((each) => delete each['kc']), accepted),
    fails('5.4', 'native without msg, where foreign envelopes are accepted', 'MALFORMED', 'opens', header((each) => delete each['msg']), accepted),
    fails('5.11', 'native, of another channel, where foreign envelopes are accepted', 'CONTEXT_MISMATCH', 'opens', set('ch', 'invoices'), accepted),
    fails('5.4', 'foreign, enc A192GCM', 'REFUSED', 'opens', header(bare, { ...two, enc: 'A192GCM' }), accepted),
    fails('5.3', 'foreign, zip', 'REFUSED', 'fails', header((each) => {
      bare(each)
      each['zip'] = 'DEF'
    }), accepted),
  ]
}
