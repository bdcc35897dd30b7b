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
