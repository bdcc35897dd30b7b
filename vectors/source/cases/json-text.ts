import { fails, opens, type VectorCase, withBytes } from '../case.ts'
import type { Entry, Jwe, Members, Plan } from '../envelope.ts'
import { fixedBytes } from '../fixed-bytes.ts'
import { billing, shipping } from '../keys.ts'

const two: Plan = { to: [billing, shipping] }
const sole: Plan = { to: [billing] }

/** Edits a text in one place; a place that is not there is a mistake in the case. */
function replaced(from: string | RegExp, to: string): (text: string) => string {
  return (text) => {
    const made = text.replace(from, () => to)
    if (made === text) throw new Error(`nothing to replace: ${from}`)
    return made
  }
}

const entry = (jwe: Jwe, index: number): Entry => jwe.recipients[index] ?? { encrypted_key: '' }
const epk = (jwe: Jwe): Members => entry(jwe, 0).header?.['epk'] as Members

/** The ways in which a base64url text can be wrong. */
const spoiled: readonly [string, (text: string) => string][] = [
  ['padded', (text) => `${text}${'='.repeat((4 - (text.length % 4)) % 4 || 4)}`],
  ['with a line break', (text) => `${text.slice(0, 4)}\n${text.slice(4)}`],
  ['with a space after it', (text) => `${text} `],
  ['in the other alphabet', (text) => replaced(/.*[-_].*/, text.replaceAll('-', '+').replaceAll('_', '/'))(text)],
  ['with stray bits', withStrayBits],
  ['with one character too many', (text) => `${text.slice(0, text.length - (text.length % 4))}A`],
]

/** The last character with its lowest bit set, which stands for no byte. */
function withStrayBits(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  if (text.length % 4 === 0) throw new Error('no stray bits in this text')
  return text.slice(0, -1) + (alphabet[alphabet.indexOf(text.at(-1) ?? '') | 1] ?? '')
}

/** One with which each of them has a character that the alphabets differ in. */
const SEED = 'both alphabets 1'

type Edit = (edit: (text: string) => string) => Plan
const members: readonly [string, Edit][] = [
  ['protected', (edit) => ({ ...two, header: (header) => (header['x'] = '>>>???~~'), headerCode: edit })],
  ['iv', (edit) => ({ ...two, enc: 'A256CBC-HS512', iv: Buffer.alloc(16, 0xff), jwe: (jwe) => (jwe.iv = edit(jwe.iv)) })],
  ['ciphertext', (edit) => ({ ...two, plaintext: fixedBytes('long', 400), jwe: (jwe) => (jwe.ciphertext = edit(jwe.ciphertext)) })],
  ['encrypted_key', (edit) => ({ ...two, jwe: (jwe) => (entry(jwe, 0).encrypted_key = edit(entry(jwe, 0).encrypted_key)) })],
  ["another's encrypted_key", (edit) => ({ ...two, jwe: (jwe) => (entry(jwe, 1).encrypted_key = edit(Buffer.alloc(40, 0xff).toString('base64url'))) })],
  ['kc', (edit) => ({ ...two, contentKey: Buffer.alloc(32, 5), header: (header) => (header['kc'] = edit(String(header['kc']))) })],
  ["the epk's x", (edit) => ({ ...two, jwe: (jwe) => (epk(jwe)['x'] = edit(String(epk(jwe)['x']))) })],
  ["the epk's y", (edit) => ({ ...two, jwe: (jwe) => (epk(jwe)['y'] = edit(String(epk(jwe)['y']))) })],
]

/** base64url and JSON: docs/FORMAT.md §1. */
export function texts(): readonly VectorCase[] {
  return [...base64urlCases(), ...duplicateCases(), ...jsonCases(), ...freedomCases()]
}

