import fc from 'fast-check'
import { expect } from 'vitest'
import { decodeBase64url, readBase64url } from '../src/base64url.ts'
import { decodeEnvelope, decodeKnown, type Envelope, knownForm } from '../src/envelope.ts'
import { isSealbusError } from '../src/errors.ts'
import { createSealer, type SealOptions } from '../src/seal.ts'
import { channels, directory, KEYS } from './corpus.ts'
import { envelopeExample, shownAs } from './counterexample.ts'
import { type Edit, edits } from './edits.ts'
import { fuzz } from './property.ts'

/** Two messages of one content key: the first one's form is known when the second is read. */
const pairs = ['solo', 'same', 'mixed'].map((channel) => {
  const sealer = createSealer({ directory, channels })
  const seal = (options: Partial<SealOptions>): Buffer => sealer.sealSync('{"total":9}', { channel, key: null, ...options }).bytes
  const first = seal({})
  return { form: knownForm(first, decodeEnvelope(first)) ?? expect.fail('no form'), second: seal({ contentType: 'application/json', id: 'id-é' }) }
})

/** The second message in the pieces that the form puts it together from. */
const PIECES = /^(\{"protected":")([^"]*)(","recipients":.*,"iv":")([^"]*)(","ciphertext":")([^"]*)(","tag":")([^"]*)("\})$/
const piecesOf = (bytes: Buffer): readonly string[] => PIECES.exec(bytes.toString())?.slice(1) ?? expect.fail('no General envelope in the usual order')

/** A change at a piece's ends, which is where a reader that compares pieces could be wrong. */
const pieceChange: fc.Arbitrary<(piece: string) => string> = fc.oneof(
  fc.constant(() => ''),
  fc.integer({ min: 1, max: 4 }).map((count) => (piece: string) => piece.slice(0, -count)),
  fc.integer({ min: 1, max: 4 }).map((count) => (piece: string) => piece.slice(count)),
  fc.constant((piece: string) => piece + piece),
  fc.constantFrom('A', 'B', '=', '"', ',', '+', '_', '\\', ' ', '}', '\n').map((end) => (piece: string) => piece + end),
  fc.constantFrom('A', '"', ' ').map((start) => (piece: string) => start + piece),
  edits.map((edit: Edit) => (piece: string) => edit(Buffer.from(piece, 'latin1')).toString('latin1')),
)

/** The decoded header, changed where a form ends, and encoded again. */
const headerChange = edits.map((edit) => (piece: string) => edit(Buffer.from(piece, 'base64url')).toString('base64url'))

type Change = (pieces: string[]) => void

const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.oneof(
    fc.tuple(fc.integer({ min: 0, max: 8 }), pieceChange).map(([index, change]): Change => (pieces) => void pieces.splice(index, 1, change(pieces[index] ?? ''))),
    headerChange.map((change): Change => (pieces) => void pieces.splice(1, 1, change(pieces[1] ?? ''))),
    // Nothing between two fixed texts, which may even share characters.
    fc.tuple(fc.constantFrom(1, 3, 5, 7), fc.integer({ min: 0, max: 3 })).map(([index, shared]): Change => (pieces) => void pieces.splice(index, 2, '', (pieces[index + 1] ?? '').slice(shared))),
  ),
  { minLength: 1, maxLength: 2 },
)

const read = (decode: () => Envelope | undefined): unknown => {
  try {
    return decode()
  } catch (error) {
    if (isSealbusError(error)) return 'refused'
    throw error
  }
}

fuzz('an envelope of a known form is read as any other', {
  share: 0.05,
  values: fc.tuple(fc.constantFrom(...pairs), changes).map(([{ form, second }, list]) => {
    const pieces = [...piecesOf(second)]
    for (const change of list) change(pieces)
    const bytes = Buffer.from(pieces.join(''), 'latin1')
    return shownAs({ form, bytes }, () => envelopeExample(bytes, KEYS.ec))
  }),
  run: ({ form, bytes }): Envelope | undefined => decodeKnown(bytes, (name) => (name === form.name ? form : undefined)),
  check({ result, error }, { bytes }) {
    if (error) expect(read(() => decodeEnvelope(bytes))).toBe('refused')
    if (!result) return
    const plain = decodeEnvelope(bytes)
    const { entries, ...rest } = plain
    expect(result).toMatchObject(rest)
    // Known entries have the form's part of the protected header only: `cty` and `msg` concern no entry.
    expect(result.entries.map(({ kid, own, encryptedKey }) => ({ kid, own, encryptedKey }))).toEqual(entries.map(({ kid, own, encryptedKey }) => ({ kid, own, encryptedKey })))
  },
  reaches: ['success', 'nothing', 'ERR_SEALBUS_MALFORMED'],
})

const text = fc.oneof(
  fc.uint8Array({ maxLength: 48 }).map((bytes) => Buffer.from(bytes).toString('base64url')),
  fc.tuple(fc.uint8Array({ maxLength: 24 }), fc.integer({ min: 24_570, max: 24_580 })).map(([bytes, before]) => Buffer.concat([Buffer.alloc(before, 0xa5), bytes]).toString('base64url')),
)

fuzz('base64url in a buffer is read as base64url in a text', {
  share: 0.02,
  values: fc.tuple(text, fc.option(edits, { nil: undefined }), fc.nat({ max: 3 })).map(([given, edit, before]) => ({ bytes: edit ? edit(Buffer.from(given)) : Buffer.from(given), before })),
  run: ({ bytes, before }): Buffer | undefined => readBase64url(Buffer.concat([Buffer.alloc(before, '"'), bytes, Buffer.from('"')]), before, before + bytes.length),
  check({ result }, { bytes }) {
    // As characters of one byte each, which is what the reader sees.
    expect(result?.toString('hex')).toBe(decodeBase64url(bytes.toString('latin1'))?.toString('hex'))
  },
  reaches: ['success', 'nothing'],
})
