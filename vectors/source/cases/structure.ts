import { encrypt } from '../content-encryption.ts'
import { fails, opens, type VectorCase } from '../case.ts'
import { type Entry, envelope, type Jwe, PLAINTEXT, type Plan } from '../envelope.ts'
import { deflateStored } from '../compressed.ts'
import { fixedBytes } from '../fixed-bytes.ts'
import { billing, shipping, warehouse } from '../keys.ts'

const two: Plan = { to: [billing, shipping] }
const sole: Plan = { to: [billing] }
const changed = (jwe: (jwe: Jwe) => void, plan: Plan = two): Plan => ({ ...plan, jwe })
const first = (jwe: Jwe): Entry => jwe.recipients[0] ?? { encrypted_key: '' }
const second = (jwe: Jwe): Entry => jwe.recipients[1] ?? { encrypted_key: '' }
const own = (edit: Record<string, unknown>, plan: Plan = two): Plan => changed((jwe) => Object.assign(first(jwe).header ?? {}, edit), plan)
const others = (edit: Record<string, unknown>, plan: Plan = two): Plan => changed((jwe) => Object.assign(second(jwe).header ?? {}, edit), plan)
const text = (edit: (text: string) => string, plan: Plan = two): Plan => ({ ...plan, text: edit })
const parsed = (jwe: string): object => JSON.parse(jwe) as object
const LIMIT = 33_554_432

/** The serializations and their members: docs/FORMAT.md §5.1, §5.2, §5.5 and §5.6. */
export function structure(): readonly VectorCase[] {
  return [...recognition(), ...topLevel(), ...entries(), ...doubled(), ...sizes()]
}

function recognition(): readonly VectorCase[] {
  const large: Plan = { ...two, seed: 'large' }
  const room = LIMIT - Buffer.byteLength(envelope('large', large))
  return [
    opens('5.1', 'an envelope of 32 MiB', large, { trailingSpaces: room }),
    fails('5.1', 'an envelope of 32 MiB and a byte', 'TOO_LARGE', 'opens', large, { trailingSpaces: room + 1 }),
    ...([['a plain text', 'hello'], ['plain JSON', '{"total":9}'], ['nothing', ''], ['an array', '[]'], ['five words', 'a.b.c.d.e']] as const).map(([name, plain]) => fails('5.1', name, 'NOT_SEALED', 'fails', text(() => plain))),
    fails('5.1', 'a signed JWS in Compact', 'NOT_SEALED', 'fails', text((jwe) => jwe.split('.').slice(0, 3).join('.'), { ...sole, form: 'compact' })),
    fails('5.1', 'Compact behind a byte order mark', 'MALFORMED', 'fails', text((jwe) => `\ufeff${jwe}`, { ...sole, form: 'compact' })),
    fails('5.1', 'a cut envelope behind white space', 'MALFORMED', 'fails', text((jwe) => `\r\n ${jwe.slice(0, 100)}`)),
    fails('5.1', 'a cut envelope whose members stand in another order', 'MALFORMED', 'fails', text((jwe) => JSON.stringify(Object.fromEntries(Object.entries(parsed(jwe)).toReversed())).slice(0, -9))),
    fails('5.1', 'a cut text with the names one object deeper', 'NOT_SEALED', 'fails', text((jwe) => `{"a":${jwe},`)),
    fails('5.1', 'an array around an envelope', 'NOT_SEALED', 'fails', text((jwe) => `[${jwe}]`)),
  ]
}

