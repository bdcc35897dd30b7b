import { createHash } from 'node:crypto'
import { fails, type OpenerSettings, type Opening, opens, type VectorCase } from '../case.ts'
import { gzipStored, gzipZeros, zstdRaw, zstdZeros } from '../compressed.ts'
import type { Plan } from '../envelope.ts'
import { billing, shipping } from '../keys.ts'

const two: Plan = { to: [billing, shipping] }
const set = (members: Record<string, unknown>): Plan => ({ ...two, msg: (msg) => Object.assign(msg, members) })
const hashOf = (key: string): string => createHash('sha256').update(key).digest('base64url')
const code = (text: string): string => Buffer.from(text).toString('base64url')
const PAYLOAD_LIMIT = 16_777_216

/** Where the message was found, and decompression: docs/FORMAT.md §5.11 and §5.12. */
export function surroundings(): readonly VectorCase[] {
  return [...places(), ...recordKeys(), ...boundHeaders(), ...compression()]
}

const found = (opener: Partial<OpenerSettings>): { opener: Partial<OpenerSettings> } => ({ opener })
const mismatch = (name: string, plan: Plan, opener: Partial<OpenerSettings> = {}): VectorCase => fails('5.11', name, 'CONTEXT_MISMATCH', 'opens', plan, found(opener))

function places(): readonly VectorCase[] {
  return [
    mismatch('another channel', set({ ch: 'invoices' })),
    mismatch('a channel in other case', set({ ch: 'Orders' })),
    mismatch('another realm', set({ realm: 'staging' }), { realm: 'production' }),
    mismatch('no realm, where one is configured', two, { realm: 'production' }),
    opens('5.11', 'the realm that is configured', set({ realm: 'production' }), found({ realm: 'production' })),
    opens('5.11', 'a realm, where none is configured', set({ realm: 'production' })),
  ]
}

function recordKeys(): readonly VectorCase[] {
  const bound = set({ key: hashOf('42') })
  return [
    opens('5.11', 'the record key that is bound', bound, found({ recordKey: code('42') })),
    opens('5.11', 'an empty record key', set({ key: hashOf('') }), found({ recordKey: '' })),
    opens('5.11', 'no record key, and none bound', two, found({ recordKey: null })),
    opens('5.11', 'a transport without record keys, and none bound', two),
    mismatch('another record key', bound, { recordKey: code('43') }),
    mismatch('a bound record key, found on a record without one', bound, { recordKey: null }),
    mismatch('a bound record key, found on a transport that has none', bound),
    mismatch('a record key that is not bound', two, { recordKey: code('42') }),
    mismatch('an empty record key that is not bound', two, { recordKey: '' }),
    mismatch('an empty record key, bound, found on a record without one', set({ key: hashOf('') }), { recordKey: null }),
    mismatch('the record key itself instead of its hash', set({ key: Buffer.alloc(32, '42').toString('base64url') }), { recordKey: code('42') }),
    opens('5.11', 'another record key, where the channel does not bind it', bound, found({ recordKey: code('43'), bindKey: false })),
    opens('5.11', 'a bound record key on a transport without, where the channel does not bind it', bound, found({ bindKey: false })),
  ]
}