function base64urlCases(): readonly VectorCase[] {
  return [
    ...members.flatMap(([member, plan]) => spoiled
      // Whether a header leaves bits over depends on its length: see below.
      .filter(([way]) => !(way === 'with stray bits' && member === 'protected'))
      .map(([way, edit]) => fails('1.1', `${member} ${way}`, 'MALFORMED', member.startsWith('another') || member === 'kc' ? 'opens' : 'fails', { ...plan(edit), seed: SEED }))),
    fails('1.1', 'protected with stray bits', 'MALFORMED', 'fails', { ...two, headerText: (text) => (text.length % 3 === 0 ? text.replace(/}$/, ' }') : text), headerCode: withStrayBits }),
    fails('1.1', 'tag padded', 'MALFORMED', 'fails', { ...two, jwe: (jwe) => (jwe.tag += '==') }),
    fails('1.1', 'tag with stray bits', 'MALFORMED', 'fails', { ...two, jwe: (jwe) => (jwe.tag = withStrayBits(jwe.tag)) }),
    fails('1.1', 'Compact: a tag with stray bits', 'MALFORMED', 'fails', { ...sole, form: 'compact', text: withStrayBits }),
    fails('1.1', 'Compact: a line break at the end', 'MALFORMED', 'fails', { ...sole, form: 'compact', text: (text) => `${text}\n` }),
    fails('1.1', 'Compact: a space at the start', 'MALFORMED', 'fails', { ...sole, form: 'compact', text: (text) => ` ${text}` }),
    fails('1.1', 'Compact: a padded tag', 'NOT_SEALED', 'fails', { ...sole, form: 'compact', text: (text) => `${text}==` }),
    fails('1.1', 'msg.key padded', 'MALFORMED', 'opens', { ...two, msg: (msg) => (msg['key'] = `${fixedBytes('key', 32).toString('base64url')}=`) }),
    fails('1.1', 'a bound header with stray bits', 'MALFORMED', 'opens', { ...two, msg: (msg) => (msg['hdr'] = { tenant: ['YR'] }) }),
    fails('1.1', 'an apu that is padded', 'MALFORMED', 'fails', { to: [billing, shipping], jwe: (jwe) => Object.assign(entry(jwe, 0).header ?? {}, { apu: 'QQ==' }) }),
  ]
}

function duplicateCases(): readonly VectorCase[] {
  const places: readonly [string, Plan][] = [
    ['at the top', { ...two, text: replaced('{"protected":', '{"iv":"AAAA","protected":') }],
    ['at the top, written with an escape', { ...two, text: replaced('{"protected":', '{"\\u0069v":"AAAA","protected":') }],
    ['at the top, with the same value', { ...two, text: (text) => replaced('{"protected":', `{${/"tag":"[^"]*"/.exec(text)?.[0]},"protected":`)(text) }],
    ['of an entry', { ...two, text: replaced('{"header":', '{"encrypted_key":"AAAA","header":') }],
    ["of our entry's header", { ...two, text: replaced('"header":{', '"header":{"kid":"x",') }],
    ["of another entry's header", { ...two, text: replaced(/"kid":"shipping-1"/, '"kid":"x","k\\u0069d":"shipping-1"') }],
    ['of an epk', { ...two, text: replaced('"epk":{', '"epk":{"crv":"P-256",') }],
    ['recipients', { ...two, text: replaced('"recipients":', '"recipients":[],"recipients":') }],
  ]
  const protectedPlaces: readonly [string, (text: string) => string][] = [
    ['of the protected header', replaced('{"typ":', '{"enc":"A256GCM","typ":')],
    ['of the protected header, written with an escape', replaced('{"typ":', '{"\\u0065nc":"A256GCM","typ":')],
    ['of the protected header that nobody reads', replaced('{"typ":', '{"x":1,"x":1,"typ":')],
    ['of msg', replaced('"msg":{', '"msg":{"ch":"orders",')],
    ['of msg that nobody reads', replaced('"msg":{', '"msg":{"x":1,"x":2,')],
    ['kc', replaced('"kc":', '"kc":"AAAA","kc":')],
    ['named __proto__', replaced('{"typ":', '{"__proto__":1,"__proto__":2,"typ":')],
  ]
  return [
    ...places.map(([place, plan]) => fails('1.2', `a duplicate member ${place}`, 'MALFORMED', 'fails', plan)),
    ...protectedPlaces.map(([place, headerText]) => fails('1.2', `a duplicate member ${place}`, 'MALFORMED', 'fails', { ...two, headerText })),
    fails('1.2', 'a duplicate member of the epk in the protected header', 'MALFORMED', 'fails', { ...sole, headerText: replaced('"epk":{', '"epk":{"kty":"EC",') }),
    fails('1.2', 'a duplicate member of the bound headers', 'MALFORMED', 'opens', { ...two, msg: (msg) => (msg['hdr'] = { tenant: ['YQ'] }), headerText: replaced('"tenant":', '"tenant":["Yg"],"tenant":') }),
  ]
}

