import { type Encrypted, encrypt } from './content-encryption.ts'
import { fixedBytes } from './fixed-bytes.ts'
import { aesBlock, xor } from './wrapping.ts'

/**
 * One ciphertext and one tag that are good under two keys, because AES-GCM commits to none: the last block of the
 * ciphertext solves one linear equation in GF(2^128).
 */
export interface ForkedContent {
  readonly iv: Buffer
  readonly first: Reader
  readonly second: Reader
  readonly encrypt: (aad: string) => Encrypted
}

export interface Reader {
  readonly key: Buffer
  /** What this key gets, once it is encrypted; the last block is whatever comes out. */
  readonly plaintext: () => Buffer
}

/** @param text what the first key gets in the first block */
export function forkedContent(text: Buffer): ForkedContent {
  const iv = fixedBytes('fork: iv', 12)
  const keys = [fixedBytes('fork: first key', 32), fixedBytes('fork: second key', 32)] as const
  const [one, other] = keys
  const head = xor(Buffer.concat([text, Buffer.alloc(16 - text.length, ' ')]), keyStream(one, iv).subarray(0, 16))
  let ciphertext = head
  const reader = (key: Buffer): Reader => ({ key, plaintext: () => xor(ciphertext, keyStream(key, iv)) })
  return {
    iv,
    first: reader(one),
    second: reader(other),
    encrypt: (aad): Encrypted => {
      ciphertext = Buffer.concat([head, solve(keys, iv, Buffer.from(aad), head)])
      return encrypt('A256GCM', one, iv, aad, xor(ciphertext, keyStream(one, iv)))
    },
  }
}

/** The second block of a ciphertext of two, so that both keys give the same tag (NIST SP 800-38D §6.4, §7.1). */
function solve(keys: readonly [Buffer, Buffer], iv: Buffer, aad: Buffer, head: Buffer): Buffer {
  const lengths = Buffer.alloc(16)
  lengths.writeUInt32BE(aad.length * 8, 4)
  lengths.writeUInt32BE(32 * 8, 12)
  const before = [...blocks(aad), ...blocks(head)].map(toField)
  const sides = keys.map((key) => {
    const h = toField(aesBlock(key, Buffer.alloc(16)))
    const mask = toField(aesBlock(key, counterBlock(iv, 1)))
    // Horner's rule up to the unknown block, which is then multiplied by h twice, and the lengths once.
    const known = before.reduce((sum, block) => multiply(sum ^ block, h), 0n)
    const square = multiply(h, h)
    return { square, rest: mask ^ multiply(known, square) ^ multiply(toField(lengths), h) }
  })
  const [a, b] = sides
  if (!a || !b) throw new Error('two keys')
  return fromField(multiply(a.rest ^ b.rest, inverse(a.square ^ b.square)))
}

/** Of two blocks; the counter's first value masks the tag. */
function keyStream(key: Buffer, iv: Buffer): Buffer {
  return Buffer.concat([aesBlock(key, counterBlock(iv, 2)), aesBlock(key, counterBlock(iv, 3))])
}

function counterBlock(iv: Buffer, counter: number): Buffer {
  const block = Buffer.concat([iv, Buffer.alloc(4)])
  block.writeUInt32BE(counter, 12)
  return block
}

function blocks(bytes: Buffer): readonly Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / 16) }, (_, index) => Buffer.concat([bytes.subarray(index * 16, index * 16 + 16), Buffer.alloc(16)]).subarray(0, 16))
}

const toField = (block: Buffer): bigint => BigInt(`0x${block.toString('hex')}`)
const fromField = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(32, '0'), 'hex')

/** GCM's field, its bits the other way round: x^0 is the highest. */
function multiply(a: bigint, b: bigint): bigint {
  let product = 0n
  let shifted = b
  for (let bit = 127n; bit >= 0n; bit--) {
    if ((a >> bit) & 1n) product ^= shifted
    shifted = shifted & 1n ? (shifted >> 1n) ^ (0xe1n << 120n) : shifted >> 1n
  }
  return product
}

/** By Fermat: the power 2^128 - 2. */
function inverse(value: bigint): bigint {
  let result = 1n << 127n
  let square = value
  for (let bit = 1; bit < 128; bit++) {
    square = multiply(square, square)
    result = multiply(result, square)
  }
  return result
}
