import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import type { Contestant } from './rounds.ts'

/** Bare AES-256-GCM with a KeyObject, a fresh IV each time, and as much additional data as an envelope's header. */
const HEADER_BYTES = 300

export function gcmEncrypt(payload: Buffer): Contestant {
  const key = createSecretKey(randomBytes(32))
  const aad = randomBytes(HEADER_BYTES)
  return () => {
    const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12), { authTagLength: 16 })
    cipher.setAAD(aad)
    const ciphertext = cipher.update(payload)
    cipher.final()
    return [ciphertext, cipher.getAuthTag()]
  }
}

export function gcmDecrypt(payload: Buffer): Contestant {
  const key = createSecretKey(randomBytes(32))
  const [aad, iv] = [randomBytes(HEADER_BYTES), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
  cipher.setAAD(aad)
  const ciphertext = cipher.update(payload)
  cipher.final()
  const tag = cipher.getAuthTag()
  return () => {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
    decipher.setAAD(aad)
    decipher.setAuthTag(tag)
    const plaintext = decipher.update(ciphertext)
    decipher.final()
    return plaintext
  }
}

/** Characters of base64url at a time: a multiple of four that stays in the processor's cache. */
const PIECE = 32_768

/**
 * The least that any JWE of this payload costs, with its key at hand: a bare encryption whose IV takes no time, and the
 * ciphertext as base64url. No header, no other text.
 */
export function floorOfSealing(payload: Buffer): Contestant {
  const key = createSecretKey(randomBytes(32))
  const [aad, iv] = [randomBytes(HEADER_BYTES), randomBytes(12)]
  return () => {
    iv.writeUInt32BE((iv.readUInt32BE() + 1) >>> 0)
    const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
    cipher.setAAD(aad)
    const ciphertext = cipher.update(payload)
    cipher.final()
    const tag = cipher.getAuthTag()
    const text = Buffer.allocUnsafe(Math.ceil((ciphertext.length * 4) / 3))
    for (let from = 0, at = 0; at < text.length; from += PIECE * 0.75) at += text.write(ciphertext.toString('base64url', from, from + PIECE * 0.75), at, 'latin1')
    return [text, tag]
  }
}

/** The same, of opening: the ciphertext from base64url, and a bare decryption. */
export function floorOfOpening(payload: Buffer): Contestant {
  const key = createSecretKey(randomBytes(32))
  const [aad, iv] = [randomBytes(HEADER_BYTES), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
  cipher.setAAD(aad)
  const text = Buffer.from(cipher.update(payload).toString('base64url'), 'latin1')
  cipher.final()
  const tag = cipher.getAuthTag()
  return () => {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
    decipher.setAAD(aad)
    decipher.setAuthTag(tag)
    const ciphertext = Buffer.allocUnsafe(payload.length)
    for (let from = 0, at = 0; at < ciphertext.length; from += PIECE) at += ciphertext.write(text.toString('latin1', from, from + PIECE), at, 'base64url')
    const plaintext = decipher.update(ciphertext)
    decipher.final()
    return plaintext
  }
}
