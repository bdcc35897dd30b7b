import { createCipheriv, createHmac } from 'node:crypto'
import { fails, opens, type VectorCase } from '../case.ts'
import { encrypt } from '../content-encryption.ts'
import { type Jwe, type Members, type Plan, PLAINTEXT } from '../envelope.ts'
import { fixedBytes } from '../fixed-bytes.ts'
import { forkedContent } from '../forked-content.ts'
import { agree, archive, audit, billing, impostor, ledger, partner, shipping, warehouse } from '../keys.ts'
import { type Agreement, aesKeyWrap, agreeDirectly, concatKdf, rsaOaep256, rsaPkcs1, type Wrapped, wrap } from '../wrapping.ts'

const two: Plan = { to: [billing, shipping] }
const sole: Plan = { to: [billing] }
const rsa = { keys: [warehouse] }

/** Choosing our entry, checking it, unwrapping and decrypting: docs/FORMAT.md §5.8 to §5.10. */
export function cryptography(): readonly VectorCase[] {
  return [...choice(), ...algorithmNames(), ...keyLengths(), ...ephemeralKeys(), ...partyInfo(), ...derivations(), ...changedBits()]
}

function choice(): readonly VectorCase[] {
  const missing = (kid: string | null, plan: Plan = two): Plan => ({ ...plan, to: plan.to.map((each) => ('key' in each ? each : { key: each, ...(each === billing && { kid }) })) })
  const notOurs = (count: number): Plan => ({
    to: [...Array.from({ length: count }, (_, index) => ({ key: partner, contentKey: fixedBytes(`not ours ${index}`, 32) })), billing],
    msg: (msg) => (msg['to'] = ['partner', 'billing']),
  })
  const unnamed = (plan: Plan): Plan => ({ ...plan, msg: (msg) => (msg['to'] = ['somebody']) })
  const second = { ...partner.privateJwk, kid: 'billing-2' }
  return [
    opens('5.8', "our entry is named by the key's thumbprint", { to: [{ key: billing, kid: billing.thumbprint }, shipping] }),
    ...[1, 3].map((count) => opens('5.8', `${count} ${count === 1 ? 'entry' : 'entries'} of another key with our kid in front of ours`, notOurs(count))),
    fails('5.8', '4 entries of another key with our kid in front of ours', 'DECRYPT_FAILED', 'opens', notOurs(4)),
    ...['unknown-1', 'BILLING-1', '', 'billing-1 ', '__proto__', 'constructor'].map((kid) => fails('5.8', `no entry of ours, but our name in to: kid ${JSON.stringify(kid)}`, 'KEY_MISSING', 'opens', missing(kid))),
    ...['unknown-1', '__proto__'].map((kid) => fails('5.8', `no entry of ours, and our name not in to: kid ${JSON.stringify(kid)}`, 'NOT_A_RECIPIENT', 'opens', unnamed(missing(kid)))),
    fails('5.8', 'a kid of 10,000 characters', 'KEY_MISSING', 'opens', missing('k'.repeat(10_000))),
    fails('5.8', 'a foreign envelope without an entry of ours', 'NOT_A_RECIPIENT', 'opens', { ...missing('unknown-1'), header: (header) => ['typ', 'kc', 'msg'].forEach((name) => delete header[name]) }, { opener: { foreign: true } }),
    opens('5.8', 'a sole entry without kid, when one key fits', missing(null, sole), { keys: [billing, warehouse, audit] }),
    opens('5.8', 'a sole entry without kid, when one key fits, RSA', { to: [{ key: warehouse, kid: null }] }, { keys: [warehouse, billing] }),
    fails('5.8', 'a sole entry without kid, when two keys fit', 'KEY_MISSING', 'opens', missing(null, sole), { identities: [billing.privateJwk, second] }),
    fails('5.8', 'a sole entry without kid, when none fits', 'KEY_MISSING', 'fails', missing(null, sole), { identities: [audit.privateJwk, warehouse.privateJwk] }),
    fails('5.8', 'an entry without kid, when there are several', 'KEY_MISSING', 'opens', missing(null)),
  ]
}

