import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import type { Contestant } from './rounds.ts'

/** Bare AES-256-GCM with a KeyObject, a fresh IV each time, and as much additional data as an envelope's header. */
const HEADER_BYTES = 300

interface Setting {
  readonly encrypt: (payload: Buffer, iv: Buffer) => { ciphertext: Buffer; tag: Buffer }
  readonly decrypt: (ciphertext: Buffer, iv: Buffer, tag: Buffer) => Buffer
}

function createSetting(): Setting {
  const key = createSecretKey(randomBytes(32))
  const aad = randomBytes(HEADER_BYTES)
  return {
    encrypt(payload, iv) {
      const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
      cipher.setAAD(aad)
      const ciphertext = cipher.update(payload)
      cipher.final()
      return { ciphertext, tag: cipher.getAuthTag() }
    },
    decrypt(ciphertext, iv, tag) {
      const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
      decipher.setAAD(aad)
      decipher.setAuthTag(tag)
      const plaintext = decipher.update(ciphertext)
      decipher.final()
      return plaintext
    },
  }
}

export function gcmEncrypt(payload: Buffer): Contestant {
  const { encrypt } = createSetting()
  return () => encrypt(payload, randomBytes(12))
}

export function gcmDecrypt(payload: Buffer): Contestant {
  const { encrypt, decrypt } = createSetting()
  const iv = randomBytes(12)
  const { ciphertext, tag } = encrypt(payload, iv)
  return () => decrypt(ciphertext, iv, tag)
}

/** Characters of base64url at a time: a multiple of four that stays in the processor's cache. */
const PIECE = 32_768

/**
 * The least that any JWE of this payload costs, with its key at hand: a bare encryption whose IV takes no time, and the
 * ciphertext as base64url. No header, no other text.
 */
export function floorOfSealing(payload: Buffer): Contestant {
  const { encrypt } = createSetting()
  const iv = randomBytes(12)
  return () => {
    iv.writeUInt32BE((iv.readUInt32BE() + 1) >>> 0)
    const { ciphertext, tag } = encrypt(payload, iv)
    const text = Buffer.allocUnsafe(Math.ceil((ciphertext.length * 4) / 3))
    for (let from = 0, at = 0; at < text.length; from += PIECE * 0.75) at += text.write(ciphertext.toString('base64url', from, from + PIECE * 0.75), at, 'latin1')
    return [text, tag]
  }
}

/** The same, of opening: the ciphertext from base64url, and a bare decryption. */
export function floorOfOpening(payload: Buffer): Contestant {
  const { encrypt, decrypt } = createSetting()
  const iv = randomBytes(12)
  const { ciphertext, tag } = encrypt(payload, iv)
  const text = Buffer.from(ciphertext.toString('base64url'), 'latin1')
  return () => {
    const bytes = Buffer.allocUnsafe(payload.length)
    for (let from = 0, at = 0; at < bytes.length; from += PIECE) at += bytes.write(text.toString('latin1', from, from + PIECE), at, 'base64url')
    return decrypt(bytes, iv, tag)
  }
}
