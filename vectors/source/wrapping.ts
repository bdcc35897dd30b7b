import { constants, createCipheriv, createHash, publicEncrypt } from 'node:crypto'
import { fixedBytes } from './fixed-bytes.ts'
import { agree, curveKey, type PublicJwk, publicHalf, publicKeyObject, type VectorKey } from './keys.ts'

/** A content key wrapped for one recipient, written from docs/FORMAT.md §4.2 and §4.3 alone. */
export interface Wrapped {
  readonly epk: PublicJwk | undefined
  readonly encryptedKey: Buffer
}

export interface Agreement {
  /** Names the ephemeral key, or the seed of the padding. */
  readonly label: string
  readonly alg?: string
  /** Of the wrapping key. */
  readonly bits?: number
  /** What enters the derivation for it. */
  readonly toldBits?: number
  readonly apu?: Buffer
  readonly apv?: Buffer
}

export function wrap(key: VectorKey, contentKey: Buffer, agreement: Agreement): Wrapped {
  if (key.crv === undefined) return { epk: undefined, encryptedKey: rsaOaep256(key, contentKey, agreement.label) }
  const ephemeral = curveKey(key.crv, agreement.label)
  const secret = agree(ephemeral, key.publicJwk)
  return { epk: publicHalf(ephemeral), encryptedKey: aesKeyWrap(concatKdf(secret, agreement), contentKey) }
}

/** Bare ECDH-ES (RFC 7518 §4.6): the agreed key is the content key. Only to be refused. */
export function agreeDirectly(key: VectorKey, label: string, enc: string): { readonly epk: PublicJwk; readonly contentKey: Buffer } {
  const ephemeral = curveKey(key.crv ?? 'P-256', label)
  const secret = agree(ephemeral, key.publicJwk)
  return { epk: publicHalf(ephemeral), contentKey: concatKdf(secret, { label, alg: enc }) }
}

export function concatKdf(secret: Buffer, { alg = 'ECDH-ES+A256KW', bits = 256, toldBits = bits, apu = Buffer.alloc(0), apv = Buffer.alloc(0) }: Agreement): Buffer {
  const otherInfo = [prefixed(Buffer.from(alg)), prefixed(apu), prefixed(apv), uint32(toldBits)]
  return createHash('sha256').update(Buffer.concat([uint32(1), secret, ...otherInfo])).digest().subarray(0, bits / 8)
}

/** RFC 3394 §2.2.1, six rounds over blocks of 8 bytes: spelt out, so that it is another implementation than OpenSSL's. */
export function aesKeyWrap(wrappingKey: Buffer, contentKey: Buffer): Buffer {
  const blocks = Array.from({ length: contentKey.length / 8 }, (_, index) => contentKey.subarray(index * 8, index * 8 + 8))
  let check: Buffer = Buffer.alloc(8, 0xa6)
  for (let round = 0; round < 6; round++) {
    for (const [index, block] of blocks.entries()) {
      const output = aesBlock(wrappingKey, Buffer.concat([check, block]))
      const counter = Buffer.alloc(8)
      counter.writeUInt32BE(round * blocks.length + index + 1, 4)
      check = xor(output.subarray(0, 8), counter)
      blocks[index] = output.subarray(8)
    }
  }
  return Buffer.concat([check, ...blocks])
}

export function aesBlock(key: Buffer, block: Buffer): Buffer {
  return createCipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false).update(block)
}

/** RFC 8017 §7.1.1 with SHA-256 for the hash and for MGF1, an empty label, and a seed that does not change. */
export function rsaOaep256({ publicJwk }: VectorKey, message: Buffer, label: string, hash = 'sha256', maskHash = hash): Buffer {
  const size = modulusSize(publicJwk)
  const labelHash = createHash(hash).digest()
  const block = Buffer.concat([labelHash, Buffer.alloc(size - message.length - 2 * labelHash.length - 2), Buffer.of(1), message])
  const seed = fixedBytes(label, labelHash.length)
  const maskedBlock = xor(block, mgf1(seed, block.length, maskHash))
  const maskedSeed = xor(seed, mgf1(maskedBlock, labelHash.length, maskHash))
  return rsaPublic(publicJwk, Buffer.concat([Buffer.of(0), maskedSeed, maskedBlock]))
}

/** RFC 8017 §7.2.1, which RSA1_5 uses. Only to be refused. */
export function rsaPkcs1({ publicJwk }: VectorKey, message: Buffer, label: string): Buffer {
  const padding = fixedBytes(label, modulusSize(publicJwk) - message.length - 3).map((byte) => byte || 1)
  return rsaPublic(publicJwk, Buffer.concat([Buffer.of(0, 2), padding, Buffer.of(0), message]))
}

function rsaPublic(jwk: PublicJwk, block: Buffer): Buffer {
  return publicEncrypt({ key: publicKeyObject(jwk), padding: constants.RSA_NO_PADDING }, block)
}

const modulusSize = (jwk: PublicJwk): number => Buffer.from(jwk['n'] ?? '', 'base64url').length

function mgf1(seed: Buffer, size: number, hash: string): Buffer {
  const blocks: Buffer[] = []
  for (let made = 0, counter = 0; made < size; counter++) {
    const block = createHash(hash).update(seed).update(uint32(counter)).digest()
    blocks.push(block)
    made += block.length
  }
  return Buffer.concat(blocks).subarray(0, size)
}

export function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, index) => byte ^ (b[index] ?? 0)))
}

function prefixed(bytes: Buffer): Buffer {
  return Buffer.concat([uint32(bytes.length), bytes])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
