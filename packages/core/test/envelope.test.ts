import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import type { JWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { contentEncryption } from '../src/algorithms.ts'
import { defineChannels } from '../src/channels.ts'
import { encodeContext } from '../src/context.ts'
import { decodeEnvelope, draftEnvelope, type EnvelopeForm, envelopeContentType, envelopeForm, fullContentType, headerParameter, looksSealed } from '../src/envelope.ts'
import { isSealbusError } from '../src/errors.ts'
import { loadIdentities } from '../src/identities.ts'
import { createOpener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import type { WrappedKey } from '../src/wrap.ts'
import { forge, keyMembers, knownContentKey } from '../fuzz/forgery.ts'
import { writeEnvelope } from './support/envelopes.ts'
import { testDirectory, testKey, type TestKey } from './support/keys.ts'
import { codeOf } from './support/thrown.ts'

const COMMITMENT = Buffer.alloc(32, 1)
const KC = COMMITMENT.toString('base64url')
const EPK = { kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32, 2).toString('base64url') }
const CONTEXT = encodeContext({ id: 'm-1', iat: 1, channel: 'orders', to: ['a'] })
const [IV, CIPHERTEXT, TAG] = [Buffer.alloc(12, 3), Buffer.from('ciphertext'), Buffer.alloc(16, 4)]
const ecdh = (kid: string): WrappedKey => ({ kid, thumbprint: `print of ${kid}`, alg: 'ECDH-ES+A256KW', epk: EPK, encryptedKey: Buffer.alloc(40, 5) })
const rsa = (kid: string): WrappedKey => ({ kid, thumbprint: `print of ${kid}`, alg: 'RSA-OAEP-256', encryptedKey: Buffer.alloc(256, 6) })
const write = (form: EnvelopeForm, contentType?: string): Buffer => writeEnvelope(form, { contentType, context: CONTEXT, iv: IV, ciphertext: CIPHERTEXT, tag: TAG })
const general = (...wrapped: WrappedKey[]): Buffer => write(envelopeForm('A256GCM', COMMITMENT, wrapped, 'general'))
const compact = (): Buffer => write(envelopeForm('A256GCM', COMMITMENT, [ecdh('a')], 'compact'))
const parse = (bytes: Buffer): Record<string, unknown> & { protected: string } => JSON.parse(bytes.toString()) as Record<string, unknown> & { protected: string }
const headerText = (bytes: Buffer): string => Buffer.from(parse(bytes).protected, 'base64url').toString()

describe('envelope: as it is written', () => {
  it('one recipient: `kid` and `epk` in the protected header, and no header beside it', () => {
    const bytes = general(ecdh('a'))
    expect(headerText(bytes)).toBe(`{"typ":"sealbus+jwe","alg":"ECDH-ES+A256KW","enc":"A256GCM","kid":"a","epk":${JSON.stringify(EPK)},"kc":"${KC}","msg":${CONTEXT}}`)
    const jwe = parse(bytes)
    expect(bytes.toString()).toBe(JSON.stringify(jwe))
    expect(Object.keys(jwe)).toEqual(['protected', 'recipients', 'iv', 'ciphertext', 'tag'])
    expect(jwe['recipients']).toEqual([{ encrypted_key: Buffer.alloc(40, 5).toString('base64url') }])
  })

  it('several recipients: `kid` and `epk` in each header, and `alg` there only where they differ', () => {
    const alike = general(ecdh('a'), ecdh('b'))
    expect(headerText(alike)).toBe(`{"typ":"sealbus+jwe","alg":"ECDH-ES+A256KW","enc":"A256GCM","kc":"${KC}","msg":${CONTEXT}}`)
    expect(parse(alike)['recipients']).toMatchObject([{ header: { kid: 'a', epk: EPK } }, { header: { kid: 'b', epk: EPK } }])
    const mixed = general(ecdh('a'), rsa('b'))
    expect(headerText(mixed)).not.toContain('"alg"')
    expect(parse(mixed)['recipients']).toMatchObject([{ header: { alg: 'ECDH-ES+A256KW', kid: 'a', epk: EPK } }, { header: { alg: 'RSA-OAEP-256', kid: 'b' } }])
    expect(mixed.toString()).toBe(JSON.stringify(parse(mixed)))
  })

  it('compact is five segments of the same content', () => {
    const jwe = parse(general(ecdh('a')))
    const [{ encrypted_key: encryptedKey } = expect.fail()] = jwe['recipients'] as { encrypted_key: string }[]
    expect(compact().toString()).toBe([jwe.protected, encryptedKey, jwe['iv'], jwe['ciphertext'], jwe['tag']].join('.'))
    expect(() => envelopeForm('A256GCM', COMMITMENT, [ecdh('a'), ecdh('b')], 'compact')).toThrow(TypeError)
  })

  it('the protected header ends at 16 KiB', () => {
    const form = envelopeForm('A256GCM', COMMITMENT, [ecdh('a')], 'general')
    const row = contentEncryption('A256GCM') ?? expect.fail()
    /** The protected header's size in bytes, with this text as context. */
    const size = (context: string): number | undefined => {
      const aad = draftEnvelope(form, row, undefined, JSON.stringify(context), 0)?.aad
      return aad && Buffer.from(aad.toString('latin1'), 'base64url').length
    }
    const room = 16_384 - (size('') ?? expect.fail())
    expect(size('x'.repeat(room))).toBe(16_384)
    expect(size('x'.repeat(room + 1))).toBeUndefined()
    // Bytes, not characters.
    expect(size('é'.repeat(room / 2 + 1))).toBeUndefined()
  })

  it.each([
    ['application/json', 'json'],
    ['application/json; charset=utf-8', 'json; charset=utf-8'],
    ['application/x; p="a/b"', 'application/x; p="a/b"'],
    ['text/plain', 'text/plain'],
    ['application/vnd.acme+json', 'vnd.acme+json'],
  ])('content type %s is `cty` %s, and comes back', (contentType, cty) => {
    const bytes = write(envelopeForm('A256GCM', COMMITMENT, [ecdh('a')], 'general'), contentType)
    expect(JSON.parse(headerText(bytes))).toMatchObject({ cty })
    expect(fullContentType(decodeEnvelope(bytes).cty ?? '')).toBe(contentType)
  })
})

describe('envelope: as it is read', () => {
  it('what was written, whatever the kids hold', () => {
    const kid = fc.string({ unit: 'binary', maxLength: 30 })
    fc.assert(
      fc.property(fc.array(kid, { minLength: 1, maxLength: 5 }), (kids) => {
        const envelope = decodeEnvelope(general(...kids.map((each) => ecdh(each))))
        expect(envelope.entries.map((entry) => entry.kid)).toEqual(kids)
        for (const entry of envelope.entries) {
          expect({ ...(headerParameter(entry, 'epk') as object) }).toEqual(EPK)
          expect(headerParameter(entry, 'alg')).toBe('ECDH-ES+A256KW')
          expect(entry.encryptedKey).toEqual(Buffer.alloc(40, 5))
        }
        expect([envelope.iv, envelope.ciphertext, envelope.tag]).toEqual([IV, CIPHERTEXT, TAG])
        expect(envelope.native).toMatchObject({ commitment: COMMITMENT, context: { id: 'm-1', channel: 'orders' } })
      }),
    )
  })

  it('General, Flattened and Compact are one', () => {
    const bytes = general(ecdh('a'))
    const { recipients, ...rest } = parse(bytes)
    const [entry] = recipients as { encrypted_key: string }[]
    const expected = JSON.stringify(decodeEnvelope(bytes))
    expect(JSON.stringify(decodeEnvelope(Buffer.from(JSON.stringify({ ...rest, ...entry }))))).toBe(expected)
    expect(JSON.stringify(decodeEnvelope(compact()))).toBe(expected)
  })

  it.each(['sealbus+jwe', 'SEALBUS+JWE', 'application/sealbus+jwe', 'Application/Sealbus+Jwe'])('typ %s is native', (typ) => {
    const jwe = parse(general(ecdh('a')))
    const made = { ...jwe, protected: Buffer.from(headerText(general(ecdh('a'))).replace('sealbus+jwe', typ)).toString('base64url') }
    expect(decodeEnvelope(Buffer.from(JSON.stringify(made))).native).toBeDefined()
  })

  it.each<[string, () => Buffer]>([
    ['nothing', () => Buffer.alloc(0)],
    ['white space', () => Buffer.from(' \n')],
    ['an array', () => Buffer.from('[]')],
    ['a cut envelope', () => general(ecdh('a')).subarray(0, -1)],
    ['something after it', () => Buffer.concat([general(ecdh('a')), Buffer.from('x')])],
    ['two envelopes', () => Buffer.concat([general(ecdh('a')), general(ecdh('a'))])],
    ['a byte order mark', () => Buffer.concat([Buffer.from('\ufeff'), general(ecdh('a'))])],
    ['UTF-16', () => Buffer.from(general(ecdh('a')).toString(), 'utf16le')],
    ['bytes that are no UTF-8', () => Buffer.from(general(ecdh('kid')).toString().replace('"iv"', '"\u00ffv"'), 'latin1')],
    ['four segments', () => Buffer.from(compact().toString().split('.').slice(1).join('.'))],
    ['six segments', () => Buffer.concat([compact(), Buffer.from('.AA')])],
    ['a compact one with a line end', () => Buffer.concat([compact(), Buffer.from('\n')])],
    ['a million dots', () => Buffer.alloc(1_000_000, '.')],
    ['a hundred thousand brackets', () => Buffer.from('{"protected":'.repeat(100_000))],
  ])('%s is malformed, and settled quickly', (_title, make) => {
    const bytes = make()
    const start = performance.now()
    expect(codeOf(() => decodeEnvelope(bytes))).toBe('ERR_SEALBUS_MALFORMED')
    expect(performance.now() - start).toBeLessThan(500)
  })

  it.each(['unprotected', 'aad'])('says that it is `%s` that is refused', (member) => {
    const bytes = Buffer.from(JSON.stringify({ ...parse(general(ecdh('a'))), [member]: 'x' }))
    expect(() => decodeEnvelope(bytes)).toThrow(`\`${member}\``)
  })

  it('any member replaced by any JSON: an envelope or a SealbusError', () => {
    const jwe = { ...parse(general(ecdh('a'), ecdh('b'))), header: {}, encrypted_key: 'AAAA' }
    fc.assert(
      fc.property(fc.subarray(Object.keys(jwe), { minLength: 1, maxLength: 3 }), fc.array(fc.jsonValue({ maxDepth: 4 }), { minLength: 3, maxLength: 3 }), (members, values) => {
        const made = { ...jwe, ...Object.fromEntries(members.map((member, index) => [member, values[index]])) }
        try {
          decodeEnvelope(Buffer.from(JSON.stringify(made)))
        } catch (error) {
          expect(isSealbusError(error)).toBe(true)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('envelope: recognized', () => {
  const encoded = (text: string): string => Buffer.from(text).toString('base64url')
  const jwe = (): Record<string, unknown> => parse(general(ecdh('a')))

  it.each<[string, () => Buffer]>([
    ['as sealed', () => general(ecdh('a'))],
    ['compact', compact],
    ['compact, with white space round it', () => Buffer.from(`\n ${compact().toString()}\r\n`)],
    ['in another order', () => Buffer.from(JSON.stringify(Object.fromEntries(Object.entries(jwe()).toReversed())))],
    ['with white space', () => Buffer.from(` \n${JSON.stringify(jwe(), null, 2)}`)],
    ['with escaped names', () => Buffer.from(JSON.stringify(jwe()).replace('"protected"', '"\\u0070rotected"').replace('"ciphertext"', '"\\u0063iphertext"').replace('{', '{ '))],
    ['behind a byte order mark', () => Buffer.concat([Buffer.from('\ufeff'), general(ecdh('a'))])],
    ['compact, behind a byte order mark', () => Buffer.from(`\ufeff${compact().toString()}`)],
    ['compact, behind a byte order mark and white space', () => Buffer.from(`\ufeff \n${compact().toString()}\n`)],
    ['cut in the middle', () => general(ecdh('a')).subarray(0, 100)],
    ['cut in the middle, behind a byte order mark', () => Buffer.from(`\ufeff${general(ecdh('a')).toString('utf8', 0, 100)}`)],
    ['cut in the middle, behind white space', () => Buffer.from(`\r\n\t ${general(ecdh('a')).toString('utf8', 0, 100)}`)],
    ['cut in the middle, in another order', () => Buffer.from(JSON.stringify({ ciphertext: '', ...jwe() }).slice(0, 100))],
    ['damaged by a byte order mark inside', () => Buffer.from('{"ciphertext":1,\ufeff"protected":2}')],
    ['one name in an escape', () => Buffer.from('{ "protected":"","\\u0063iphertext":""}')],
    ['an escape of a letter that has a hexadecimal one', () => Buffer.from('{"pr\\u006Ftected":"","ciphertext":""}')],
    ['names behind strings with quotes and backslashes', () => Buffer.from('{"a\\"":"\\\\","b":["}"],"protected":"","ciphertext":""}')],
    ['white space before the colons', () => Buffer.from('{"protected" : "" , "ciphertext"\n: ""}')],
    ...[' ', '\n', '\t', '\r'].map((space): [string, () => Buffer] => [`compact, with ${JSON.stringify(space)} before its header`, () => Buffer.from(`${encoded(`${space}{"enc":"A256GCM"}`)}.AA.AA.AA.AA`)]),
    ...[' ', '\n', '\t', '\r'].map((space): [string, () => Buffer] => [`an object after ${JSON.stringify(space)}`, () => Buffer.from(`${space}{"ciphertext":"","protected":""}`)]),
    ['more than 32 MiB, which is not looked into', () => Buffer.alloc(33_554_433, 'x')],
    ['five segments with a first of more than 16,384 bytes, whatever they are', () => Buffer.from(`${encoded('x'.repeat(16_385))}.a.b.c.d`)],
    ['an object with little more than the names', () => Buffer.from('{"ciphertext":null,"protected":null}')],
  ])('%s', (_title, make) => expect(looksSealed(make())).toBe(true))

  it.each(['application/jose', 'application/jose+json', 'Application/JOSE+JSON', ' application/jose ; x=y'])('anything of type %s', (contentType) => {
    expect(looksSealed(Buffer.from('anything'), contentType)).toBe(true)
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['a text', 'hello'],
    ['an object', '{"total":9}'],
    ['the names as values', '["protected","ciphertext"]'],
    ['the names further inside', '{"a":{"protected":"","ciphertext":""}}'],
    ['only one of the names', '{"protected":{"a":1}}'],
    ['only the other name', '{"ciphertext":{"a":1}}'],
    ['one name, and the other as a value', '{"protected":1,"a":"ciphertext"}'],
    ['the other name, and the first as a value', '{"ciphertext":"","a":"protected"}'],
    ['null with the names behind it', 'null "protected" "ciphertext"'],
    // A byte order mark is ef bb bf; these are ef 80 bf, ef bb 81 and e2 bb bf.
    ['an object behind something else, without the second byte', '\uf03f{"protected":1,"ciphertext":2}'],
    ['an object behind something else, without the third byte', '\ufec1{"protected":1,"ciphertext":2}'],
    ['an object behind something else, without the first byte', '\u2eff{"protected":1,"ciphertext":2}'],
    ['an object behind two byte order marks', '\ufeff\ufeff{"protected":1,"ciphertext":2}'],
    ['five segments, the first of them null', `${encoded(' null')}.a.b.c.d`],
    ['five segments, the first of them a text', `${encoded(' "enc"')}.a.b.c.d`],
    ['five segments, the first of them broken', `${encoded('{"enc":')}.a.b.c.d`],
    ['five segments behind another character', `e!${encoded('{"enc":1}')}.a.b.c.d`],
    ['six segments', `${encoded('{"enc":1}')}.a.b.c.d.e`],
    ['five segments that start otherwise', `${encoded('x{"enc":1}')}.a.b.c.d`],
    ['a name as a value', '{"protected":1,"a":{"b":["x"],"ciphertext":1},"c":"ciphertext"}'],
    ['a longer name', '{"protected":1,"a":"\\u0063","ciphertextS":1,"xciphertext":1}'],
    ['a name with an escape of another letter', '{"protected":1,"\\u0070iphertext":1}'],
    ['a name with an escaped backslash', '{"protected":1,"\\\\u0063iphertext":1}'],
    ['five segments behind a character that is no white space', `\u00a0${encoded('{"enc":1}')}.a.b.c.d`],
    ['a signed token', 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA'],
    ['five segments without `enc`', `${encoded('{"alg":"x"}')}.a.b.c.d`],
    ['five segments, the first of them of 16,384 bytes, without `enc`', `${encoded('x'.repeat(16_384))}.a.b.c.d`],
    ['five segments behind white space, the first of them of 16,384 bytes, without `enc`', ` \n${encoded('x'.repeat(16_384))}.a.b.c.d`],
    ['five words', 'e.mail.is.not.jose'],
  ])('not %s', (_title, text) => expect(looksSealed(Buffer.from(text))).toBe(false))

  it.each(['application/json', 'application/jose2', 'text/plain; a=application/jose', undefined])('not by type %s', (contentType) => {
    expect(looksSealed(Buffer.from('hello'), contentType)).toBe(false)
  })

  it.each(['protected', 'ciphertext'])('each letter of `%s` in an escape, by itself', (name) => {
    const other = name === 'protected' ? 'ciphertext' : 'protected'
    for (let at = 0; at < name.length; at++) {
      const code = name.charCodeAt(at).toString(16)
      for (const digits of [code, code.toUpperCase()]) {
        // The space, because ours begin without one, and are not looked into.
        const text = `{ "${other}":"","${name.slice(0, at)}\\u00${digits}${name.slice(at + 1)}":""}`
        expect(looksSealed(Buffer.from(text)), text).toBe(true)
      }
    }
  })

  it('exactly 32 MiB are looked into', () => expect(looksSealed(Buffer.alloc(33_554_432, 'x'))).toBe(false))

  it('has the content type of its serialization', () => {
    expect(envelopeContentType(general(ecdh('a')))).toBe('application/jose+json')
    expect(envelopeContentType(compact())).toBe('application/jose')
  })
})

describe('docs/FORMAT.md', () => {
  it("its example opens with the key beside it, and is what the page says", async () => {
    const text = readFileSync(new URL('../../../docs/FORMAT.md', import.meta.url), 'utf8')
    const [jwk, jwe, header] = [...text.slice(text.indexOf('## An example')).matchAll(/```json\n(.*)\n```/g)].map(([, line = '']) => line)
    const identities = await loadIdentities({ keys: [JSON.parse(jwk ?? '') as JWK] })
    const opener = createOpener({ name: 'billing', identities, channels: defineChannels({ orders: { to: ['billing'] } }) })
    const message = opener.openSync(Buffer.from(jwe ?? ''), { channel: 'orders', key: '42' })
    expect(message.plaintext.toString()).toBe('{"total":9}')
    expect(message.contentType).toBe('application/json')
    expect(headerText(Buffer.from(jwe ?? ''))).toBe(header)
    const [, contentKey = ''] = /content key, base64url `(.*?)`/.exec(text) ?? []
    const commitment = createHmac('sha256', Buffer.from(contentKey, 'base64url')).update('sealbus/1 kc A256GCM').digest('base64url')
    expect(JSON.parse(header ?? '')).toMatchObject({ kc: commitment })
  })

  describe('its recipe for JavaScript', () => {
    type Recipe = (envelope: string, jwk: JWK, channel: string, recordKey?: string) => Promise<{ plaintext: Uint8Array; id: string }>
    let open: Recipe
    let key: TestKey
    let jwk: JWK
    beforeAll(async () => {
      const text = readFileSync(new URL('../../../docs/FORMAT.md', import.meta.url), 'utf8')
      const [, code = ''] = /```js\n(.*?)```/s.exec(text.slice(text.indexOf('### Recipes'))) ?? []
      const folder = mkdtempSync(join(tmpdir(), 'sealbus-test-'))
      const file = join(folder, 'open.mjs')
      writeFileSync(file, code.replace("'jose'", JSON.stringify(import.meta.resolve('jose'))))
      ;({ open } = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as { open: Recipe })
      key = await testKey('P-256', 'billing-1')
      jwk = { ...(key.privateKey.export({ format: 'jwk' }) as JWK), kid: 'billing-1' }
      return () => rmSync(folder, { recursive: true })
    })

    const seal = (channel: string, recordKey: string | null): string => {
      const channels = defineChannels({ orders: { to: ['billing'] }, both: { to: ['billing', 'audit'] }, gzip: { to: ['billing'], compress: 'gzip' }, zstd: { to: ['billing'], compress: 'zstd' } })
      const directory = testDirectory({ billing: key.recipientKey, audit: { ...key.recipientKey, kid: 'audit-1', thumbprint: 'another' } })
      return createSealer({ directory, channels }).sealSync(PAYLOAD, { channel, key: recordKey }).bytes.toString()
    }
    const PAYLOAD = 'x'.repeat(1_000)

    it.each(['orders', 'both', 'gzip', 'zstd'])('opens what was sealed: %s', async (channel) => {
      expect(Buffer.from((await open(seal(channel, '42'), jwk, channel, '42')).plaintext).toString()).toBe(PAYLOAD)
      expect(Buffer.from((await open(seal(channel, null), jwk, channel)).plaintext).toString()).toBe(PAYLOAD)
    })

    it('refuses what is in another place, decompresses to too much, or is committed to otherwise', async () => {
      const bound = seal('orders', '42')
      await expect(open(bound, jwk, 'both', '42')).rejects.toThrow('of another channel or record key')
      await expect(open(bound, jwk, 'orders', '43')).rejects.toThrow('of another channel or record key')
      await expect(open(bound, jwk, 'orders')).rejects.toThrow('of another channel or record key')
      await expect(open(seal('orders', null), jwk, 'orders', '42')).rejects.toThrow('of another channel or record key')
      const content = knownContentKey('A256GCM', [key])
      const msg = { v: 1, id: 'm-1', iat: 1, ch: 'orders', to: ['billing'] }
      const forged = (members: object, more: object, plaintext: Buffer): Promise<unknown> => open(forge(content, JSON.stringify({ ...members, msg: { ...msg, ...more } }), plaintext).toString(), jwk, 'orders')
      await expect(forged(keyMembers(content), { z: 'gzip' }, gzipSync(Buffer.alloc(16_777_217)))).rejects.toThrow(/larger than/)
      await expect(forged(keyMembers(content), { z: 'zstd' }, zstdCompressSync(Buffer.alloc(16_777_217)))).rejects.toThrow(/larger than/)
      await expect(forged(keyMembers(content), { z: 'constructor' }, Buffer.from('x'))).rejects.toThrow('compressed in an unknown way')
      await expect(forged(keyMembers({ ...content, kc: KC }), {}, Buffer.from('x'))).rejects.toThrow('not sealed for all alike')
    })
  })
})