function boundHeaders(): readonly VectorCase[] {
  const tenant = (...values: string[]): Plan => set({ hdr: { tenant: values.map(code) } })
  const headers = (...values: string[]): Partial<OpenerSettings> => ({ headers: { tenant: values.map(code) } })
  return [
    opens('5.11', 'a bound header', tenant('acme'), found({ ...headers('acme'), bindHeaders: ['tenant'] })),
    opens('5.11', 'a bound header of two values', tenant('acme', 'corp'), found(headers('acme', 'corp'))),
    opens('5.11', 'a bound header that is empty', tenant(''), found(headers(''))),
    opens('5.11', 'a bound header beside others that are not', tenant('acme'), found({ headers: { tenant: [code('acme')], more: [code('x')] } })),
    opens('5.11', 'a bound header, on a transport without headers', tenant('acme'), found({ bindHeaders: ['tenant'] })),
    opens('5.11', 'a bound header named __proto__', { ...two, msg: (msg) => (msg['hdr'] = JSON.parse('{"__proto__":["YQ"]}')) }, { opener: { headers: JSON.parse('{"__proto__":["YQ"]}') as Record<string, string[]> } }),
    mismatch('another value of a bound header', tenant('acme'), headers('acne')),
    mismatch('a bound header that is missing', tenant('acme'), { headers: {} }),
    mismatch('a bound header with one value more', tenant('acme'), headers('acme', 'acme')),
    mismatch('a bound header with one value fewer', tenant('acme', 'corp'), headers('acme')),
    mismatch('a bound header whose values changed places', tenant('acme', 'corp'), headers('corp', 'acme')),
    mismatch('a bound header in other case', tenant('acme'), { headers: { Tenant: [code('acme')] } }),
    mismatch('a header that must be bound, and is not', two, { ...headers('acme'), bindHeaders: ['tenant'] }),
    mismatch('one of two headers that must be bound is not', tenant('acme'), { ...headers('acme'), bindHeaders: ['tenant', 'region'] }),
    mismatch('a header that must be bound, on a transport without headers', two, { bindHeaders: ['tenant'] }),
    mismatch('a header named constructor that must be bound', tenant('acme'), { ...headers('acme'), bindHeaders: ['constructor'] }),
  ]
}

function compression(): readonly VectorCase[] {
  const compressed = (z: string, plaintext: Buffer): Plan => ({ ...set({ z }), plaintext })
  const large = (): Partial<Opening> => ({ plaintextSize: PAYLOAD_LIMIT, plaintextSha256: createHash('sha256').update(Buffer.alloc(PAYLOAD_LIMIT)).digest('base64url') })
  const text = Buffer.from('{"total":9}')
  const changed = (bytes: Buffer, at: number): Buffer => Buffer.from(bytes.map((byte, index) => (index === at ? byte ^ 8 : byte)))
  return [
    ...([['gzip', gzipZeros], ['zstd', zstdZeros]] as const).flatMap(([z, zeros]) => [
      opens('5.12', `${z}: 16 MiB`, compressed(z, zeros(PAYLOAD_LIMIT)), {}, large),
      fails('5.12', `${z}: 16 MiB and a byte`, 'MALFORMED', 'opens', compressed(z, zeros(PAYLOAD_LIMIT + 1))),
    ]),
    fails('5.12', 'zstd: 256 MiB', 'MALFORMED', 'opens', compressed('zstd', zstdZeros(268_435_456))),
    fails('5.12', 'gzip: content that is not compressed', 'MALFORMED', 'opens', compressed('gzip', text)),
    fails('5.12', 'zstd: content that is not compressed', 'MALFORMED', 'opens', compressed('zstd', text)),
    fails('5.12', 'gzip: no content', 'MALFORMED', 'opens', compressed('gzip', Buffer.alloc(0))),
    fails('5.12', 'zstd: no content', 'MALFORMED', 'opens', compressed('zstd', Buffer.alloc(0))),
    fails('5.12', 'gzip by name, zstd in fact', 'MALFORMED', 'opens', compressed('gzip', zstdRaw(text))),
    fails('5.12', 'zstd by name, gzip in fact', 'MALFORMED', 'opens', compressed('zstd', gzipStored(text))),
    fails('5.12', 'gzip: cut off', 'MALFORMED', 'opens', compressed('gzip', gzipStored(text).subarray(0, -6))),
    fails('5.12', 'zstd: cut off', 'MALFORMED', 'opens', compressed('zstd', zstdRaw(text).subarray(0, -6))),
    fails('5.12', 'gzip: a checksum that is wrong', 'MALFORMED', 'opens', compressed('gzip', changed(gzipStored(text), gzipStored(text).length - 8))),
    fails('5.12', 'zstd: a reserved bit', 'MALFORMED', 'opens', compressed('zstd', changed(zstdRaw(text), 4))),
  ]
}
