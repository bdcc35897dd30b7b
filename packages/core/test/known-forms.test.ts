import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeContext } from '../src/context.ts'
import { decodeEnvelope, decodeKnown, type Envelope, type EnvelopeForm, envelopeForm, knownForm } from '../src/envelope.ts'
import { SealbusError } from '../src/errors.ts'
import { createKnownForms } from '../src/known-forms.ts'
import type { WrappedKey } from '../src/wrap.ts'
import { writeEnvelope } from './support/envelopes.ts'

const COMMITMENT = Buffer.alloc(32, 1)
const EPK = { kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32, 2).toString('base64url') }
const ecdh = (kid: string): WrappedKey => ({ kid, thumbprint: `print of ${kid}`, alg: 'ECDH-ES+A256KW', epk: EPK, encryptedKey: Buffer.alloc(40, 5) })
const form = (...kids: string[]): EnvelopeForm => envelopeForm('A256GCM', COMMITMENT, kids.map(ecdh), 'general')
const write = (of: EnvelopeForm, id: string, { contentType, ciphertext = Buffer.from(id) }: { contentType?: string; ciphertext?: Buffer } = {}): Buffer =>
  writeEnvelope(of, { contentType, context: encodeContext({ id, iat: 1, channel: 'orders', to: ['a'] }), iv: Buffer.alloc(12, id), ciphertext, tag: Buffer.alloc(16, id) })

/** A reader that knows this envelope's form. */
function knowing(bytes: Buffer): (other: Buffer) => Envelope | undefined {
  const known = knownForm(bytes, decodeEnvelope(bytes))
  return (other) => decodeKnown(other, (name) => (name === known?.name ? known : undefined))
}

