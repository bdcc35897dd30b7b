import { opens, type VectorCase } from '../case.ts'
import { fixedBytes } from '../fixed-bytes.ts'
import { archive, audit, billing, customs, KEYS, ledger, partner, shipping, warehouse } from '../keys.ts'
import { gzipStored, zstdRaw } from '../compressed.ts'

const kinds = { 'P-256': billing, 'P-384': audit, 'P-521': archive, X25519: shipping, 'RSA, 2,048 bits': warehouse, 'RSA, 4,096 bits': ledger }
const TITLES = { general: 'General', flattened: 'Flattened', compact: 'Compact' } as const

/** Good envelopes: every algorithm, serialization and number of recipients. */
export function algorithms(): readonly VectorCase[] {
  return [
    ...['A256GCM', 'A128GCM', 'A256CBC-HS512'].flatMap((enc) =>
      Object.entries(kinds).map(([kind, key]) => opens(enc === 'A256GCM' ? (key.crv ? '4.2' : '4.3') : '4.4', `one recipient, ${kind}, ${enc}`, { to: [key], enc }, { keys: [key] })),
    ),
    ...(['general', 'flattened', 'compact'] as const).flatMap((form) =>
      [billing, warehouse].map((key) => opens('2.2', `${TITLES[form]}, one recipient, ${key.alg}`, { to: [key], form }, { keys: [key] })),
    ),
    ...[billing, shipping].map((key) => opens('2.1', `two recipients of one algorithm, opened by ${key.name}`, { to: [billing, shipping] }, { keys: [key] })),
    ...KEYS.map((key) => opens('2.1', `recipients of all algorithms, opened by ${key.name}`, { to: KEYS }, { keys: [key] })),
    ...[0, 99].map((index) => opens('2.1', `100 recipients, opened by number ${index + 1}`, {
      to: Array.from({ length: 100 }, (_, each) => (each === index ? billing : { key: shipping, kid: `service-${each}` })),
      msg: (msg) => (msg['to'] = Array.from({ length: 100 }, (_, each) => (each === index ? 'billing' : `service-${each}`))),
    })),
    opens('2.1', 'two recipients whose kids are the same: thumbprints stand for them', {
      to: [{ key: partner, kid: partner.thumbprint }, { key: billing, kid: billing.thumbprint }],
    }),
    opens('1.2', 'a kid beyond ASCII', { to: [billing, customs] }, { keys: [customs] }),
    opens('1.2', 'a kid beyond ASCII in the protected header, Compact', { to: [customs], form: 'compact' }, { keys: [customs] }),
    opens('4.4', 'an empty plaintext', { to: [billing, shipping], plaintext: Buffer.alloc(0) }),
    opens('4.4', 'an empty plaintext, A256CBC-HS512', { to: [billing], enc: 'A256CBC-HS512', plaintext: Buffer.alloc(0) }),
    opens('4.4', 'a plaintext of every byte', { to: [billing, shipping], plaintext: Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)) }),
    opens('4.4', 'a plaintext of 10,000 bytes', { to: [billing], plaintext: fixedBytes('plaintext', 10_000) }),
    ...([['apu', { apu: Buffer.from('Alice') }], ['apv', { apv: Buffer.from('Bob') }], ['apu and apv', { apu: Buffer.from('Alice'), apv: Buffer.from('Bob') }], ['apu and apv of 512 bytes', { apu: Buffer.alloc(512, 1), apv: Buffer.alloc(512, 2) }], ['an empty apu', { apu: Buffer.alloc(0) }]] as const).flatMap(([title, partyInfo]) => [
      opens('4.2', `${title} in our entry`, { to: [{ key: billing, ...partyInfo }, shipping] }),
      opens('4.2', `${title} in the protected header`, { to: [{ key: billing, ...partyInfo }] }),
    ]),
    opens('4.5', 'compressed with gzip', { to: [billing, shipping], plaintext: gzipStored(Buffer.from('{"total":9}')), msg: (msg) => (msg['z'] = 'gzip') }, {}, () => ({ plaintext: Buffer.from('{"total":9}').toString('base64url') })),
    opens('4.5', 'compressed with zstd', { to: [billing, shipping], plaintext: zstdRaw(Buffer.from('{"total":9}')), msg: (msg) => (msg['z'] = 'zstd') }, {}, () => ({ plaintext: Buffer.from('{"total":9}').toString('base64url') })),
    opens('4.5', 'compressed with gzip, an empty payload', { to: [billing, shipping], plaintext: gzipStored(Buffer.alloc(0)), msg: (msg) => (msg['z'] = 'gzip') }, {}, () => ({ plaintext: '' })),
  ]
}
