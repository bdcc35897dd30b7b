import type { JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import type { VectorCase } from '../../../../vectors/source/case.ts'
import { decryptWithJose } from './jose.ts'
import { envelopeOf, ownVectors } from './own-vectors.ts'

/** Faults of the JWE that npm `jose` does not mind, by the names of the cases. */
const LAXER: Readonly<Record<string, readonly string[]>> = {
  'its base64url decoder passes over padding, white space and stray bits': [
    ...['protected', 'iv', 'ciphertext', 'encrypted_key'].flatMap((member) => ['padded', 'with a line break', 'with a space after it'].map((way) => `${member} ${way}`)),
    ...['protected', 'iv', 'ciphertext', 'encrypted_key', 'tag'].map((member) => `${member} with stray bits`),
    'tag padded',
    'Compact: a tag with stray bits',
    'Compact: a line break at the end',
    'Compact: a padded tag',
  ],
  'Node, which imports the epk for it, takes any base64': ['x', 'y'].flatMap((member) =>
    ['padded', 'with a line break', 'with a space after it', 'in the other alphabet', 'with stray bits'].map((way) => `the epk's ${member} ${way}`),
  ),
  'JSON.parse takes the last of two members, as RFC 7516 §4 permits': ['at the top', 'at the top, written with an escape', 'at the top, with the same value', 'of an entry', "of our entry's header", "of another entry's header", 'of an epk', 'recipients', 'of the protected header', 'of the protected header, written with an escape', 'of the protected header that nobody reads', 'of msg', 'of msg that nobody reads', 'kc', 'named __proto__', 'of the epk in the protected header'].map((place) => `a duplicate member ${place}`),
  'it looks at no member of a General JWE that it has no use for': [
    'header beside recipients',
    "the second entry's encrypted_key beside recipients",
    'another encrypted_key beside recipients',
    'an encrypted_key that is null beside recipients',
    "the first entry's encrypted_key and a header beside recipients",
  ],
  'it stops at the first entry that opens': [
    ...['null', 'an array', 'a string'].map((kind) => `a header that is ${kind} in another entry`),
    ...['null', 'a number'].map((kind) => `an encrypted_key that is ${kind} in another entry`),
  ],
  'it does not look at kid, when it is given a key': ['our kid that is a number', 'a kid that is null, with a sole entry'],
  'its text decoder drops a byte order mark': ['a byte order mark in the protected header'],
  'it is given text, in which such bytes are replaced': ['bytes that are not UTF-8'],
}

/** Good JWEs that it refuses. */
const STRICTER: Readonly<Record<string, readonly string[]>> = {
  'it has no RSA1_5': ['RSA1_5, wrapped with it'],
}

const laxer = new Set(Object.values(LAXER).flat())
const stricter = new Set(Object.values(STRICTER).flat())

describe('npm jose, which knows only RFC 7516, agrees about each vector', () => {
  const vectors = ownVectors().flatMap(({ cases }) => cases)

  it.each(vectors)('§$rule $name', async (vector: VectorCase) => {
    const plaintext = await decryptWithJose(envelopeOf(vector), vector.identities[0] as JWK)
    const expected = laxer.has(vector.name) ? 'opens' : stricter.has(vector.name) ? 'fails' : vector.jwe
    expect(plaintext === undefined ? 'fails' : 'opens').toBe(expected)
    if (plaintext === undefined || 'error' in vector.expect || compressed(vector)) return
    expect(plaintext.toString('base64url')).toBe(vector.expect.plaintext)
  })

  it('the lists of differences name cases that there are', () => {
    const names = new Set(vectors.map(({ name }) => name))
    expect([...laxer, ...stricter].filter((name) => !names.has(name))).toEqual([])
  })

  it('each envelope that opens is a JWE that opens', () => {
    expect(vectors.filter(({ jwe, expect: expected }) => !('error' in expected) && jwe === 'fails').map(({ name }) => name)).toEqual([])
  })
})

/** Decompression is ours: jose gives what was sealed. */
const compressed = ({ rule, name }: VectorCase): boolean => rule === '5.12' || name.startsWith('compressed')