function jsonCases(): readonly VectorCase[] {
  const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth))
  const inText: readonly [string, string, Plan][] = [
    ['a byte order mark', 'MALFORMED', { ...two, text: (text) => `\ufeff${text}` }],
    ['something after the end', 'MALFORMED', { ...two, text: (text) => `${text}{}` }],
    ['a NUL after the end', 'MALFORMED', { ...two, text: (text) => `${text}\0` }],
    ['a comma too many', 'MALFORMED', { ...two, text: replaced(/}$/, ',}') }],
    ['a comma too few', 'MALFORMED', { ...two, text: replaced(',"tag"', '"tag"') }],
    ['a name without quotes', 'MALFORMED', { ...two, text: replaced('"tag"', 'tag') }],
    ['single quotes', 'MALFORMED', { ...two, text: replaced('"tag"', "'tag'") }],
    ['a comment', 'MALFORMED', { ...two, text: replaced(',"tag"', ',/* */"tag"') }],
    ['a line break within a string', 'MALFORMED', { ...two, text: replaced('shipping-1', 'shipping\n-1') }],
    ['an escape that is none', 'MALFORMED', { ...two, text: replaced('shipping-1', 'shipping\\x2d1') }],
    ['white space that JSON has not', 'MALFORMED', { ...two, text: replaced(',"tag"', ',\u00a0"tag"') }],
    ['cut off', 'MALFORMED', { ...two, text: (text) => text.slice(0, -2) }],
    ["a number with a leading zero in another's header", 'MALFORMED', { ...two, text: replaced('"kid":"shipping-1"', '"kid":"shipping-1","x":01') }],
    ["NaN in another's header", 'MALFORMED', { ...two, text: replaced('"kid":"shipping-1"', '"kid":"shipping-1","x":NaN') }],
    ["nesting of depth 9 in another's header", 'MALFORMED', { ...two, jwe: (jwe) => Object.assign(entry(jwe, 1).header ?? {}, { x: nested(5) }) }],
  ]
  const inHeader: readonly [string, Plan][] = [
    ['a byte order mark in the protected header', { ...two, headerText: (text) => `\ufeff${text}` }],
    ['something after the end of the protected header', { ...two, headerText: (text) => `${text} x` }],
    ['a comma too many in the protected header', { ...two, headerText: replaced(/}$/, ',}') }],
    ['nesting of depth 9 in the protected header', { ...two, header: (header) => (header['x'] = nested(8)) }],
    ['bytes in the protected header that are not UTF-8', { ...two, header: (header) => (header['x'] = '?!'), headerText: (text) => latin1Fault(text) }],
    ['a surrogate as UTF-8 in the protected header', { ...two, header: (header) => (header['x'] = '?!'), headerText: (text) => Buffer.from(Buffer.from(text).toString('latin1').replace('?!', '\u00ed\u00a0\u0080'), 'latin1') }],
    ['an escape for half of a surrogate pair in the protected header', { ...two, header: (header) => (header['x'] = '?!'), headerText: replaced('?!', '\\ud83e') }],
    ['halves of a surrogate pair in the wrong order', { ...two, header: (header) => (header['x'] = '?!'), headerText: replaced('?!', '\\udd9d\\ud83e') }],
    ['a protected header that is an array', { ...two, headerText: (text) => `[${text}]` }],
    ['a protected header that is null', { ...two, headerText: () => 'null' }],
    ['a protected header that is a string', { ...two, headerText: (text) => JSON.stringify(text) }],
  ]
  const fine = fails('1.2', 'bytes that are not UTF-8', 'MALFORMED', 'fails', { ...two, text: replaced('shipping-1', 'shipping?!') })
  const utf16 = fails('1.2', 'UTF-16', 'NOT_SEALED', 'fails', two)
  return [
    ...inText.map(([name, code, plan]) => fails('1.2', name, code, name.includes('depth') ? 'opens' : 'fails', plan)),
    ...inHeader.map(([name, plan]) => fails('1.2', name, 'MALFORMED', /depth|surrogate pair/.test(name) ? 'opens' : 'fails', plan)),
    withBytes(fine, latin1Fault(fine.envelope ?? '')),
    withBytes(utf16, Buffer.from(utf16.envelope ?? '', 'utf16le')),
    opens('1.2', '4,096 values', { ...two, jwe: (jwe) => fill(jwe, 4_096) }),
    fails('1.2', '4,097 values', 'MALFORMED', 'opens', { ...two, jwe: (jwe) => fill(jwe, 4_097) }),
    opens('1.2', 'nesting of depth 8', { ...two, header: (header) => (header['x'] = nested(7)), jwe: (jwe) => Object.assign(entry(jwe, 1).header ?? {}, { y: nested(4) }) }),
  ]
}

