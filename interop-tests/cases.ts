import { randomBytes } from 'node:crypto'
import { KEY_KINDS, type KeyKind } from './keys.ts'

export type ContentEncryption = 'A256GCM' | 'A128GCM' | 'A256CBC-HS512'
export type Form = 'general' | 'flattened' | 'compact'

/** An envelope to make, by us or by a peer. */
export interface EnvelopeCase {
  readonly title: string
  readonly kinds: readonly KeyKind[]
  readonly enc: ContentEncryption
  readonly form: Form
  readonly payload: Buffer
}

/** What we seal beyond the usual. */
export interface OurCase extends EnvelopeCase {
  readonly compress?: 'gzip' | 'zstd'
  readonly channel?: string
  readonly id?: string
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What a peer seals. */
export interface TheirCase extends EnvelopeCase {
  /** With `typ`, `kc` and `msg`; else foreign. */
  readonly native: boolean
  readonly partyInfo?: boolean
}

const PAYLOAD = Buffer.from('{"total":9}')
const MIXED: readonly KeyKind[] = ['P-256', 'RSA', 'P-521', 'P-384', 'X25519']
/** The same with the key types that every library has. */
const WIDELY_MIXED: readonly KeyKind[] = ['P-256', 'P-521', 'P-384']

const cycle = (kinds: readonly KeyKind[], count: number): KeyKind[] => Array.from({ length: count }, (_, index) => kinds[index % kinds.length] ?? 'P-256')

interface Recipients {
  readonly label: string
  readonly kinds: readonly KeyKind[]
}

const RECIPIENTS: readonly Recipients[] = [
  ...KEY_KINDS.flatMap((kind) => [1, 3, 10].map((count) => ({ label: `${count} ${kind}`, kinds: cycle([kind], count) }))),
  { label: '3 of different curves', kinds: cycle(WIDELY_MIXED, 3) },
  { label: '3 of P-256 and RSA', kinds: cycle(['P-256', 'RSA'], 3) },
  { label: '3 mixed with X25519', kinds: ['X25519', 'RSA', 'P-256'] },
  { label: '10 mixed', kinds: cycle(MIXED, 10) },
]

const FORMS: readonly Form[] = ['general', 'flattened', 'compact']
const formsFor = ({ kinds }: Recipients): readonly Form[] => (kinds.length === 1 ? FORMS : ['general'])

const envelopes = (encs: readonly ContentEncryption[]): EnvelopeCase[] =>
  RECIPIENTS.flatMap((recipients) =>
    encs.flatMap((enc) => formsFor(recipients).map((form) => ({ title: `${recipients.label}, ${enc}, ${form}`, kinds: recipients.kinds, enc, form, payload: PAYLOAD }))),
  )

const usual: EnvelopeCase = { title: '', kinds: cycle(WIDELY_MIXED, 3), enc: 'A256GCM', form: 'general', payload: PAYLOAD }
const sole: EnvelopeCase = { ...usual, kinds: ['P-256'], form: 'compact' }
const LARGE = randomBytes(1_048_576)
const EMPTY = Buffer.alloc(0)
/** Long enough to become shorter: what does not is sealed as it is. */
const REPETITIVE = Buffer.from('{"total":9}'.repeat(100))

export const OUR_CASES: readonly OurCase[] = [
  ...envelopes(['A256GCM', 'A128GCM']),
  { ...usual, title: '1 MiB for 3', payload: LARGE },
  { ...sole, title: '1 MiB, compact', payload: LARGE },
  { ...usual, title: 'an empty payload for 3', payload: EMPTY },
  { ...sole, title: 'an empty payload, compact', payload: EMPTY },
  { ...usual, title: 'compressed with gzip', compress: 'gzip', payload: REPETITIVE },
  { ...usual, title: 'compressed with zstd', compress: 'zstd', payload: REPETITIVE },
  {
    ...usual,
    title: 'a context in Unicode',
    channel: 'заказы/注文/🦭',
    id: 'id-é-"\\-\u2028-🔑',
    contentType: 'application/vnd.größe+json',
    headers: { 'x-größe': '第一', plain: '' },
  },
]

export const THEIR_CASES: readonly TheirCase[] = [
  ...envelopes(['A256GCM', 'A128GCM', 'A256CBC-HS512']).flatMap((each) => [
    { ...each, title: `foreign: ${each.title}`, native: false },
    { ...each, title: `native: ${each.title}`, native: true },
  ]),
  ...[usual, { ...sole }].flatMap((each): TheirCase[] => [
    { ...each, title: `apu and apv, ${each.kinds.length}`, native: false, partyInfo: true },
    { ...each, title: `1 MiB, ${each.kinds.length}`, native: false, payload: LARGE },
    { ...each, title: `an empty payload, ${each.kinds.length}`, native: false, payload: EMPTY },
  ]),
]
