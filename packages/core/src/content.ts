import { createCipheriv, createDecipheriv, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { ContentEncryptionRow } from './algorithms.ts'

/**
 * Encrypts content with an AEAD of the table that seals (GCM). The IV must never have been used with this key.
 *
 * The collector's own thread frees what OpenSSL returns, and waiting for that one is a third of sealing 1 KiB. Detaching the
 * memory instead would end that, and make every loop over bytes in the process, as kafkajs' checksums, slower by three quarters.
 */
export function encryptContent(row: ContentEncryptionRow, key: KeyObject, iv: Buffer, aad: Buffer, plaintext: Uint8Array): { ciphertext: Buffer; tag: Buffer } {
  if (row.cipher === 'aes-256-cbc') throw new TypeError(`${row.enc} is for opening only`)
  const cipher = createCipheriv(row.cipher, key, iv, { authTagLength: row.tagSize })
  cipher.setAAD(aad)
  // GCM is a stream mode: final() adds nothing.
  const ciphertext = cipher.update(plaintext)
  cipher.final()
  return { ciphertext, tag: cipher.getAuthTag() }
}

/** Decrypts content; null for every failure, so that none can be told from another. */
export function decryptContent(row: ContentEncryptionRow, key: KeyObject, iv: Buffer, aad: Buffer, ciphertext: Buffer, tag: Buffer): Buffer | null {
  try {
    return row.cipher === 'aes-256-cbc' ? decryptCbcHmac(row, key, iv, aad, ciphertext, tag) : decryptGcm(row.cipher, row, key, iv, aad, ciphertext, tag)
  } catch {
    return null
  }
}

function decryptGcm(cipher: 'aes-128-gcm' | 'aes-256-gcm', row: ContentEncryptionRow, key: KeyObject, iv: Buffer, aad: Buffer, ciphertext: Buffer, tag: Buffer): Buffer {
  // Without authTagLength, Node before 26 accepts tags of 4 bytes.
  const decipher = createDecipheriv(cipher, key, iv, { authTagLength: row.tagSize })
  decipher.setAAD(aad)
  decipher.setAuthTag(tag)
  const plaintext = decipher.update(ciphertext)
  decipher.final()
  return plaintext
}

/** RFC 7518 §5.2.2.2: the MAC first, in constant time, then the cipher: no padding oracle. */
function decryptCbcHmac(row: ContentEncryptionRow, key: KeyObject, iv: Buffer, aad: Buffer, ciphertext: Buffer, tag: Buffer): Buffer | null {
  const raw = key.export()
  const half = row.keySize / 2
  const aadBits = Buffer.alloc(8)
  aadBits.writeBigUInt64BE(BigInt(aad.length) * 8n)
  const mac = createHmac('sha512', raw.subarray(0, half)).update(aad).update(iv).update(ciphertext).update(aadBits).digest()
  const ok = timingSafeEqual(mac.subarray(0, row.tagSize), tag)
  try {
    if (!ok) return null
    const decipher = createDecipheriv('aes-256-cbc', createSecretKey(raw.subarray(half)), iv)
    return Buffer.concat([decipher.update(ciphertext), decipher.final()])
  } finally {
    raw.fill(0)
  }
}

/** Commits to the content key: AES-GCM does not, and one envelope could otherwise open as two plaintexts. */
export function keyCommitment(key: KeyObject, enc: string): Buffer {
  return createHmac('sha256', key).update(`sealbus/1 kc ${enc}`).digest()
}