function algorithmNames(): readonly VectorCase[] {
  const named = (alg: unknown): Plan => ({ ...two, header: (header) => (header['alg'] = alg) })
  const inEntry = (alg: unknown): Plan => ({ to: [billing, warehouse], jwe: (jwe) => Object.assign(jwe.recipients[0]?.header ?? {}, { alg }) })
  const direct = agreeDirectly(billing, 'direct agreement', 'A256GCM')
  const cek = fixedBytes('weak', 32)
  return [
    ...['dir', 'A256KW', 'A256GCMKW', 'PBES2-HS512+A256KW', 'RSA-OAEP', 'RSA1_5', 'RSA-OAEP-512', 'ECDH-ES+A192KW', 'ECDH-1PU+A256KW', 'ECDH-es+a256kw', 'none', '__proto__', '', 1, null, ['ECDH-ES+A256KW']].map((alg) => fails('5.9', `alg ${JSON.stringify(alg)}`, 'REFUSED', 'fails', named(alg))),
    ...['dir', 'ECDH-ES', 'RSA1_5', 1, null].map((alg) => fails('5.9', `alg ${JSON.stringify(alg)} in our entry`, 'REFUSED', 'fails', inEntry(alg))),
    fails('5.9', 'no alg', 'REFUSED', 'fails', { ...two, header: (header) => delete header['alg'] }),
    fails('5.9', 'no alg in our entry', 'REFUSED', 'fails', { to: [billing, warehouse], jwe: (jwe) => delete jwe.recipients[0]?.header?.['alg'] }),
    fails('5.9', 'alg RSA-OAEP-256 for a key on a curve', 'REFUSED', 'fails', named('RSA-OAEP-256')),
    fails('5.9', 'alg ECDH-ES+A256KW for an RSA key', 'REFUSED', 'fails', { to: [{ key: warehouse, alg: 'ECDH-ES+A256KW' }] }, rsa),
    fails('5.9', 'ECDH-ES+A128KW, wrapped with it', 'REFUSED', 'opens', { to: [{ key: billing, alg: 'ECDH-ES+A128KW', wrapped: (key, label) => wrap(billing, key, { label, alg: 'ECDH-ES+A128KW', bits: 128 }) }] }),
    fails('5.9', 'bare ECDH-ES', 'REFUSED', 'opens', { to: [{ key: billing, alg: 'ECDH-ES', wrapped: () => ({ epk: direct.epk, encryptedKey: Buffer.alloc(0) }) }], contentKey: direct.contentKey, form: 'compact' }),
    fails('5.9', 'RSA-OAEP with SHA-1, wrapped with it', 'REFUSED', 'opens', { to: [{ key: warehouse, alg: 'RSA-OAEP', wrapped: (key, label) => ({ epk: undefined, encryptedKey: rsaOaep256(warehouse, key, label, 'sha1') }) }] }, rsa),
    fails('5.9', 'RSA1_5, wrapped with it', 'REFUSED', 'opens', { to: [{ key: warehouse, alg: 'RSA1_5', wrapped: (key, label) => ({ epk: undefined, encryptedKey: rsaPkcs1(warehouse, key, label) }) }], contentKey: cek }, rsa),
  ]
}

function keyLengths(): readonly VectorCase[] {
  const sized = (size: number): Plan => ({ to: [{ key: billing, encryptedKey: (bytes) => Buffer.concat([bytes, Buffer.alloc(64)]).subarray(0, size) }, shipping] })
  const rsaSized = (size: number): Plan => ({ to: [{ key: warehouse, encryptedKey: (bytes) => Buffer.concat([Buffer.alloc(Math.max(0, size - bytes.length)), bytes]).subarray(-size || bytes.length) }] })
  const wrapped = (size: number): Plan => ({ to: [{ key: billing, contentKey: fixedBytes('short', size) }, shipping] })
  const rsaWrapped = (size: number): Plan => ({ to: [{ key: warehouse, contentKey: fixedBytes('short', size) }] })
  return [
    ...[0, 8, 16, 24, 39, 41, 48].map((size) => fails('5.9', `an encrypted_key of ${size} bytes for A256GCM`, 'MALFORMED', 'fails', sized(size))),
    ...[16, 24, 64].map((size) => fails('5.9', `a wrapped content key of ${size} bytes for A256GCM`, 'MALFORMED', 'fails', wrapped(size))),
    ...[255, 257, 512].map((size) => fails('5.9', `an encrypted_key of ${size} bytes for an RSA key of 2,048 bits`, 'MALFORMED', 'fails', rsaSized(size), rsa)),
    fails('5.9', 'an empty encrypted_key for an RSA key', 'MALFORMED', 'fails', { to: [{ key: warehouse, encryptedKey: () => Buffer.alloc(0) }] }, rsa),
    fails('5.9', 'an encrypted_key of 256 bytes for an RSA key of 4,096 bits', 'MALFORMED', 'fails', { to: [{ key: ledger, encryptedKey: (bytes) => bytes.subarray(0, 256) }] }, { keys: [ledger] }),
    ...[0, 16, 31, 33, 64].map((size) => fails('5.10', `a content key of ${size} bytes under RSA-OAEP-256 for A256GCM`, 'DECRYPT_FAILED', 'fails', rsaWrapped(size), rsa)),
  ]
}