function topLevel(): readonly VectorCase[] {
  const contentKey = fixedBytes('aad', 32)
  return [
    fails('5.2', 'unprotected, empty', 'REFUSED', 'opens', changed((jwe) => (jwe['unprotected'] = {}))),
    fails('5.2', 'unprotected, with a parameter', 'REFUSED', 'opens', changed((jwe) => (jwe['unprotected'] = { x: 1 }))),
    fails('5.2', 'unprotected, with the alg', 'REFUSED', 'opens', { ...two, header: (header) => delete header['alg'], jwe: (jwe) => (jwe['unprotected'] = { alg: 'ECDH-ES+A256KW' }) }),
    fails('5.2', 'aad, authenticated', 'REFUSED', 'opens', { ...two, contentKey, content: (aad, iv) => encrypt('A256GCM', contentKey, iv, `${aad}.YQ`, PLAINTEXT), jwe: (jwe) => (jwe['aad'] = 'YQ') }),
    fails('5.2', 'an unknown member at the top', 'REFUSED', 'opens', changed((jwe) => (jwe['x'] = 1))),
    fails('5.2', 'header beside recipients', 'REFUSED', 'fails', changed((jwe) => (jwe['header'] = {}))),
    fails('5.2', "the second entry's encrypted_key beside recipients", 'REFUSED', 'fails', changed((jwe) => (jwe['encrypted_key'] = second(jwe).encrypted_key))),
    fails('5.2', 'another encrypted_key beside recipients', 'REFUSED', 'fails', changed((jwe) => (jwe['encrypted_key'] = 'AAAA'))),
    fails('5.2', 'an encrypted_key that is null beside recipients', 'REFUSED', 'fails', changed((jwe) => (jwe['encrypted_key'] = null))),
    fails('5.2', "the first entry's encrypted_key and a header beside recipients", 'REFUSED', 'fails', changed((jwe) => Object.assign(jwe, { encrypted_key: first(jwe).encrypted_key, header: {} }))),
    opens('5.2', "the first entry's encrypted_key beside recipients", changed((jwe) => (jwe['encrypted_key'] = first(jwe).encrypted_key))),
    ...([['an object', {}], ['null', null], ['a string', 'x'], ['a number', 1]] as const).map(([name, value]) => fails('5.2', `recipients that is ${name}`, 'MALFORMED', 'fails', changed((jwe) => (jwe['recipients'] = value as never)))),
    ...(['iv', 'ciphertext', 'tag', 'protected'] as const).flatMap((member) => [
      ...([['null', null], ['a number', 1], ['an array', []]] as const).map(([name, value]) => fails('5.2', `${member} that is ${name}`, 'MALFORMED', 'fails', changed((jwe) => (jwe[member] = value as never)))),
      fails('5.2', `no ${member}`, member === 'protected' ? 'NOT_SEALED' : 'MALFORMED', 'fails', changed((jwe) => delete (jwe as Record<string, unknown>)[member])),
    ]),
    fails('5.2', 'an empty protected', 'MALFORMED', 'fails', changed((jwe) => (jwe.protected = ''))),
    fails('5.2', 'neither recipients nor encrypted_key', 'MALFORMED', 'fails', changed((jwe) => delete (jwe as Record<string, unknown>)['recipients'], sole)),
    opens('5.2', 'Flattened, with a header of its own', { ...sole, ownHeader: true, form: 'flattened' }),
    opens('5.2', 'General, a sole recipient with a header of its own', { ...sole, ownHeader: true }),
    fails('5.2', 'Flattened: an unknown member', 'REFUSED', 'opens', { ...sole, form: 'flattened', jwe: (jwe) => (jwe['x'] = 1) }),
    fails('5.2', 'Flattened: unprotected', 'REFUSED', 'opens', { ...sole, form: 'flattened', jwe: (jwe) => (jwe['unprotected'] = {}) }),
    fails('5.2', 'Flattened: no encrypted_key', 'MALFORMED', 'fails', { ...sole, form: 'flattened', jwe: (jwe) => delete (first(jwe) as Record<string, unknown>)['encrypted_key'] }),
    fails('5.2', 'Flattened: recipients, too', 'REFUSED', 'fails', { ...sole, form: 'flattened', ownHeader: true, text: (jwe) => jwe.replace(/}$/, `,"recipients":[{"encrypted_key":${/"encrypted_key":("[^"]*")/.exec(jwe)?.[1]}}]}`) }),
    fails('5.2', 'Compact of six segments', 'NOT_SEALED', 'fails', { ...sole, form: 'compact', text: (jwe) => `${jwe}.AAAA` }),
    fails('5.2', 'Compact of four segments', 'NOT_SEALED', 'fails', { ...sole, form: 'compact', text: (jwe) => jwe.split('.').slice(0, 4).join('.') }),
    fails('5.2', 'Compact with an empty encrypted key', 'MALFORMED', 'fails', { ...sole, form: 'compact', text: (jwe) => jwe.split('.').with(1, '').join('.') }),
  ]
}

