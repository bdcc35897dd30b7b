import { encrypt, ivSize, keyCommitment, keySize } from './content-encryption.ts'
import { fixedBytes } from './fixed-bytes.ts'
import type { VectorKey } from './keys.ts'
import { type Wrapped, wrap } from './wrapping.ts'

/** A JSON object that a case may change at will. */
export type Members = Record<string, unknown>

/** One recipient's part. What is left out is as docs/FORMAT.md has it. */
export interface RecipientPlan {
  readonly key: VectorKey
  /** Null: no kid at all. */
  readonly kid?: string | null
  /** The `alg` that is written; the wrapping is the key's own. */
  readonly alg?: string
  /** The `alg` that enters the Concat KDF. */
  readonly kdfAlg?: string
  readonly apu?: Buffer
  readonly apv?: Buffer
  /** Instead of the envelope's content key. */
  readonly contentKey?: Buffer
  /** Instead of wrapping. */
  readonly wrapped?: (contentKey: Buffer, label: string) => Wrapped
  readonly epk?: (epk: Members) => void
  readonly encryptedKey?: (bytes: Buffer) => Buffer
}

/** An envelope to make. Each step may be changed; all later ones, the tag above all, then follow from the change. */
export interface Plan {
  readonly to: readonly (VectorKey | RecipientPlan)[]
  readonly form?: 'general' | 'flattened' | 'compact'
  /** What all that is random follows from. Default: the name of the case. */
  readonly seed?: string
  readonly enc?: string
  readonly plaintext?: Buffer
  readonly contentKey?: Buffer
  /** The content key that `kc` commits to. */
  readonly committed?: Buffer
  readonly iv?: Buffer
  readonly msg?: (msg: Members) => void
  /** The protected header, before it becomes text. */
  readonly header?: (header: Members) => void
  /** Whether kid, epk, apu and apv of a sole recipient stand in its own header, too. */
  readonly ownHeader?: boolean
  /** The protected header's JSON text. */
  readonly headerText?: (text: string) => string | Buffer
  /** The protected header's base64url. */
  readonly headerCode?: (text: string) => string
  /** Instead of encrypting. */
  readonly content?: (aad: string, iv: Buffer) => { readonly ciphertext: Buffer; readonly tag: Buffer }
  /** The JWE as an object; no longer authenticated. */
  readonly jwe?: (jwe: Jwe) => void
  /** The JWE as text; no longer authenticated. */
  readonly text?: (text: string) => string
}

export interface Entry extends Members {
  header?: Members
  encrypted_key: string
}

export interface Jwe extends Members {
  protected: string
  recipients: Entry[]
  iv: string
  ciphertext: string
  tag: string
}

export const PLAINTEXT: Buffer = Buffer.from('{"total":9}')
/** 2026-01-01T00:00:00Z. */
export const SEALED_AT = 1_767_225_600

/** The text of an envelope. All that is random follows from a seed, so that it is always the same. */
export function envelope(name: string, plan: Plan): string {
  const label = plan.seed ?? name
  const { enc = 'A256GCM', plaintext = PLAINTEXT, form = 'general' } = plan
  const contentKey = plan.contentKey ?? fixedBytes(`${label}: content key`, keySize(enc))
  const recipients = plan.to.map((each) => ('key' in each ? each : { key: each }))
  const wrapped = recipients.map((recipient, index) => parameters(recipient, contentKey, `${label}: recipient ${index}`))
  const sole = recipients.length === 1 && plan.ownHeader !== true
  const algs = new Set(wrapped.map(({ header }) => header['alg']))
  const sharedAlg = algs.size === 1 ? { alg: wrapped[0]?.header['alg'] } : {}

  const msg: Members = {
    v: 1,
    id: fixedBytes(`${label}: id`, 16).toString('base64url'),
    iat: SEALED_AT,
    ch: 'orders',
    to: recipients.map(({ key }) => key.name),
  }
  plan.msg?.(msg)
  const { kid, epk, apu, apv } = sole ? (wrapped[0]?.header ?? {}) : {}
  const header: Members = present({
    typ: 'sealbus+jwe',
    ...sharedAlg,
    enc,
    kid,
    epk,
    apu,
    apv,
    kc: keyCommitment(enc, plan.committed ?? contentKey).toString('base64url'),
    cty: 'json',
    msg,
  })
  plan.header?.(header)
  const headerText = JSON.stringify(header)
  const code = Buffer.from(plan.headerText?.(headerText) ?? headerText).toString('base64url')
  const aad = plan.headerCode?.(code) ?? code

  const iv = plan.iv ?? fixedBytes(`${label}: iv`, ivSize(enc))
  const { ciphertext, tag } = plan.content?.(aad, iv) ?? encrypt(enc, contentKey, iv, aad, plaintext)
  const entries = wrapped.map(({ header: own, encryptedKey }): Entry => {
    const rest = present({ ...own, alg: algs.size === 1 ? undefined : own['alg'] })
    return { ...(sole ? {} : { header: rest }), encrypted_key: encryptedKey.toString('base64url') }
  })
  const jwe: Jwe = { protected: aad, recipients: entries, iv: iv.toString('base64url'), ciphertext: ciphertext.toString('base64url'), tag: tag.toString('base64url') }
  plan.jwe?.(jwe)
  const text = serialized(jwe, form)
  return plan.text?.(text) ?? text
}

/** A header with its members in the order of docs/FORMAT.md, and the wrapped key. */
function parameters(recipient: RecipientPlan, shared: Buffer, label: string): { readonly header: Members; readonly encryptedKey: Buffer } {
  const { key, alg = key.alg, kid = key.kid, kdfAlg, apu, apv, contentKey = shared } = recipient
  const agreement = { label, ...(kdfAlg !== undefined && { alg: kdfAlg }), ...(apu && { apu }), ...(apv && { apv }) }
  const { epk, encryptedKey } = recipient.wrapped?.(contentKey, label) ?? wrap(key, contentKey, agreement)
  const edited: Members | undefined = epk && { ...epk }
  if (edited) recipient.epk?.(edited)
  return {
    header: present({ alg, kid: kid ?? undefined, epk: edited, apu: apu?.toString('base64url'), apv: apv?.toString('base64url') }),
    encryptedKey: recipient.encryptedKey?.(encryptedKey) ?? encryptedKey,
  }
}

function serialized({ recipients, ...rest }: Jwe, form: 'general' | 'flattened' | 'compact'): string {
  const { protected: header, ...content } = rest
  if (form === 'general') return JSON.stringify({ protected: header, recipients, ...content })
  const [entry] = recipients
  if (form === 'flattened') return JSON.stringify({ protected: header, ...entry, ...content })
  return [header, entry?.encrypted_key, content.iv, content.ciphertext, content.tag].join('.')
}

function present(members: Members): Members {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}
