import { createCipheriv, createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { contentEncryption, type ContentEncryption } from '../src/algorithms.ts'
import { encryptContent, keyCommitment } from '../src/content.ts'
import { wrapKey } from '../src/wrap.ts'
import type { TestKey } from '../test/support/keys.ts'

/** A content key that a test knows, wrapped once: whoever holds it can authenticate any header, as a recipient can. */
export interface KnownContentKey {
  readonly enc: ContentEncryption
  readonly raw: Buffer
  readonly kc: string
  readonly entries: readonly { readonly alg: string; readonly kid: string; readonly epk?: object; readonly encryptedKey: string }[]
}

export function knownContentKey(enc: ContentEncryption, keys: readonly TestKey[]): KnownContentKey {
  const raw = randomBytes(contentEncryption(enc)?.keySize ?? 0)
  return {
    enc,
    raw,
    kc: keyCommitment(createSecretKey(raw), enc).toString('base64url'),
    entries: keys.map((key) => {
      const { alg, kid, epk, encryptedKey } = wrapKey(key.recipientKey, raw)
      return { alg, kid, ...(epk && { epk }), encryptedKey: encryptedKey.toString('base64url') }
    }),
  }
}

export interface Content {
  readonly iv: string
  readonly ciphertext: string
  readonly tag: string
}

/** Encrypts under any protected header, so that the tag is right whatever it says. */
export function authenticate({ enc, raw }: KnownContentKey, aad: string, plaintext: Uint8Array): Content {
  const row = contentEncryption(enc)
  if (!row) throw new TypeError(`no ${enc}`)
  const iv = randomBytes(row.ivSize)
  const { ciphertext, tag } = row.cipher === 'aes-256-cbc' ? encryptCbcHmac(raw, iv, aad, plaintext) : encryptContent(row, createSecretKey(raw), iv, Buffer.from(aad), plaintext)
  return { iv: iv.toString('base64url'), ciphertext: ciphertext.toString('base64url'), tag: tag.toString('base64url') }
}

/** RFC 7518 §5.2.2.1: what we only open. */
function encryptCbcHmac(raw: Buffer, iv: Buffer, aad: string, plaintext: Uint8Array): { ciphertext: Buffer; tag: Buffer } {
  const cipher = createCipheriv('aes-256-cbc', raw.subarray(32), iv)
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const aadBits = Buffer.alloc(8)
  aadBits.writeBigUInt64BE(BigInt(aad.length) * 8n)
  const tag = createHmac('sha512', raw.subarray(0, 32)).update(aad).update(iv).update(ciphertext).update(aadBits).digest().subarray(0, 32)
  return { ciphertext, tag }
}

/** An authentic General envelope for the first entry alone, with this protected header. */
export function forge(key: KnownContentKey, header: string, plaintext: Uint8Array): Buffer {
  const aad = Buffer.from(header).toString('base64url')
  const [entry] = key.entries
  return Buffer.from(JSON.stringify({ protected: aad, recipients: [{ encrypted_key: entry?.encryptedKey }], ...authenticate(key, aad, plaintext) }))
}

/** The members of a native protected header that concern the key, for the first entry. */
export function keyMembers({ enc, kc, entries: [entry] }: KnownContentKey): Record<string, unknown> {
  return { typ: 'sealbus+jwe', alg: entry?.alg, enc, kid: entry?.kid, epk: entry?.epk, kc }
}