function entries(): readonly VectorCase[] {
  const stranger = { header: { alg: 'ML-KEM-768+A256KW', kid: 'future-1', ek: 'AAAA', more: { deep: true } }, encrypted_key: 'AAAA' }
  const noSharedAlg: Plan = { to: [billing, warehouse] }
  return [
    fails('5.5', 'no entries', 'MALFORMED', 'fails', changed((jwe) => (jwe.recipients = []))),
    fails('5.5', '101 entries', 'MALFORMED', 'opens', changed((jwe) => jwe.recipients.push(...Array.from({ length: 99 }, (_, index) => ({ header: { kid: `x-${index}` }, encrypted_key: 'AAAA' }))))),
    opens('5.5', '98 entries of others in front of ours', changed((jwe) => jwe.recipients.unshift(...Array.from({ length: 98 }, (_, index) => ({ header: { kid: `x-${index}` }, encrypted_key: 'AAAA' }))))),
    ...([['null', null], ['a string', 'x'], ['an array', []], ['a number', 7]] as const).map(([name, value]) => fails('5.5', `an entry that is ${name}`, 'MALFORMED', 'fails', changed((jwe) => jwe.recipients.push(value as never)))),
    fails('5.5', 'an unknown member of our entry', 'REFUSED', 'opens', changed((jwe) => (first(jwe)['x'] = 1))),
    fails('5.5', 'an unknown member of another entry', 'REFUSED', 'opens', changed((jwe) => (second(jwe)['x'] = 1))),
    ...([['null', null], ['an array', []], ['a string', 'x']] as const).flatMap(([name, value]) => [
      fails('5.5', `a header that is ${name} in our entry`, 'MALFORMED', 'fails', changed((jwe) => (first(jwe).header = value as never))),
      fails('5.5', `a header that is ${name} in another entry`, 'MALFORMED', 'fails', changed((jwe) => (second(jwe).header = value as never))),
    ]),
    ...([['null', null], ['a number', 1]] as const).flatMap(([name, value]) => [
      fails('5.5', `an encrypted_key that is ${name} in our entry`, 'MALFORMED', 'fails', changed((jwe) => (first(jwe).encrypted_key = value as never))),
      fails('5.5', `an encrypted_key that is ${name} in another entry`, 'MALFORMED', 'fails', changed((jwe) => (second(jwe).encrypted_key = value as never))),
    ]),
    fails('5.5', 'no encrypted_key in our entry', 'MALFORMED', 'fails', changed((jwe) => delete (first(jwe) as Record<string, unknown>)['encrypted_key'])),
    fails('5.5', 'no encrypted_key in another entry', 'MALFORMED', 'opens', changed((jwe) => delete (second(jwe) as Record<string, unknown>)['encrypted_key'])),
    fails('5.5', "another's encrypted_key of 4,097 bytes", 'MALFORMED', 'opens', changed((jwe) => (second(jwe).encrypted_key = Buffer.alloc(4_097).toString('base64url')))),
    opens('5.5', "another's encrypted_key of 4,096 bytes", changed((jwe) => (second(jwe).encrypted_key = Buffer.alloc(4_096).toString('base64url')))),
    fails('5.5', "another's kid that is a number", 'MALFORMED', 'opens', others({ kid: 7 })),
    fails('5.5', 'our kid that is a number', 'MALFORMED', 'fails', own({ kid: 7 })),
    fails('5.5', 'a kid that is null, with a sole entry', 'MALFORMED', 'fails', { ...sole, header: (header) => (header['kid'] = null) }),
    opens('5.5', 'an entry of the future beside ours', { ...noSharedAlg, jwe: (jwe) => jwe.recipients.push(stranger) }),
    opens('5.5', 'an entry of the future in front of ours', { ...noSharedAlg, jwe: (jwe) => jwe.recipients.unshift(stranger) }),
    opens('5.5', 'an entry of another without header', changed((jwe) => jwe.recipients.push({ encrypted_key: 'AAAA' }))),
    opens('5.5', 'an entry of another with an empty encrypted_key', { ...noSharedAlg, jwe: (jwe) => jwe.recipients.push({ header: { alg: 'future', kid: 'x' }, encrypted_key: '' }) }),
    opens('5.5', "another's alg and epk of wrong types", { ...noSharedAlg, jwe: (jwe) => jwe.recipients.push({ header: { alg: 7, epk: 'x', kid: 'x' }, encrypted_key: 'AAAA' }) }),
    opens('5.5', 'entries in another order', changed((jwe) => (jwe.recipients = jwe.recipients.toReversed()))),
    opens('5.5', "another's entry dropped", changed((jwe) => (jwe.recipients.length = 1))),
    opens('5.5', 'our entry twice', changed((jwe) => jwe.recipients.push(first(jwe)))),
    ...['enc', 'typ', 'kc', 'msg', 'cty'].map((name) => {
      let value: unknown
      const code = name === 'kc' || name === 'msg' ? 'MALFORMED' : 'REFUSED'
      return fails('5.5', `${name} in our entry's header only`, code, 'opens', {
        ...two,
        header: (header) => {
          value = header[name]
          delete header[name]
        },
        jwe: (jwe) => Object.assign(first(jwe).header ?? {}, { [name]: value }),
      })
    }),
    fails('5.5', "cty in another's header only", 'REFUSED', 'opens', { ...two, header: (header) => delete header['cty'], jwe: (jwe) => Object.assign(second(jwe).header ?? {}, { cty: 'json' }) }),
    ...refusedParameters(),
  ]
}