describe('envelopes of a known form', () => {
  it.each([
    ['one recipient', form('a')],
    ['ten recipients', form('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')],
    ['kids of any Unicode', form('größe', '鍵')],
  ])('%s: read to the same, with the very same entries', (_title, of) => {
    const read = knowing(write(of, 'first'))
    for (const next of [write(of, 'next'), write(of, 'typed', { contentType: 'application/json' }), write(of, 'empty', { ciphertext: Buffer.alloc(0) })]) {
      const known = read(next) ?? expect.fail('not recognized')
      const { entries, ...rest } = decodeEnvelope(next)
      expect(known).toEqual({ ...rest, entries: known.entries })
      expect(known.entries.map(({ kid, encryptedKey, own }) => ({ kid, encryptedKey, own }))).toEqual(entries.map(({ kid, encryptedKey, own }) => ({ kid, encryptedKey, own })))
      expect(read(write(of, 'again'))?.entries).toBe(known.entries)
    }
  })

  it('whatever its own part says, it is read to the same', () => {
    const of = form('a', 'b')
    const read = knowing(write(of, 'first'))
    const char = fc.constantFrom('a', 'Z', '0', ' ', '!', '"', '#', '[', '\\', ']', '~', '\u007f', '\u001f', 'ü', '鍵')
    const text = fc.string({ unit: char, minLength: 1, maxLength: 5 })
    const optional = <Value>(values: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> => fc.option(values, { nil: undefined })
    const context = fc.record({
      id: text,
      iat: fc.oneof(fc.nat(), fc.constantFrom(999_999_999_999, 1_000_000_000_000, 8_640_000_000_000)),
      channel: fc.constantFrom('orders', 'order', 'orderss'),
      to: fc.constantFrom(['a'], ['a', 'b'], ['b']),
      key: optional(fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('base64url'))),
      contentEncoding: optional(text),
      inReplyTo: optional(text),
      realm: optional(text),
      compression: optional(fc.constant('gzip' as const)),
      headers: optional(fc.constant({ trace: ['YQ'] })),
    }, { requiredKeys: ['id', 'iat', 'channel', 'to'] })
    fc.assert(
      fc.property(context, optional(text), (each, contentType) => {
        const bytes = writeEnvelope(of, { contentType, context: encodeContext(each), iv: Buffer.alloc(12, 1), ciphertext: Buffer.from('x'), tag: Buffer.alloc(16, 2) })
        const known = read(bytes) ?? expect.fail('not recognized')
        expect({ ...known, entries: 0 }).toEqual({ ...decodeEnvelope(bytes), entries: 0 })
      }),
      { numRuns: 3_000 },
    )
  })

  it.each([
    ['stray bits in the digest of the key', `{"v":1,"id":"x","iat":1,"ch":"orders","to":["a"],"key":"${'A'.repeat(42)}B"}`],
    ['an empty id', '{"v":1,"id":"","iat":1,"ch":"orders","to":["a"]}'],
    ['an id of 129 characters', `{"v":1,"id":"${'x'.repeat(129)}","iat":1,"ch":"orders","to":["a"]}`],
    ['a time with a zero in front', '{"v":1,"id":"x","iat":01,"ch":"orders","to":["a"]}'],
    ['a member twice', '{"v":1,"id":"x","iat":1,"ch":"orders","to":["a"],"ch":"orders"}'],
    ['another version', '{"v":2,"id":"x","iat":1,"ch":"orders","to":["a"]}'],
    ['a text behind it', '{"v":1,"id":"x","iat":1,"ch":"orders","to":["a"]}}'],
  ])('is refused as by a full reading for %s', (_title, context) => {
    const of = form('a')
    const bytes = writeEnvelope(of, { contentType: undefined, context, iv: Buffer.alloc(12, 1), ciphertext: Buffer.from('x'), tag: Buffer.alloc(16, 2) })
    const full = attempt(() => decodeEnvelope(bytes))
    const known = attempt(() => knowing(write(of, 'first'))(bytes))
    expect(full).toBeInstanceOf(SealbusError)
    if (known !== undefined) expect(known).toEqual(full)
  })

  it('whatever is changed, nothing is read that a full reading refuses or reads otherwise', () => {
    const of = form('a', 'b')
    const read = knowing(write(of, 'first'))
    const original = write(of, 'next', { contentType: 'application/json' })
    const outcomes = { known: 0, refused: 0 }
    const position = fc.integer({ min: 0, max: original.length - 1 })
    const piece = fc.oneof(fc.constantFrom('"', '{', '}', '[', ']', ',', ':', '\\', '-', '_', '+', '/', '=', ' ', '"kc":"', ',"msg":{}', ',"cty":"x"', '","tag":"', '"}'), fc.string({ unit: 'binary', maxLength: 2 }))
    fc.assert(
      fc.property(position, fc.nat(3), piece, (at, removed, inserted) => {
        const changed = Buffer.concat([original.subarray(0, at), Buffer.from(inserted), original.subarray(at + removed)])
        const known = attempt(() => read(changed))
        if (known === undefined) {
          outcomes.refused++
          return
        }
        const whole = attempt(() => decodeEnvelope(changed))
        if (known instanceof SealbusError) {
          expect(whole).toEqual(known)
          return
        }
        outcomes.known++
        expect({ ...known, entries: known.entries.length }).toEqual({ ...(whole as Envelope), entries: (whole as Envelope).entries.length })
      }),
      { numRuns: 20_000 },
    )
    expect(outcomes.known).toBeGreaterThan(500)
    expect(outcomes.refused).toBeGreaterThan(500)
  })

  it.each([
    ['the header says more', (text: string) => text.replace('"msg":', '"apu":"AA","msg":')],
    ['a second `msg`', (text: string) => text.replace('"msg":', '"msg":{},"msg":')],
    ['`kid` after `msg`', (text: string) => `${text.slice(0, -1)},"kid":"b"}`],
    ['another `kid`', (text: string) => text.replace('"kid":"a"', '"kid":"b"')],
    ['the header goes on with anything but a comma', (text: string) => text.replace(',"msg":', ';"msg":')],
    ['another `kc` is not of this form', (text: string) => text.replace('"kc":"A', '"kc":"B')],
  ])('is not taken for one when %s', (_title, change) => {
    const read = knowing(write(form('a'), 'first'))
    const jwe = JSON.parse(write(form('a'), 'next').toString()) as { protected: string }
    const header = change(Buffer.from(jwe.protected, 'base64url').toString())
    expect(read(Buffer.from(JSON.stringify({ ...jwe, protected: Buffer.from(header).toString('base64url') })))).toBeUndefined()
  })

  it.each([
    ['compact', write(envelopeForm('A256GCM', COMMITMENT, [ecdh('a')], 'compact'), 'x')],
    ['white space', Buffer.from(JSON.stringify(JSON.parse(write(form('a'), 'x').toString()), undefined, 1))],
    ['another order', Buffer.from(JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(write(form('a'), 'x').toString()) as object).toReversed())))],
  ])('other texts have no form to remember: %s', (_title, bytes) => expect(knownForm(bytes, decodeEnvelope(bytes))).toBeUndefined())

  /** A header of one's own order, in an envelope of ours. */
  const ordered = (...members: string[]): Buffer => {
    const texts: Record<string, string> = {
      typ: '"typ":"sealbus+jwe"', alg: '"alg":"ECDH-ES+A256KW"', enc: '"enc":"A256GCM"', kid: '"kid":"a"', epk: `"epk":${JSON.stringify(EPK)}`,
      kc: `"kc":"${COMMITMENT.toString('base64url')}"`, cty: '"cty":"json"', msg: `"msg":${encodeContext({ id: 'x', iat: 1, channel: 'c', to: ['a'] })}`,
    }
    const header = `{${members.map((member) => texts[member] ?? member).join(',')}}`
    return Buffer.from(JSON.stringify({ ...(JSON.parse(write(form('a'), 'x').toString()) as object), protected: Buffer.from(header).toString('base64url') }))
  }

  it.each([
    ['`cty` in front, which could change', ['cty', 'typ', 'alg', 'enc', 'kid', 'epk', 'kc', 'msg']],
    ['`msg` in front, which would stay the first one for ever', ['msg', 'typ', 'alg', 'enc', 'kid', 'epk', 'kc', 'cty']],
    ['`enc` behind `msg`', ['typ', 'alg', 'kid', 'epk', 'kc', 'msg', 'enc']],
    ['`typ` behind `msg`', ['alg', 'enc', 'kid', 'epk', 'kc', 'msg', 'typ']],
    ['`kc` behind `msg`', ['typ', 'alg', 'enc', 'kid', 'epk', 'msg', 'kc']],
    ['a `cty` inside another member', ['typ', 'alg', 'enc', 'kid', 'epk', '"x":{"y":1,"cty":"z"}', 'kc', 'msg']],
    ['a `kc` inside another member', ['typ', 'alg', 'enc', 'kid', 'epk', `"x":{"kc":"${'A'.repeat(43)}"}`, 'kc', 'msg']],
  ])('is none to remember with %s', (_title, members) => {
    const bytes = ordered(...members)
    expect(knownForm(bytes, decodeEnvelope(bytes))).toBeUndefined()
  })

  it('is one in the usual order', () => {
    const bytes = ordered('typ', 'alg', 'enc', 'kid', 'epk', 'kc', 'cty', 'msg')
    expect(knownForm(bytes, decodeEnvelope(bytes))).toBeDefined()
  })

  it('a header without an end, an envelope over 32 MiB: for the full reading to refuse', () => {
    const read = knowing(write(form('a'), 'first'))
    expect(read(Buffer.from('{"protected":"e30'))).toBeUndefined()
    expect(read(Buffer.from('{"protected":""'))).toBeUndefined()
    expect(read(write(form('a'), 'x', { ciphertext: Buffer.alloc(26 * 1024 * 1024) }))).toBeUndefined()
  })

  it('a header over 16 KiB is none, and one of exactly that is', () => {
    const read = knowing(ordered('typ', 'alg', 'enc', 'kid', 'epk', 'kc', 'msg'))
    const padded = (length: number): Buffer => {
      const size = (bytes: Buffer): number => Buffer.from((JSON.parse(bytes.toString()) as { protected: string }).protected, 'base64url').length
      const msg = (fill: string): string => `"msg":${encodeContext({ id: 'x', iat: 1, channel: 'c', to: ['a'] }).slice(0, -1)},"x":"${fill}"}`
      const with0 = ordered('typ', 'alg', 'enc', 'kid', 'epk', 'kc', msg(''))
      return ordered('typ', 'alg', 'enc', 'kid', 'epk', 'kc', msg('p'.repeat(length - size(with0))))
    }
    expect(read(padded(16_384))).toBeDefined()
    expect(read(padded(16_385))).toBeUndefined()
    expect(attempt(() => decodeEnvelope(padded(16_385)))).toMatchObject({ code: 'ERR_SEALBUS_MALFORMED' })
  })

  it('only what was remembered is known, and until it is cleared', () => {
    const forms = createKnownForms(10)
    const [first, next] = [write(form('a'), 'first'), write(form('a'), 'next')]
    const read = forms.read(first)
    expect(forms.read(first).entries).not.toBe(read.entries)
    forms.remember(first, read)
    const { entries } = forms.read(next)
    expect(forms.read(first).entries).toBe(entries)
    forms.remember(next, forms.read(next))
    expect(forms.read(first).entries).toBe(entries)
    forms.clear()
    expect(forms.read(first).entries).not.toBe(entries)
  })
})

function attempt<Value>(read: () => Value): Value | SealbusError {
  try {
    return read()
  } catch (error) {
    if (error instanceof SealbusError) return error
    throw error
  }
}