/** Coordinates of P-256's points with x = 0, and the same x with the field's prime added. */
const P256_PRIME = 'ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'
const P256_ROOT_OF_B = '66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4'

/** RFC 7748's field, and its points of low order: agreement with one gives zero. */
const LOW_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000080',
]

const code = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url')

function ephemeralKeys(): readonly VectorCase[] {
  const epk = (edit: (epk: Members) => void): Plan => ({ to: [{ key: billing, epk: edit }, shipping] })
  const put = (values: Members): Plan => epk((each) => Object.assign(each, values))
  const montgomery = (edit: (epk: Members) => void): Plan => ({ to: [{ key: shipping, epk: edit }] })
  const x25519 = { keys: [shipping] }
  const inSole = (edit: (epk: Members) => void): Plan => ({ to: [{ key: billing, epk: edit }] })
  return [
    fails('5.9', 'no epk', 'MALFORMED', 'fails', { ...two, jwe: (jwe) => delete jwe.recipients[0]?.header?.['epk'] }),
    fails('5.9', 'no epk, sole recipient', 'MALFORMED', 'fails', { ...sole, header: (header) => delete header['epk'] }),
    ...[null, 'x', 1, []].map((value) => fails('5.9', `epk ${JSON.stringify(value)}`, 'MALFORMED', 'fails', { ...two, jwe: (jwe) => Object.assign(jwe.recipients[0]?.header ?? {}, { epk: value }) })),
    ...['kty', 'crv', 'x', 'y'].map((member) => fails('5.9', `epk without ${member}`, 'MALFORMED', 'fails', epk((each) => delete each[member]))),
    fails('5.9', 'epk with d', 'MALFORMED', 'fails', put({ d: fixedBytes('d', 32).toString('base64url') })),
    fails('5.9', 'epk with d that is null', 'MALFORMED', 'fails', put({ d: null })),
    fails('5.9', 'epk with d in the protected header, Compact', 'MALFORMED', 'fails', { ...inSole((each) => (each['d'] = 'AAAA')), form: 'compact' }),
    fails('5.9', 'epk with kty OKP', 'MALFORMED', 'fails', put({ kty: 'OKP' })),
    fails('5.9', 'epk with kty ec', 'MALFORMED', 'fails', put({ kty: 'ec' })),
    ...['P-384', 'P-521', 'X25519', 'secp256k1', 'p-256', 1].map((crv) => fails('5.9', `epk with crv ${crv}, the rest of P-256`, 'MALFORMED', 'fails', put({ crv }))),
    fails('5.9', 'epk on P-384 for a key on P-256', 'MALFORMED', 'fails', { to: [{ key: billing, wrapped: (key, label) => ({ ...wrap(audit, key, { label }) }) }, shipping] }),
    fails('5.9', 'epk on X25519 for a key on P-256', 'MALFORMED', 'fails', { to: [{ key: billing, wrapped: (key, label) => ({ ...wrap(shipping, key, { label }) }) }, shipping] }),
    ...(['x', 'y'] as const).flatMap((member) => [
      fails('5.9', `epk with ${member} of 31 bytes`, 'MALFORMED', 'fails', epk((each) => (each[member] = Buffer.from(String(each[member]), 'base64url').subarray(1).toString('base64url')))),
      fails('5.9', `epk with ${member} of 33 bytes, zero in front`, 'MALFORMED', 'opens', epk((each) => (each[member] = Buffer.concat([Buffer.alloc(1), Buffer.from(String(each[member]), 'base64url')]).toString('base64url')))),
      fails('5.9', `epk with an empty ${member}`, 'MALFORMED', 'fails', put({ [member]: '' })),
      fails('5.9', `epk with ${member} that is a number`, 'MALFORMED', 'fails', put({ [member]: 1 })),
    ]),
    fails('5.9', 'epk on P-521 with x of 65 bytes', 'MALFORMED', 'fails', { to: [{ key: archive, epk: (each) => (each['x'] = Buffer.from(String(each['x']), 'base64url').subarray(1).toString('base64url')) }] }, { keys: [archive] }),
    fails('5.10', 'epk off the curve: y changed', 'DECRYPT_FAILED', 'fails', epk((each) => (each['y'] = flipLast(String(each['y']))))),
    fails('5.10', 'epk off the curve: x changed', 'DECRYPT_FAILED', 'fails', epk((each) => (each['x'] = flipLast(String(each['x']))))),
    fails('5.10', 'epk off the curve, in the protected header', 'DECRYPT_FAILED', 'fails', inSole((each) => (each['y'] = flipLast(String(each['y']))))),
    fails('5.10', 'epk of zeros', 'DECRYPT_FAILED', 'fails', put({ x: code('00'.repeat(32)), y: code('00'.repeat(32)) })),
    fails('5.10', 'epk whose x is the prime: a point on the curve, not reduced', 'DECRYPT_FAILED', 'fails', { to: [{ key: billing, wrapped: (key) => onEdge(key, P256_PRIME) }, shipping] }),
    opens('5.9', 'epk whose x is 0: a point on the curve', { to: [{ key: billing, wrapped: (key) => onEdge(key, '00'.repeat(32)) }, shipping] }),
    fails('5.10', 'epk that is another point of the curve', 'DECRYPT_FAILED', 'fails', put({ x: partner.publicJwk['x'], y: partner.publicJwk['y'] })),
    opens('5.9', 'epk with members that nobody knows', put({ ext: true, use: 'enc', kid: 'x' })),
    ...LOW_ORDER.map((hex) => fails('5.10', `X25519: epk of low order, ${hex.slice(0, 8)}…${hex.slice(-2)}`, 'DECRYPT_FAILED', 'fails', {
      // The agreed secret of all of them is zero, so that the key is wrapped as an attacker would.
      to: [{ key: shipping, wrapped: (key) => ({ epk: { kty: 'OKP', crv: 'X25519', x: code(hex) }, encryptedKey: aesKeyWrap(zeroAgreement(), key) }) }],
    }, x25519)),
    ...[0, 31, 33].map((size) => fails('5.9', `X25519: epk of ${size} bytes`, 'MALFORMED', 'fails', montgomery((each) => (each['x'] = fixedBytes('x', size).toString('base64url'))), x25519)),
    fails('5.9', 'X25519: epk with d', 'MALFORMED', 'fails', montgomery((each) => (each['d'] = fixedBytes('d', 32).toString('base64url'))), x25519),
    fails('5.9', 'X25519: epk with crv X448', 'MALFORMED', 'fails', montgomery((each) => (each['crv'] = 'X448')), x25519),
    opens('5.9', 'X25519: epk with the top bit set, which RFC 7748 ignores', montgomery((each) => (each['x'] = withTopBit(String(each['x'])))), x25519),
  ]
}