function refusedParameters(): readonly VectorCase[] {
  const values: Readonly<Record<string, unknown>> = {
    crit: ['x'],
    jku: 'https://keys.example/jwks.json',
    jwk: billing.publicJwk,
    x5u: 'https://keys.example/chain.pem',
    x5c: ['MIIB'],
  }
  return [
    ...Object.entries(values).flatMap(([name, value]) => {
      const jwe = name === 'crit' ? 'fails' : 'opens'
      return [
        fails('5.3', `${name} in the protected header`, 'REFUSED', jwe, { ...two, header: (header) => Object.assign(header, { x: 1, [name]: value }) }),
        fails('5.3', `${name} in the protected header of a sole recipient, Compact`, 'REFUSED', jwe, { ...sole, form: 'compact', header: (header) => Object.assign(header, { x: 1, [name]: value }) }),
        fails('5.5', `${name} in our entry's header`, 'REFUSED', jwe, own({ [name]: value })),
        fails('5.5', `${name} in another's header`, 'REFUSED', 'opens', others({ [name]: value })),
      ]
    }),
    fails('5.3', 'crit that is empty', 'REFUSED', 'fails', { ...two, header: (header) => (header['crit'] = []) }),
    fails('5.3', 'zip, with content that is deflated', 'REFUSED', 'opens', { ...two, plaintext: deflateStored(PLAINTEXT), header: (header) => (header['zip'] = 'DEF') }),
    fails('5.5', "zip in our entry's header", 'REFUSED', 'fails', { ...two, plaintext: deflateStored(PLAINTEXT), jwe: (jwe) => Object.assign(first(jwe).header ?? {}, { zip: 'DEF' }) }),
    fails('5.5', "zip in another's header", 'REFUSED', 'opens', others({ zip: 'DEF' })),
  ]
}

