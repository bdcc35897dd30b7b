import { envelope, type Members, type Plan, PLAINTEXT } from './envelope.ts'
import { billing, type VectorKey } from './keys.ts'

/** One case, as it stands in the files: vectors/README.md says what each member means. */
export interface VectorCase {
  readonly name: string
  /** Section of docs/FORMAT.md. */
  readonly rule: string
  /** Whether a plain RFC 7516 decrypter that has the key gets a plaintext from it. */
  readonly jwe: 'opens' | 'fails'
  readonly identities: readonly PrivateJwk[]
  readonly opener: OpenerSettings
  readonly envelope?: string
  readonly envelopeBytes?: string
  /** Spaces to append to the envelope, so that large ones need no large file. */
  readonly trailingSpaces?: number
  readonly expect: Expectation
}

export type PrivateJwk = Readonly<Record<string, unknown>>

export interface OpenerSettings {
  readonly name: string
  readonly channel: string
  readonly foreign?: boolean
  readonly realm?: string
  readonly bindKey?: boolean
  readonly bindHeaders?: readonly string[]
  readonly recordKey?: string | null
  readonly headers?: Readonly<Record<string, readonly string[]>>
}

export type Expectation = { readonly error: string } | Opening

export interface Opening {
  readonly plaintext?: string
  /** Instead of a plaintext that is large. */
  readonly plaintextSize?: number
  readonly plaintextSha256?: string
  readonly id: string | null
  readonly time: number | null
  readonly contentType: string | null
  readonly contentEncoding: string | null
  readonly inReplyTo: string | null
  readonly kid: string
}

/** What the writer of a case may say beside the envelope. */
export interface Circumstances {
  /** Keys that the opener has; billing's unless told. The first one opens. */
  readonly keys?: readonly VectorKey[]
  readonly identities?: readonly PrivateJwk[]
  readonly opener?: Partial<OpenerSettings>
  readonly trailingSpaces?: number
  readonly jwe?: 'opens' | 'fails'
}

/** A case that must open. What is expected follows from the plan, but for what `expected` says once the envelope is made. */
export function opens(rule: string, name: string, plan: Plan, circumstances: Circumstances = {}, expected: () => Partial<Opening> = () => ({})): VectorCase {
  const made: { header?: Members } = {}
  const text = envelope(name, {
    ...plan,
    header: (header) => {
      plan.header?.(header)
      made.header = header
    },
  })
  const special = expected()
  const { header = {} } = made
  const msg = header['typ'] === undefined ? undefined : (header['msg'] as Members | undefined)
  const cty = header['cty'] as string | undefined
  const [first] = circumstances.keys ?? [billing]
  return {
    ...base(rule, name, text, circumstances),
    jwe: circumstances.jwe ?? 'opens',
    expect: {
      id: (msg?.['id'] as string | undefined) ?? null,
      time: (msg?.['iat'] as number | undefined) ?? null,
      contentType: cty === undefined ? null : cty.includes('/') ? cty : `application/${cty}`,
      contentEncoding: (msg?.['ce'] as string | undefined) ?? null,
      inReplyTo: (msg?.['re'] as string | undefined) ?? null,
      kid: first?.kid ?? '',
      ...(special.plaintextSize === undefined && { plaintext: (plan.plaintext ?? PLAINTEXT).toString('base64url') }),
      ...special,
    },
  }
}

/** A case of one fault. `jwe` says whether it is also a fault of the JWE. */
export function fails(rule: string, name: string, error: string, jwe: 'opens' | 'fails', plan: Plan, circumstances: Circumstances = {}): VectorCase {
  return { ...base(rule, name, envelope(name, plan), circumstances), jwe, expect: { error: `ERR_SEALBUS_${error}` } }
}

function base(rule: string, name: string, text: string, { keys = [billing], identities, opener, trailingSpaces }: Circumstances): Omit<VectorCase, 'expect' | 'jwe'> {
  return {
    name,
    rule,
    identities: identities ?? keys.map(({ privateJwk }) => privateJwk),
    opener: { name: keys[0]?.name ?? 'billing', channel: 'orders', ...opener },
    envelope: text,
    ...(trailingSpaces !== undefined && { trailingSpaces }),
  }
}

/** A case whose envelope is no text. */
export function withBytes({ envelope: _text, ...rest }: VectorCase, bytes: Buffer): VectorCase {
  return { ...rest, envelopeBytes: bytes.toString('base64url') }
}