/** Changes the last byte, not only its stray bits. */
function flipLast(text: string): string {
  const bytes = Buffer.from(text, 'base64url')
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
  return bytes.toString('base64url')
}

function withTopBit(text: string): string {
  const bytes = Buffer.from(text, 'base64url')
  bytes[31] = (bytes[31] ?? 0) | 0x80
  return bytes.toString('base64url')
}

/** Wrapped for billing with an ephemeral key whose private half nobody knows, by agreeing from billing's side. */
function onEdge(contentKey: Buffer, x: string): Wrapped {
  const y = code(P256_ROOT_OF_B)
  const secret = agree(billing.privateJwk, { x: code('00'.repeat(32)), y })
  return { epk: { kty: 'EC', crv: 'P-256', x: code(x), y }, encryptedKey: aesKeyWrap(concatKdf(secret, { label: '' }), contentKey) }
}

const zeroAgreement = (): Buffer => concatKdf(Buffer.alloc(32), { label: '' })

function partyInfo(): readonly VectorCase[] {
  const inHeader = (edit: Members): Plan => ({ ...two, jwe: (jwe) => Object.assign(jwe.recipients[0]?.header ?? {}, edit) })
  return [
    ...(['apu', 'apv'] as const).flatMap((name) => [
      fails('5.9', `${name} of 513 bytes`, 'MALFORMED', 'opens', { to: [{ key: billing, [name]: Buffer.alloc(513) }, shipping] }),
      ...[1, null, ['QQ']].map((value) => fails('5.9', `${name} ${JSON.stringify(value)}`, 'MALFORMED', 'fails', inHeader({ [name]: value }))),
      fails('5.10', `${name} in the header that did not enter the agreement`, 'DECRYPT_FAILED', 'fails', inHeader({ [name]: 'QQ' })),
      fails('5.10', `${name} in the agreement that is not in the header`, 'DECRYPT_FAILED', 'fails', { to: [{ key: billing, [name]: Buffer.from('A') }, shipping], jwe: (jwe) => delete jwe.recipients[0]?.header?.[name] }),
    ]),
    fails('5.10', 'apu and apv exchanged', 'DECRYPT_FAILED', 'fails', { to: [{ key: billing, apu: Buffer.from('A'), apv: Buffer.from('B') }, shipping], jwe: (jwe) => Object.assign(jwe.recipients[0]?.header ?? {}, { apu: 'Qg', apv: 'QQ' }) }),
  ]
}

