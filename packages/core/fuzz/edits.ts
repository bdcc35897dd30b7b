import fc from 'fast-check'

/** What parsers trip over. */
const TOKENS = [
  '"', '\\', '\\u0065', '{', '}', '[', ']', ',', ':', '.', '=', '+', '/', '-', '_', ' ', '\n', '\u0000', '\u2028', '\uFEFF', '\uD83E\uDDAD',
  'null', 'true', '0', '-0', '1e400', '1E-9', '00', '""', '{}', '[]', '"__proto__":{}', '"constructor"', '"protected":"', '"recipients":[', '"encrypted_key":"', '"crit"',
] as const

/** A change of some bytes. Numbers are taken modulo what there is, so that any edit fits any bytes. */
export type Edit = (bytes: Buffer) => Buffer

const position = fc.nat({ max: 65_535 })
const length = fc.integer({ min: 1, max: 48 })
const at = (bytes: Buffer, where: number): number => (bytes.length === 0 ? 0 : where % bytes.length)

const overwrite: fc.Arbitrary<Edit> = fc.tuple(position, fc.nat({ max: 255 })).map(([where, byte]) => (bytes) => {
  const copy = Buffer.from(bytes)
  if (copy.length > 0) copy[at(bytes, where)] = byte
  return copy
})

const flip: fc.Arbitrary<Edit> = fc.tuple(position, fc.nat({ max: 7 })).map(([where, bit]) => (bytes) => {
  const copy = Buffer.from(bytes)
  if (copy.length > 0) copy.writeUInt8(copy.readUInt8(at(bytes, where)) ^ (1 << bit), at(bytes, where))
  return copy
})

/** Keeps the text base64url, so that the change reaches what lies behind the decoding. */
const retype: fc.Arbitrary<Edit> = fc.tuple(position, fc.constantFrom('A', 'B', 'Q', 'g', 'w', 'z', '0', '9', '-', '_')).map(([where, character]) => (bytes) => {
  const copy = Buffer.from(bytes)
  copy.write(character, at(bytes, where), 'latin1')
  return copy
})

const insert: fc.Arbitrary<Edit> = fc
  .tuple(position, fc.oneof(fc.constantFrom(...TOKENS).map((token) => Buffer.from(token)), fc.uint8Array({ minLength: 1, maxLength: 8 })))
  .map(([where, added]) => (bytes) => Buffer.concat([bytes.subarray(0, at(bytes, where)), added, bytes.subarray(at(bytes, where))]))

const remove: fc.Arbitrary<Edit> = fc.tuple(position, length).map(([where, count]) => (bytes) => Buffer.concat([bytes.subarray(0, at(bytes, where)), bytes.subarray(at(bytes, where) + count)]))

const repeat: fc.Arbitrary<Edit> = fc.tuple(position, length, position).map(([where, count, to]) => (bytes) => {
  const part = bytes.subarray(at(bytes, where), at(bytes, where) + count)
  return Buffer.concat([bytes.subarray(0, at(bytes, to)), part, bytes.subarray(at(bytes, to))])
})

const truncate: fc.Arbitrary<Edit> = position.map((where) => (bytes) => bytes.subarray(0, at(bytes, where)))

export const edits: fc.Arbitrary<Edit> = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: flip },
      { weight: 3, arbitrary: retype },
      { weight: 2, arbitrary: overwrite },
      { weight: 3, arbitrary: insert },
      { weight: 2, arbitrary: remove },
      { weight: 2, arbitrary: repeat },
      { weight: 1, arbitrary: truncate },
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((list) => (bytes) => list.reduce((changed, edit) => edit(changed), bytes))
