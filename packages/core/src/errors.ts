/**
 * Every code that Sealbus throws, with what it means and whether trying again later can help.
 * docs/ERRORS.md has a section for each; its test keeps the two in step.
 */
const CODES = {
  // Mistakes of the program, found at construction or at the call.
  ERR_SEALBUS_INVALID_OPTION: false,
  ERR_SEALBUS_ALREADY_WRAPPED: false,
  ERR_SEALBUS_CLOSED: false,
  ERR_SEALBUS_UNDECLARED_CHANNEL: false,
  ERR_SEALBUS_AMBIGUOUS_CHANNEL: false,
  // Sealing.
  ERR_SEALBUS_NO_RECIPIENTS: false,
  ERR_SEALBUS_UNKNOWN_RECIPIENT: false,
  ERR_SEALBUS_NO_USABLE_KEY: false,
  ERR_SEALBUS_KEYS_NOT_READY: true,
  ERR_SEALBUS_DIRECTORY_UNAVAILABLE: true,
  ERR_SEALBUS_ALREADY_SEALED: false,
  ERR_SEALBUS_TOO_LARGE: false,
  ERR_SEALBUS_UNROUTABLE: false,
  // Opening: the message.
  ERR_SEALBUS_NOT_SEALED: false,
  ERR_SEALBUS_MALFORMED: false,
  ERR_SEALBUS_REFUSED: false,
  ERR_SEALBUS_UNSUPPORTED_VERSION: false,
  ERR_SEALBUS_DECRYPT_FAILED: false,
  ERR_SEALBUS_CONTEXT_MISMATCH: false,
  // Opening: our keys.
  ERR_SEALBUS_NOT_A_RECIPIENT: false,
  ERR_SEALBUS_KEY_MISSING: true,
  ERR_SEALBUS_KEY_DESTROYED: false,
  ERR_SEALBUS_KEY_REVOKED: false,
  ERR_SEALBUS_KEY_UNAVAILABLE: true,
  ERR_SEALBUS_KEY_FORBIDDEN: false,
  ERR_SEALBUS_INVALID_KEY: false,
} as const

/** A stable code, safe to branch on; see docs/ERRORS.md. */
export type SealbusErrorCode = keyof typeof CODES

export const ERROR_CODES: readonly SealbusErrorCode[] = Object.keys(CODES) as SealbusErrorCode[]

/** `instanceof` fails across two copies of the package; the brand does not. */
const BRAND = Symbol.for('sealbus.error')

const DOCS = 'https://github.com/sealbus/sealbus/blob/main/docs/ERRORS.md'

/** Facts that an error may carry: names, sizes and times, never keys, payloads or tokens. */
export interface SealbusErrorFacts {
  /** Milliseconds until a next attempt can make a difference. */
  readonly retryAfterMs?: number
  /** A cause that is known to hold no secret: never an error of JSON.parse, key import, OpenSSL or a KMS. */
  readonly cause?: SealbusError
}

/**
 * The one error class of Sealbus. `code` says what happened, `transient` whether trying again later can help.
 *
 * No message, cause or property ever holds a key, a plaintext or a token. It deliberately has no `retriable`
 * member: kafkajs would read it, and end the consumer for good.
 */
export class SealbusError<Code extends SealbusErrorCode = SealbusErrorCode> extends Error {
  readonly code: Code
  readonly transient: (typeof CODES)[Code]
  /** Where the code is explained. */
  readonly docs: string
  /** Milliseconds until a next attempt can make a difference, where that is known. */
  declare readonly retryAfterMs?: number

  constructor(code: Code, message: string, facts: SealbusErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    Object.defineProperty(this, BRAND, { value: true })
    this.name = 'SealbusError'
    this.code = code
    this.transient = CODES[code]
    this.docs = `${DOCS}#${code.toLowerCase()}`
    if (facts.retryAfterMs !== undefined) this.retryAfterMs = facts.retryAfterMs
  }
}

/** `SealbusError` as a union discriminated by `code`, so that a `switch` narrows. */
export type AnySealbusError = { [Code in SealbusErrorCode]: SealbusError<Code> }[SealbusErrorCode]

/** Whether `error` is a Sealbus error, also one of another copy of this package. */
export function isSealbusError(error: unknown): error is AnySealbusError {
  return typeof error === 'object' && error !== null && BRAND in error
}
