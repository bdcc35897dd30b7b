import { ageMs, type Clock, type Instant } from '../clock.ts'
import { SealbusError } from '../errors.ts'
import { type Failure, nextTryMs } from './back-off.ts'
import type { Validators } from './fetch.ts'
import type { KeySet, RejectedKey, SetKey } from './parse.ts'
import { selectKey } from './select.ts'

/** One recipient's keys in a document, and the one that is sealed for now. */
export interface Slot {
  readonly keys: readonly SetKey[]
  readonly rejected: readonly RejectedKey[]
  selected: SetKey | undefined
  /** Epoch milliseconds at which the selection must be made anew: a key expires, or a newer one becomes valid. */
  selectedUntil: number
}

/** The last good document of a source. */
export interface Held {
  readonly slots: ReadonlyMap<string, Slot>
  /** The source that it came from. */
  readonly terms: string
  readonly validators: Validators
  readonly fetchedAt: Instant
  readonly freshMs: number
  /** Age at which access starts a refresh: below `freshMs`, with jitter. */
  readonly refreshAtMs: number
  readonly issuedAt: number | undefined
}

/** What is known of one source: of one recipient, or of the registry. Made anew by each attempt to read it. */
export interface Entry {
  /** For messages. */
  readonly subject: string
  readonly maxStaleMs: number
  readonly held?: Held
  readonly failure?: Failure
  /** Whether it was said that a stale set is served, and that it is served no longer. */
  saidStale?: boolean
  saidExpired?: boolean
}

export function newSlot({ keys, rejected }: KeySet, previous: Slot | undefined): Slot {
  return { keys: keys.map((key) => reuse(previous, key)), rejected, selected: undefined, selectedUntil: 0 }
}

/** The object that is known already, for as long as the key is the same: content-key sessions go by it. */
function reuse(previous: Slot | undefined, key: SetKey): SetKey {
  const known = previous?.keys.find((each) => each.thumbprint === key.thumbprint)
  const same = known && known.kid === key.kid && known.notBefore === key.notBefore && known.notAfter === key.notAfter && known.issuedAt === key.issuedAt
  return same ? known : key
}

/** The key of a slot to seal for now. @throws ERR_SEALBUS_NO_USABLE_KEY */
export function usableKey(slot: Slot, now: number, subject: string): SetKey {
  if (now >= slot.selectedUntil) select(slot, now)
  if (!slot.selected) throw noUsableKey(slot, subject)
  return slot.selected
}

function select(slot: Slot, now: number): void {
  slot.selected = selectKey(slot.keys, now)
  const times = slot.keys.flatMap(({ notBefore, issuedAt, notAfter }) => [notBefore ?? 0, issuedAt ?? 0, notAfter ?? 0])
  slot.selectedUntil = Math.min(...times.filter((time) => time > now), Infinity)
}

function noUsableKey({ keys, rejected }: Slot, subject: string): SealbusError {
  const [first] = rejected
  const why = keys.length > 0 ? 'all are expired, or not valid yet' : first ? first.reason : 'its set is empty, which revokes'
  return new SealbusError('ERR_SEALBUS_NO_USABLE_KEY', `${subject} has no key that can be sealed for now: ${why}`)
}

/** Past this age a document is not served, however its source does: a revoked key may be in there. */
export const longestMs = ({ freshMs }: Held, { maxStaleMs }: Entry): number => Math.max(freshMs, maxStaleMs)

/** How a source does. `failing`: sealing for it is refused now. */
export interface SourceHealth {
  /** The recipient's name, or `registry`. */
  readonly name: string
  readonly state: 'fresh' | 'stale' | 'failing' | 'cold'
  /** Milliseconds since the last good answer. */
  readonly ageMs?: number
  /** Code of the last attempt's failure, or of why no key can be used. */
  readonly lastError?: SealbusError['code']
  /** Milliseconds until a failed source is asked again. */
  readonly nextTryMs?: number
}

export function healthOf(name: string, entry: Entry | undefined, clock: Clock): SourceHealth {
  if (!entry) return { name, state: 'cold' }
  const { held, failure } = entry
  const tried = failure ? { lastError: failure.error.code, nextTryMs: nextTryMs(clock, failure) } : {}
  if (!held) return { name, state: 'failing', ...tried }
  const age = ageMs(clock, held.fetchedAt)
  const facts = { name, ageMs: age, ...tried }
  if (age >= longestMs(held, entry)) return { state: failure ? 'failing' : 'cold', ...facts }
  const slot = held.slots.get(name)
  if (slot && !selectKey(slot.keys, clock.wall())) return { state: 'failing', ...facts, lastError: 'ERR_SEALBUS_NO_USABLE_KEY' }
  return { state: age >= held.freshMs ? 'stale' : 'fresh', ...facts }
}
