import { createPrivateKey, type KeyObject } from 'node:crypto'
import { compactDecrypt, flattenedDecrypt, type FlattenedJWE, generalDecrypt, type GeneralJWE, type JWK } from 'jose'

/** What npm `jose`, which knows nothing of the envelope's rules, decrypts with a key; undefined when it refuses. */
export async function decryptWithJose(bytes: Buffer, jwk: JWK): Promise<Buffer | undefined> {
  try {
    return Buffer.from(await decrypt(bytes.toString(), createPrivateKey({ key: jwk, format: 'jwk' })))
  } catch {
    return undefined
  }
}

async function decrypt(text: string, key: KeyObject): Promise<Uint8Array> {
  if (!/^\s*\{/.test(text)) return (await compactDecrypt(text, key)).plaintext
  const jwe = JSON.parse(text) as GeneralJWE | FlattenedJWE
  return 'recipients' in jwe ? (await generalDecrypt(jwe, key)).plaintext : (await flattenedDecrypt(jwe, key)).plaintext
}
