import { typeOf } from '../key-type.ts'
import { printable } from '../printable.ts'
import { fold, type Screen } from '../screen.ts'
import type { KeyFile } from './key-file.ts'
import { destroyableFrom, type Horizon, type KeyEntry, type KeyState, since } from './life-cycle.ts'

/** What may be shown of a key: named one by one, so that nothing private gets out. */
export interface KeyView {
  readonly kid: string
  /** Such as P-256 or RSA-2048; null for a destroyed key, as `alg`. */
  readonly type: string | null
  readonly alg: string | null
  readonly thumbprint: string | null
  readonly state: KeyState
  readonly since: string | null
  /** Whether it is the one that sealers choose. */
  readonly sealedFor: boolean
  /** When nothing can be left that was sealed for it, beside what is kept where no retention was given; null where that cannot be told, and for a destroyed one. */
  readonly destroyableFrom: string | null
  readonly reason: string | null
}

export function viewOf(entry: KeyEntry, file: KeyFile, horizon: Horizon): KeyView {
  const { kid, state } = entry
  const identity = file.identityOf(kid)
  const thumbprint = identity?.thumbprint ?? entry['thumbprint']
  const reason = entry['reason']
  return {
    kid,
    type: identity ? typeOf(identity.publicJwk) : null,
    alg: identity?.alg ?? null,
    thumbprint: typeof thumbprint === 'string' ? thumbprint : null,
    state,
    since: since(entry)?.toISOString() ?? null,
    sealedFor: kid === file.sealedFor,
    destroyableFrom: (state === 'destroyed' ? undefined : destroyableFrom(entry, horizon)?.toISOString()) ?? null,
    reason: typeof reason === 'string' ? reason : null,
  }
}

/** Columns of 80 characters, so that an id, a state and a day stay whole. */
const SHARES = [18, 8, 9, 10, 19]

export function showKeys(screen: Screen, keys: readonly KeyView[], { now, retentionKnown }: { readonly now: Date; readonly retentionKnown: boolean }): void {
  const [kidWidth = 18] = screen.widths(SHARES)
  const rows = keys.map((key) => [
    fold(printable(key.kid), kidWidth, 3).join('\n'),
    key.type ?? '',
    screen.tone(TONES[key.state], key.state),
    key.since?.slice(0, 10) ?? '',
    noteOf(key, now, retentionKnown).join('\n'),
  ])
  screen.table({ head: ['kid', 'key', 'state', 'since', ''], rows, shares: SHARES, dense: rows.length > 8 })
}

const TONES = { pending: 'name', active: 'good', retiring: 'quiet', archived: 'quiet', revoked: 'bad', destroyed: 'quiet' } as const

function noteOf({ state, sealedFor, destroyableFrom: from, reason }: KeyView, now: Date, retentionKnown: boolean): readonly string[] {
  if (sealedFor) return ['sealers choose it']
  if (state === 'revoked' || state === 'destroyed') return reason === null ? [] : [printable(reason)]
  if (state !== 'retiring' && state !== 'archived') return []
  if (from === null) return ['destroyable: unknown']
  const when = new Date(from) <= now ? ['may be destroyed'] : ['to be destroyed', `from ${from.slice(0, 10)}`]
  return retentionKnown ? when : [...when, '+ retention']
}