/** RFC 7516 §7.2.1: the names in the parts of a header are disjoint. */
function doubled(): readonly VectorCase[] {
  const soleOwn: Plan = { ...sole, ownHeader: true }
  const shared = (name: string, plan: Plan = two): Plan => ({ ...plan, header: (header) => (header[name] = 'x'), jwe: (jwe) => Object.assign(first(jwe).header ?? {}, { [name]: 'x' }) })
  return [
    fails('5.5', "alg in the protected header and in our entry's, equal", 'MALFORMED', 'fails', own({ alg: 'ECDH-ES+A256KW' })),
    fails('5.5', "alg in the protected header and in our entry's, another", 'MALFORMED', 'fails', own({ alg: 'RSA-OAEP-256' })),
    fails('5.5', "alg in the protected header and in another entry's", 'MALFORMED', 'opens', others({ alg: 'ECDH-ES+A256KW' })),
    fails('5.5', "enc in the protected header and in our entry's", 'MALFORMED', 'fails', own({ enc: 'A256GCM' })),
    fails('5.5', "kid in the protected header and in our entry's", 'MALFORMED', 'fails', { ...soleOwn, header: (header) => (header['kid'] = 'billing-1') }),
    fails('5.5', "kid in the protected header and in the entries'", 'MALFORMED', 'fails', { ...two, header: (header) => (header['kid'] = 'billing-1') }),
    fails('5.5', "epk in the protected header and in our entry's", 'MALFORMED', 'fails', { ...sole, jwe: (jwe) => (first(jwe).header = { epk: billing.publicJwk }) }),
    fails('5.5', "a parameter that nobody knows in the protected header and in our entry's", 'MALFORMED', 'fails', shared('x')),
    fails('5.5', "apu in the protected header and in our entry's", 'MALFORMED', 'fails', shared('apu')),
    fails('5.5', "typ in the protected header and in our entry's", 'MALFORMED', 'fails', own({ typ: 'sealbus+jwe' })),
    fails('5.5', "kc in the protected header and in our entry's", 'MALFORMED', 'fails', { ...two, committed: Buffer.alloc(32), contentKey: Buffer.alloc(32), jwe: (jwe) => Object.assign(first(jwe).header ?? {}, { kc: 'x' }) }),
    fails('5.5', "msg in the protected header and in another entry's", 'MALFORMED', 'opens', others({ msg: {} })),
    fails('5.5', 'Flattened: kid in both headers', 'MALFORMED', 'fails', { ...soleOwn, form: 'flattened', header: (header) => (header['kid'] = 'billing-1') }),
    opens('5.5', 'kid in the protected header, for all entries', { to: [{ key: billing, kid: null }, { key: shipping, kid: null }], header: (header) => (header['kid'] = 'billing-1') }),
    opens('5.5', 'alg in each entry, although all share one', { ...two, header: (header) => delete header['alg'], jwe: (jwe) => [first(jwe), second(jwe)].forEach((each) => Object.assign(each.header ?? {}, { alg: 'ECDH-ES+A256KW' })) }),
  ]
}

function sizes(): readonly VectorCase[] {
  const gcm = [0, 8, 11, 13, 16]
  const truncated = (size: number, plan: Plan = two): Plan => changed((jwe) => (jwe.tag = resized(jwe.tag, size)), plan)
  const cbc: Plan = { ...two, enc: 'A256CBC-HS512' }
  const header = (size: number): Plan => ({
    ...two,
    headerText: (json) => json.replace(/}$/, `,"x":"${'x'.repeat(size - Buffer.byteLength(json) - 7)}"}`),
  })
  return [
    ...gcm.map((size) => fails('5.6', `an IV of ${size} bytes for A256GCM`, 'MALFORMED', 'fails', size === 0 ? changed((jwe) => (jwe.iv = '')) : { ...two, iv: fixedBytes('iv', size) })),
    fails('5.6', 'an IV of 8 bytes for A128GCM', 'MALFORMED', 'fails', { ...two, enc: 'A128GCM', iv: fixedBytes('iv', 8) }),
    ...[12, 15, 17].map((size) => fails('5.6', `an IV of ${size} bytes for A256CBC-HS512`, 'MALFORMED', 'fails', { ...cbc, jwe: (jwe) => (jwe.iv = resized(jwe.iv, size)) })),
    ...[0, 4, 8, 12, 15, 17, 32].map((size) => fails('5.6', `a tag of ${size} bytes for A256GCM`, 'MALFORMED', 'fails', truncated(size))),
    fails('5.6', 'a tag of 12 bytes for A128GCM', 'MALFORMED', 'fails', truncated(12, { ...two, enc: 'A128GCM' })),
    ...[0, 16, 31, 64].map((size) => fails('5.6', `a tag of ${size} bytes for A256CBC-HS512`, 'MALFORMED', 'fails', truncated(size, cbc))),
    opens('5.3', 'a protected header of 16,384 bytes', header(16_384)),
    fails('5.3', 'a protected header of 16,385 bytes', 'MALFORMED', 'opens', header(16_385)),
    fails('5.3', 'a protected header of 16,385 bytes, Compact', 'MALFORMED', 'opens', { ...header(16_385), to: [billing], form: 'compact' }),
  ]
}

/** Cut, or filled with zeros. */
function resized(code: string, size: number): string {
  const bytes = Buffer.alloc(size)
  Buffer.from(code, 'base64url').copy(bytes)
  return bytes.toString('base64url')
}
