import { randomBytes } from 'node:crypto'
import jose from 'node-jose'
import { keyCommitment } from '../../commitment.ts'
import { serveLines } from '../../line-server.ts'
import type { Opened, OpenTask, SealTask } from '../../peer.ts'

async function seal({ form, enc, header, commit, alg, recipients, plaintext }: SealTask): Promise<string> {
  const contentKey = randomBytes(enc === 'A128GCM' ? 16 : enc === 'A256GCM' ? 32 : 64)
  const fields = { ...header, ...(alg !== undefined && { alg }), enc, ...(commit && { kc: keyCommitment(contentKey, enc) }) }
  const sole = recipients.length === 1
  const list = await Promise.all(recipients.map(async ({ jwk, apu, apv }) => ({
    key: await jose.JWK.asKey(jwk),
    header: { kid: jwk.kid, ...(alg === undefined && { alg: jwk.alg }), ...(apu !== undefined && { apu }), ...(apv !== undefined && { apv }) },
    reference: false,
  })))
  const options = {
    format: form,
    contentAlg: enc,
    fields,
    protect: sole ? '*' : Object.keys(fields),
    cek: await jose.JWK.asKey({ kty: 'oct', k: contentKey.toString('base64url') }),
  }
  const made = await jose.JWE.createEncrypt(options, ...list).final(Buffer.from(plaintext, 'base64url'))
  return typeof made === 'string' ? made : JSON.stringify(made)
}

async function open({ jwe, jwk }: OpenTask): Promise<Opened> {
  const key = await jose.JWK.asKey(jwk)
  const decrypter = jose.JWE.createDecrypt(key, { algorithms: ['ECDH-ES+A256KW', 'RSA-OAEP-256', 'A256GCM', 'A128GCM'] })
  const { plaintext, header } = await decrypter.decrypt(jwe.startsWith('{') ? withOwnEntry(JSON.parse(jwe) as Envelope, jwk.kid) : jwe)
  return { plaintext: plaintext.toString('base64url'), header, committed: await isCommitted(jwe, key, header) }
}

/** Given all entries, it tries each with our key, and now and then takes another's content key for good: one message in some hundreds. */
function withOwnEntry(envelope: Envelope, kid: unknown): Envelope {
  const { recipients } = envelope
  return recipients && recipients.length > 1 ? { ...envelope, recipients: recipients.filter(({ header }) => header?.kid === kid) } : envelope
}

/** The library hands out the content key when asked to unwrap alone. */
async function isCommitted(jwe: string, key: Awaited<ReturnType<typeof jose.JWK.asKey>>, header: Readonly<Record<string, unknown>>): Promise<boolean> {
  const contentKey = await key.unwrap(String(header['alg']), encryptedKey(jwe, header['kid']), header)
  return keyCommitment(contentKey, String(header['enc'])) === header['kc']
}

interface Envelope {
  readonly encrypted_key?: string
  readonly recipients?: readonly { readonly header?: { readonly kid?: unknown }; readonly encrypted_key: string }[]
}

function encryptedKey(jwe: string, kid: unknown): Buffer {
  if (!jwe.startsWith('{')) return Buffer.from(jwe.split('.')[1] ?? '', 'base64url')
  const { recipients, encrypted_key: flattened } = JSON.parse(jwe) as Envelope
  const entry = recipients?.find(({ header }, _index, { length }) => length === 1 || header?.kid === kid)
  return Buffer.from(entry?.encrypted_key ?? flattened ?? '', 'base64url')
}

await serveLines({ seal, open })
