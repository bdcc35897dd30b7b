import { createCipheriv, createHmac } from 'node:crypto'

/** Content encryption, written from docs/FORMAT.md §4.4 alone. */
export interface Encrypted {
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

const KEY_SIZES: Readonly<Record<string, number>> = { A128GCM: 16, A192GCM: 24, A256GCM: 32, 'A128CBC-HS256': 32, 'A256CBC-HS512': 64 }

export function keySize(enc: string): number {
  return KEY_SIZES[enc] ?? 32
}

export function ivSize(enc: string): number {
  return enc.includes('CBC') ? 16 : 12
}

export function encrypt(enc: string, key: Buffer, iv: Buffer, aad: string, plaintext: Buffer): Encrypted {
  if (enc.includes('CBC')) return encryptCbcHmac(enc === 'A256CBC-HS512' ? 'sha512' : 'sha256', key, iv, Buffer.from(aad), plaintext)
  const cipher = createCipheriv(`aes-${key.length * 8}-gcm` as 'aes-256-gcm', key, iv)
  cipher.setAAD(Buffer.from(aad))
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return { ciphertext, tag: cipher.getAuthTag() }
}

function encryptCbcHmac(hash: string, key: Buffer, iv: Buffer, aad: Buffer, plaintext: Buffer): Encrypted {
  const half = key.length / 2
  const cipher = createCipheriv(`aes-${half * 8}-cbc`, key.subarray(half), iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const aadBits = Buffer.alloc(8)
  aadBits.writeUInt32BE(aad.length * 8, 4)
  const mac = createHmac(hash, key.subarray(0, half)).update(Buffer.concat([aad, iv, ciphertext, aadBits])).digest()
  return { ciphertext, tag: mac.subarray(0, half) }
}

export function keyCommitment(enc: string, key: Buffer): Buffer {
  return createHmac('sha256', key).update(`sealbus/1 kc ${enc}`).digest()
}