/** Keys and tags that another derivation gave, as an implementation with a mistake would write them. */
function derivations(): readonly VectorCase[] {
  const derived = (agreement: Partial<Agreement>): Plan => ({ to: [{ key: billing, wrapped: (key, label) => wrap(billing, key, { label, ...agreement }) }, shipping] })
  const oaep = (hash: string, maskHash: string): Plan => ({ to: [{ key: warehouse, wrapped: (key, label) => ({ epk: undefined, encryptedKey: rsaOaep256(warehouse, key, label, hash, maskHash) }) }] })
  const contentKey = fixedBytes('derivations', 32)
  const longKey = fixedBytes('derivations', 64)
  const gcmOver = (aad: (protectedHeader: string) => string): Plan => ({ ...two, contentKey, content: (header, iv) => encrypt('A256GCM', contentKey, iv, aad(header), PLAINTEXT) })
  const cbc = (content: (aad: Buffer, iv: Buffer) => { ciphertext: Buffer; tag: Buffer }): Plan => ({ ...two, enc: 'A256CBC-HS512', contentKey: longKey, content: (header, iv) => content(Buffer.from(header), iv) })
  const fork = forkedContent(PLAINTEXT)
  const both: Plan = { to: [{ key: billing, contentKey: fork.first.key }, { key: shipping, contentKey: fork.second.key }], iv: fork.iv, content: fork.encrypt }
  return [
    fails('5.10', 'the agreement took A256KW for its algorithm', 'DECRYPT_FAILED', 'fails', derived({ alg: 'A256KW' })),
    fails('5.10', 'the agreement took enc for its algorithm', 'DECRYPT_FAILED', 'fails', derived({ alg: 'A256GCM' })),
    fails('5.10', 'the agreement took 512 for the length of the wrapping key', 'DECRYPT_FAILED', 'fails', derived({ toldBits: 512 })),
    fails('5.10', 'RSA-OAEP-256 whose mask hash is SHA-1', 'DECRYPT_FAILED', 'fails', oaep('sha256', 'sha1'), rsa),
    fails('5.10', 'RSA-OAEP-256 by name, SHA-1 in fact', 'DECRYPT_FAILED', 'fails', oaep('sha1', 'sha1'), rsa),
    fails('5.10', 'RSA-OAEP-256 by name, RSA1_5 in fact', 'DECRYPT_FAILED', 'fails', { to: [{ key: warehouse, wrapped: (key, label) => ({ epk: undefined, encryptedKey: rsaPkcs1(warehouse, key, label) }) }] }, rsa),
    fails('5.10', "an RSA key of somebody else under our kid", 'DECRYPT_FAILED', 'fails', { to: [warehouse] }, { keys: [impostor], opener: { name: 'warehouse' } }),
    fails('5.10', 'wrapped for another key under our kid', 'DECRYPT_FAILED', 'fails', { to: [{ key: partner }, shipping], msg: (msg) => (msg['to'] = ['billing', 'shipping']) }),
    fails('5.10', 'another content key than ours encrypted', 'DECRYPT_FAILED', 'fails', { to: [{ key: billing, contentKey: fixedBytes('other', 32) }, shipping] }),
    fails('5.10', 'the tag is over the decoded header', 'DECRYPT_FAILED', 'fails', gcmOver((header) => Buffer.from(header, 'base64url').toString())),
    fails('5.10', 'the tag is over no header', 'DECRYPT_FAILED', 'fails', gcmOver(() => '')),
    fails('5.10', 'the tag is over header and an empty aad', 'DECRYPT_FAILED', 'fails', gcmOver((header) => `${header}.`)),
    opens('5.10', 'two content keys under one tag: the one that kc commits to', { ...both, committed: fork.first.key }, {}, () => ({ plaintext: fork.first.plaintext().toString('base64url') })),
    fails('5.10', 'two content keys under one tag: the one that kc does not commit to', 'DECRYPT_FAILED', 'opens', { ...both, committed: fork.first.key }, { keys: [shipping] }),
    opens('5.10', 'two content keys under one tag, foreign: nothing commits', { ...both, header: (header) => ['typ', 'kc', 'cty', 'msg'].forEach((name) => delete header[name]) }, { keys: [shipping], opener: { foreign: true } }, () => ({ plaintext: fork.second.plaintext().toString('base64url') })),
    fails('5.10', 'A256CBC-HS512: the length of the header in bytes', 'DECRYPT_FAILED', 'fails', cbc((aad, iv) => cbcHmac(longKey, aad, iv, { headerLength: aad.length }))),
    fails('5.10', 'A256CBC-HS512: the halves of the key exchanged', 'DECRYPT_FAILED', 'fails', cbc((aad, iv) => cbcHmac(Buffer.concat([longKey.subarray(32), longKey.subarray(0, 32)]), aad, iv))),
    fails('5.10', 'A256CBC-HS512: the tag is the second half of the MAC', 'DECRYPT_FAILED', 'fails', cbc((aad, iv) => cbcHmac(longKey, aad, iv, { tagFrom: 32 }))),
    fails('5.10', 'A256CBC-HS512: the MAC is right, the padding is not', 'DECRYPT_FAILED', 'fails', cbc((aad, iv) => cbcHmac(longKey, aad, iv, { padded: Buffer.from('{"total":9}\0\0\0\0\x06', 'latin1') }))),
    fails('5.10', 'A256CBC-HS512: the MAC is right, there is no block', 'DECRYPT_FAILED', 'fails', cbc((aad, iv) => cbcHmac(longKey, aad, iv, { ciphertext: Buffer.alloc(0) }))),
    fails('5.10', 'A256CBC-HS512: the MAC is right, a block is cut', 'DECRYPT_FAILED', 'fails', cbc((aad, iv) => cbcHmac(longKey, aad, iv, { ciphertext: Buffer.alloc(15) }))),
  ]
}

