/**
 * The one table of permitted algorithms: default deny. Nothing else in the code names an algorithm's parameters.
 * RSA1_5, RSA-OAEP with SHA-1, PBES2, `dir` and bare ECDH-ES are absent on purpose (RFC 8725 §3.2).
 */

export type KeyManagementAlgorithm = 'ECDH-ES+A256KW' | 'RSA-OAEP-256'
export type ContentEncryption = 'A128GCM' | 'A256GCM' | 'A256CBC-HS512'
export const KEY_MANAGEMENT_ALGORITHMS: readonly KeyManagementAlgorithm[] = ['ECDH-ES+A256KW', 'RSA-OAEP-256']
export const CONTENT_ENCRYPTIONS: readonly ContentEncryption[] = ['A256GCM', 'A128GCM', 'A256CBC-HS512']

/** A key shape that an algorithm may be used with. Curve names are JOSE's. */
export interface CurveRow {
  readonly kty: 'EC' | 'OKP'
  readonly crv: 'P-256' | 'P-384' | 'P-521' | 'X25519'
  /** Bytes of a coordinate. */
  readonly size: number
}

export const CURVES: readonly CurveRow[] = [
  { kty: 'EC', crv: 'P-256', size: 32 },
  { kty: 'EC', crv: 'P-384', size: 48 },
  { kty: 'EC', crv: 'P-521', size: 66 },
  { kty: 'OKP', crv: 'X25519', size: 32 },
]

/** RSA modulus bits: NIST SP 800-131A's floor, and above 4,096 an unwrap is slow enough to be a denial of service. */
export const RSA_BITS = { min: 2048, max: 4096 } as const

export interface ContentEncryptionRow {
  readonly enc: ContentEncryption
  /** OpenSSL's cipher. */
  readonly cipher: 'aes-128-gcm' | 'aes-256-gcm' | 'aes-256-cbc'
  /** Bytes of the content key, IV and tag (RFC 7518 §5). */
  readonly keySize: number
  readonly ivSize: number
  readonly tagSize: number
  readonly seals: boolean
}

const ROWS: Record<ContentEncryption, ContentEncryptionRow> = {
  A128GCM: { enc: 'A128GCM', cipher: 'aes-128-gcm', keySize: 16, ivSize: 12, tagSize: 16, seals: true },
  A256GCM: { enc: 'A256GCM', cipher: 'aes-256-gcm', keySize: 32, ivSize: 12, tagSize: 16, seals: true },
  'A256CBC-HS512': { enc: 'A256CBC-HS512', cipher: 'aes-256-cbc', keySize: 64, ivSize: 16, tagSize: 32, seals: false },
}

export const DEFAULT_ENC: ContentEncryption = 'A256GCM'

/** The row of `enc`, or undefined: an own-property look-up, so that `constructor` is no algorithm. */
export function contentEncryption(enc: unknown): ContentEncryptionRow | undefined {
  return typeof enc === 'string' && Object.hasOwn(ROWS, enc) ? ROWS[enc as ContentEncryption] : undefined
}

export function curve(kty: unknown, crv: unknown): CurveRow | undefined {
  return CURVES.find((row) => row.kty === kty && row.crv === crv)
}

/** The algorithm that a JWK is for: its `alg`, else by key type. Undefined: not permitted. */
export function keyManagementAlgorithm(jwk: { kty?: unknown; crv?: unknown; alg?: unknown }): KeyManagementAlgorithm | undefined {
  const byType = jwk.kty === 'RSA' ? 'RSA-OAEP-256' : curve(jwk.kty, jwk.crv) ? 'ECDH-ES+A256KW' : undefined
  return jwk.alg === undefined || jwk.alg === byType ? byType : undefined
}

/** What an option leaves of the table: it can only narrow. Undefined: the option is no list of permitted names. */
export function narrowed<Name extends string>(given: readonly Name[] | undefined, permitted: readonly Name[]): ReadonlySet<unknown> | undefined {
  if (given === undefined) return new Set(permitted)
  const valid = Array.isArray(given) && given.length > 0 && given.every((name) => permitted.includes(name))
  return valid ? new Set(given) : undefined
}

/** Bytes of an `encrypted_key`: A256KW adds 8 to the content key (RFC 3394); RSA's is the modulus. */
export function encryptedKeySize(alg: KeyManagementAlgorithm, row: ContentEncryptionRow, modulusBits: number): number {
  return alg === 'RSA-OAEP-256' ? Math.ceil(modulusBits / 8) : row.keySize + 8
}