/** Puts an array into another's header, so that the text has so many values. */
function fill(jwe: Jwe, values: number): void {
  Object.assign(entry(jwe, 1).header ?? {}, { y: Array.from({ length: values - valuesIn(jwe) - 1 }, () => 0) })
}

function valuesIn(json: unknown): number {
  return typeof json === 'object' && json !== null ? Object.values(json).reduce((sum: number, each) => sum + valuesIn(each), 1) : 1
}

/** The first `?` becomes a byte that UTF-8 has not. */
function latin1Fault(text: string): Buffer {
  const bytes = Buffer.from(text)
  bytes[bytes.indexOf('?!')] = 0xff
  return bytes
}

/** What must go on working. */
function freedomCases(): readonly VectorCase[] {
  const spread = (jwe: string): string => JSON.stringify(JSON.parse(jwe), null, '\t').replaceAll('\n', '\r\n ')
  return [
    opens('1.2', 'white space between all tokens, and around them', { ...two, text: (text) => ` \n${spread(text)}\r\n` }),
    opens('1.2', 'white space in the protected header', { ...two, headerText: (text) => JSON.stringify(JSON.parse(text), null, 2) }),
    opens('1.2', 'members in another order', { ...two, text: (text) => reversed(text), headerText: (text) => reversed(text) }),
    opens('1.2', 'names and values written with escapes', { ...two, text: (text) => replaced('"billing-1"', '"\\u0062illing-1"')(replaced('"tag"', '"t\\u0061g"')(text)), headerText: replaced('"enc":"A256GCM"', '"\\u0065nc":"A256GC\\u004d"') }),
    opens('1.2', 'integers written as fraction or with an exponent', { ...two, headerText: (text) => replaced('"v":1', '"v":1.0')(replaced('"iat":1767225600', '"iat":17672256e2')(text)) }),
    opens('1.2', 'members named __proto__ and constructor', { ...two, headerText: replaced('{"typ":', '{"constructor":{"enc":"x"},"typ":'), text: replaced('"header":{', '"header":{"__proto__":{"kid":"x"},') }),
    opens('1.2', 'parameters that nobody knows', { ...two, header: (header) => (header['x'] = { deep: [1, null] }), jwe: (jwe) => Object.assign(entry(jwe, 0).header ?? {}, { y: true }) }),
    opens('1.2', 'a Compact header with white space', { ...sole, form: 'compact', headerText: (text) => ` ${text}` }),
  ]
}

function reversed(text: string): string {
  const turn = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).toReversed().map(([name, each]) => [name, turn(each)]))
  }
  const top = turn(JSON.parse(text)) as Members
  const recipients = top['recipients']
  if (Array.isArray(recipients)) top['recipients'] = recipients.map(turn)
  return JSON.stringify(top)
}