interface Mistakes {
  readonly headerLength?: number
  readonly tagFrom?: number
  readonly padded?: Buffer
  readonly ciphertext?: Buffer
}

/** RFC 7518 §5.2.2.1 with one thing done otherwise. */
function cbcHmac(key: Buffer, aad: Buffer, iv: Buffer, mistakes: Mistakes = {}): { ciphertext: Buffer; tag: Buffer } {
  const padded = mistakes.padded ?? Buffer.concat([PLAINTEXT, Buffer.alloc(16 - (PLAINTEXT.length % 16), 16 - (PLAINTEXT.length % 16))])
  const ciphertext = mistakes.ciphertext ?? createCipheriv('aes-256-cbc', key.subarray(32), iv).setAutoPadding(false).update(padded)
  const length = Buffer.alloc(8)
  length.writeUInt32BE(mistakes.headerLength ?? aad.length * 8, 4)
  const mac = createHmac('sha512', key.subarray(0, 32)).update(Buffer.concat([aad, iv, ciphertext, length])).digest()
  const from = mistakes.tagFrom ?? 0
  return { ciphertext, tag: mac.subarray(from, from + 32) }
}

function changedBits(): readonly VectorCase[] {
  const bit = (change: (jwe: Jwe, flip: (text: string) => string) => void): Plan => ({ ...two, jwe: (jwe) => change(jwe, flipLast) })
  const swapped = fixedBytes('swapped', 12)
  return [
    fails('5.10', 'one bit of the ciphertext', 'DECRYPT_FAILED', 'fails', bit((jwe, flip) => (jwe.ciphertext = flip(jwe.ciphertext)))),
    fails('5.10', 'one bit of the tag', 'DECRYPT_FAILED', 'fails', bit((jwe, flip) => (jwe.tag = flip(jwe.tag)))),
    fails('5.10', 'one bit of the IV', 'DECRYPT_FAILED', 'fails', bit((jwe, flip) => (jwe.iv = flip(jwe.iv)))),
    fails('5.10', 'one bit of our encrypted_key', 'DECRYPT_FAILED', 'fails', { to: [{ key: billing, encryptedKey: (bytes) => Buffer.from(flipLast(bytes.toString('base64url')), 'base64url') }, shipping] }),
    fails('5.10', 'one bit of our encrypted_key, RSA', 'DECRYPT_FAILED', 'fails', { to: [{ key: warehouse, encryptedKey: (bytes) => Buffer.from(flipLast(bytes.toString('base64url')), 'base64url') }] }, rsa),
    fails('5.10', 'an RSA encrypted_key above the modulus', 'DECRYPT_FAILED', 'fails', { to: [{ key: warehouse, encryptedKey: (bytes) => Buffer.alloc(bytes.length, 0xff) }] }, rsa),
    fails('5.10', 'one bit of our encrypted_key, Compact', 'DECRYPT_FAILED', 'fails', { to: [{ key: billing, encryptedKey: (bytes) => Buffer.from(flipLast(bytes.toString('base64url')), 'base64url') }], form: 'compact' }),
    fails('5.10', 'a character of the protected header, after the tag was made', 'DECRYPT_FAILED', 'fails', bit((jwe) => (jwe.protected = recoded(jwe.protected, (text) => text.replace('"ch":"orders"', '"ch":"ordeRs"'))))),
    fails('5.10', 'white space in the protected header, after the tag was made', 'DECRYPT_FAILED', 'fails', bit((jwe) => (jwe.protected = recoded(jwe.protected, (text) => `${text} `)))),
    fails('5.10', 'the ciphertext cut by a byte', 'DECRYPT_FAILED', 'fails', bit((jwe) => (jwe.ciphertext = Buffer.from(jwe.ciphertext, 'base64url').subarray(0, -1).toString('base64url')))),
    fails('5.10', 'an empty ciphertext where there was one', 'DECRYPT_FAILED', 'fails', bit((jwe) => (jwe.ciphertext = ''))),
    fails('5.10', 'the IV of another message', 'DECRYPT_FAILED', 'fails', bit((jwe) => (jwe.iv = swapped.toString('base64url')))),
    fails('5.10', 'A256CBC-HS512: one bit of the tag', 'DECRYPT_FAILED', 'fails', { ...bit((jwe, flip) => (jwe.tag = flip(jwe.tag))), enc: 'A256CBC-HS512' }),
    fails('5.10', 'A128GCM: one bit of the tag', 'DECRYPT_FAILED', 'fails', { ...bit((jwe, flip) => (jwe.tag = flip(jwe.tag))), enc: 'A128GCM' }),
  ]
}

function recoded(text: string, edit: (json: string) => string): string {
  return Buffer.from(edit(Buffer.from(text, 'base64url').toString())).toString('base64url')
}
