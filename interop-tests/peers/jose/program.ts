import { CompactEncrypt, compactDecrypt, FlattenedEncrypt, flattenedDecrypt, type FlattenedJWE, GeneralEncrypt, generalDecrypt, type GeneralDecryptGetKey, type GeneralJWE, importJWK } from 'jose'
import { serveLines } from '../../line-server.ts'
import type { OpenTask, SealTask } from '../../peer.ts'
import { keyCommitment } from '../../commitment.ts'

/** With several recipients each has a header of its own; a sole one's parameters are protected. */
async function seal({ form, enc, header, commit, alg, recipients, plaintext }: SealTask): Promise<string> {
  const content = Buffer.from(plaintext, 'base64url')
  const [first] = recipients
  if (!first) throw new TypeError('no recipients')
  if (recipients.length > 1 || form === 'general') {
    const jwe = new GeneralEncrypt(content).setProtectedHeader({ ...header, ...(alg !== undefined && { alg }), enc })
    if (commit && !('setContentEncryptionKey' in jwe)) throw new TypeError('GeneralEncrypt takes no content key')
    for (const { jwk, apu, apv } of recipients) {
      jwe
        .addRecipient(await importJWK(jwk))
        .setUnprotectedHeader({ kid: String(jwk.kid), ...(alg === undefined && { alg: String(jwk.alg) }) })
        .setKeyManagementParameters(partyInfo(apu, apv))
    }
    return JSON.stringify(await jwe.encrypt())
  }
  const contentKey = crypto.getRandomValues(new Uint8Array(enc === 'A128GCM' ? 16 : enc === 'A256GCM' ? 32 : 64))
  const whole = { ...header, alg: String(first.jwk.alg), enc, kid: String(first.jwk.kid), ...(commit && { kc: keyCommitment(contentKey, enc) }) }
  const key = await importJWK(first.jwk)
  const parameters = partyInfo(first.apu, first.apv)
  if (form === 'compact') return new CompactEncrypt(content).setProtectedHeader(whole).setContentEncryptionKey(contentKey).setKeyManagementParameters(parameters).encrypt(key)
  return JSON.stringify(await new FlattenedEncrypt(content).setProtectedHeader(whole).setContentEncryptionKey(contentKey).setKeyManagementParameters(parameters).encrypt(key))
}

function partyInfo(apu: string | undefined, apv: string | undefined): { apu?: Uint8Array; apv?: Uint8Array } {
  return { ...(apu !== undefined && { apu: Buffer.from(apu, 'base64url') }), ...(apv !== undefined && { apv: Buffer.from(apv, 'base64url') }) }
}

async function open({ jwe, jwk }: OpenTask): Promise<{ plaintext: string; header: Record<string, unknown>; committed: null }> {
  const key = await importJWK(jwk)
  const decrypted = await decrypt(jwe, key, jwk.kid)
  // The library keeps the content key to itself, so there is nothing to compare `kc` with.
  return { plaintext: Buffer.from(decrypted.plaintext).toString('base64url'), header: { ...decrypted.protectedHeader }, committed: null }
}

async function decrypt(jwe: string, key: Awaited<ReturnType<typeof importJWK>>, kid: string | undefined): ReturnType<typeof flattenedDecrypt> {
  const options = { keyManagementAlgorithms: ['ECDH-ES+A256KW', 'RSA-OAEP-256'], contentEncryptionAlgorithms: ['A256GCM', 'A128GCM'] }
  if (!jwe.startsWith('{')) return compactDecrypt(jwe, key, options)
  const parsed = JSON.parse(jwe) as FlattenedJWE | GeneralJWE
  if (!('recipients' in parsed)) return flattenedDecrypt(parsed, key, options)
  // By kid: with a bare key the library tries every recipient, and decrypts the content for each.
  const select: GeneralDecryptGetKey = (header, entry) => {
    if ((header?.kid ?? entry.header?.kid) !== kid) throw new TypeError('not for this key')
    return key
  }
  return generalDecrypt(parsed, select, options)
}

await serveLines({ seal, open })
