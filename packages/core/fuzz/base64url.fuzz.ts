import fc from 'fast-check'
import { expect } from 'vitest'
import { decodeBase64url } from '../src/base64url.ts'
import { edits } from './edits.ts'
import { fuzz } from './property.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** RFC 4648 §5 bit by bit, without Buffer. */
function oracle(text: string): string | undefined {
  let bits = ''
  for (const character of text) {
    const index = ALPHABET.indexOf(character)
    if (index < 0) return undefined
    bits += index.toString(2).padStart(6, '0')
  }
  const whole = bits.length - (bits.length % 8)
  // What is left must be less than a character, and zero.
  if (bits.length - whole >= 6 || bits.slice(whole).includes('1')) return undefined
  return bits.slice(0, whole).replace(/.{8}/g, (byte) => Number.parseInt(byte, 2).toString(16).padStart(2, '0'))
}

const encoded = fc.uint8Array({ maxLength: 48 }).map((bytes) => Buffer.from(bytes).toString('base64url'))

fuzz('base64url is decoded when it is canonical, to what its bits say', {
  share: 0.05,
  values: fc.oneof(
    encoded,
    fc.tuple(encoded, edits).map(([text, edit]) => edit(Buffer.from(text)).toString('latin1')),
    fc.array(fc.nat({ max: 63 }), { maxLength: 12 }).map((indices) => indices.map((index) => ALPHABET.charAt(index)).join('')),
    fc.tuple(encoded, fc.constantFrom('=', '==', ' ', '\n', '\u0000', '+', '/', '\u212A', '\u0130', 'é')).map(([text, end]) => text + end),
  ),
  run: (text) => decodeBase64url(text),
  check({ result }, text) {
    expect(result?.toString('hex'), JSON.stringify(text)).toBe(oracle(text))
  },
  reaches: ['success', 'nothing'],
})
