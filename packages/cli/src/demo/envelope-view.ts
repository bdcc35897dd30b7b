/** The parts of an envelope that anyone who holds it can see. */
export interface EnvelopeView {
  /** Of the protected header, decoded. */
  readonly header: { readonly alg: string; readonly enc: string; readonly to: readonly string[] }
  /** One for each recipient. */
  readonly kids: readonly string[]
  readonly ciphertext: string
  /** The content key, wrapped for the first recipient: the same in all messages of one session. */
  readonly wrappedKey: string
}

interface Jwe {
  readonly protected: string
  readonly recipients: readonly { readonly header?: { readonly kid: string }; readonly encrypted_key: string }[]
  readonly ciphertext: string
}

interface ProtectedHeader {
  readonly alg: string
  readonly enc: string
  readonly msg: { readonly to: readonly string[] }
}

export function viewEnvelope(bytes: Buffer): EnvelopeView {
  const jwe = JSON.parse(bytes.toString('utf8')) as Jwe
  const { alg, enc, msg } = JSON.parse(Buffer.from(jwe.protected, 'base64url').toString('utf8')) as ProtectedHeader
  return {
    header: { alg, enc, to: msg.to },
    kids: jwe.recipients.map(({ header }) => header?.kid ?? ''),
    ciphertext: jwe.ciphertext,
    wrappedKey: jwe.recipients[0]?.encrypted_key ?? '',
  }
}
