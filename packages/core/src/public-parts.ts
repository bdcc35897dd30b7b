import { decodeEnvelope, fullContentType, headerParameter } from './envelope.ts'
import { asBuffer } from './bytes.ts'

/**
 * What anyone who holds an envelope can read in it. None of it is authenticated before the envelope is opened: anyone
 * can write an envelope that says this.
 */
export interface PublicParts {
  /** Whether it is of Sealbus' own form; a foreign JWE has none of `id`, `time`, `channel`, `to` and `realm`. */
  readonly native: boolean
  readonly enc: string
  /** One for each entry. */
  readonly recipients: readonly { readonly kid: string | undefined; readonly alg: string | undefined }[]
  readonly id: string | undefined
  readonly time: Date | undefined
  readonly channel: string | undefined
  /** The recipients' names. */
  readonly to: readonly string[] | undefined
  readonly realm: string | undefined
  readonly contentType: string | undefined
  /** Of the ciphertext, in bytes: that of the plaintext, where it was not compressed. */
  readonly size: number
}

/** Reads an envelope without any key. @throws ERR_SEALBUS_TOO_LARGE, ERR_SEALBUS_MALFORMED, ERR_SEALBUS_REFUSED, ERR_SEALBUS_UNSUPPORTED_VERSION */
export function publicParts(bytes: Uint8Array): PublicParts {
  const { enc, cty, native, entries, ciphertext } = decodeEnvelope(asBuffer(bytes))
  const context = native?.context
  return {
    native: native !== undefined,
    enc: enc.enc,
    recipients: entries.map((entry) => {
      const alg = headerParameter(entry, 'alg')
      return { kid: entry.kid, alg: typeof alg === 'string' ? alg : undefined }
    }),
    id: context?.id,
    time: context && new Date(context.iat * 1_000),
    channel: context?.channel,
    to: context?.to,
    realm: context?.realm,
    contentType: cty === undefined ? undefined : fullContentType(cty),
    size: ciphertext.length,
  }
}
