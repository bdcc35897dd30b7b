import type { IdentityState } from '@sealbus/core'
import { DIRECTORY_LIMITS, type Json, LIMITS } from '@sealbus/core/tools'

export type KeyState = IdentityState | 'destroyed'
export const KEY_STATES: readonly KeyState[] = ['pending', 'active', 'retiring', 'archived', 'revoked', 'destroyed']

/** An entry of a private JWK Set. Its times are ISO 8601, in members such as `retired_at`. */
export interface KeyEntry {
  readonly kid: string
  readonly state: KeyState
  readonly [member: string]: Json
}

/** What a key may become: never what it was before its private half was given up. */
const NEXT: Readonly<Record<KeyState, readonly KeyState[]>> = {
  pending: ['active', 'revoked', 'destroyed'],
  // Not destroyed: others seal for it.
  active: ['retiring', 'revoked'],
  // Active again: a rotation that is undone.
  retiring: ['active', 'archived', 'revoked', 'destroyed'],
  archived: ['revoked', 'destroyed'],
  revoked: ['destroyed'],
  destroyed: [],
}

const TIMES: Readonly<Record<KeyState, string>> = { pending: 'created_at', active: 'activated_at', retiring: 'retired_at', archived: 'archived_at', revoked: 'revoked_at', destroyed: 'destroyed_at' }

export function mayBecome(from: KeyState, to: KeyState): boolean {
  return NEXT[from].includes(to)
}

/** Since when it is in its state, where that was noted. */
export const since = (entry: KeyEntry): Date | undefined => timeOf(entry, entry.state) ?? timeOf(entry, 'pending')

/** The entry in its new state. Of a destroyed one nothing stays but its names and its times. */
export function become(entry: KeyEntry, to: KeyState, { now, thumbprint, reason }: { readonly now: Date; readonly thumbprint?: string; readonly reason?: string | undefined }): KeyEntry {
  const { retired_at: _retired, ...published } = entry
  const kept = to === 'destroyed' ? timesOf(entry) : to === 'active' ? published : entry
  return { ...kept, kid: entry.kid, state: to, [TIMES[to]]: now.toISOString(), ...(to === 'destroyed' && thumbprint !== undefined && { thumbprint }), ...(reason !== undefined && { reason }) }
}

/** The pending key to publish next: the newest, else the last of the document. */
export function nextKey(entries: readonly KeyEntry[]): KeyEntry | undefined {
  const createdAt = (entry: KeyEntry): number => timeOf(entry, 'pending')?.getTime() ?? 0
  return entries.filter(({ state }) => state === 'pending').reduce<KeyEntry | undefined>((newest, each) => (newest && createdAt(newest) > createdAt(each) ? newest : each), undefined)
}

/** How far back messages for a key may come from. */
export interface Horizon {
  /** How long messages are kept: the longest of log, dead letters and replays. */
  readonly retentionMs: number
  /** The longest `maxStaleMs` of the sealers' directories. */
  readonly maxStaleMs: number
}

export const DEFAULT_HORIZON: Horizon = { retentionMs: 0, maxStaleMs: DIRECTORY_LIMITS.maxStaleMs }

const CLOCK_SKEW_MS = 300_000

/** Since when it is not published any more: undefined for one that is, or of which it was not noted; 'never' for one that never was. */
function unpublished(entry: KeyEntry): Date | 'never' | undefined {
  if (entry.state === 'active') return undefined
  const noted = timeOf(entry, 'retiring') ?? timeOf(entry, 'revoked')
  const wasActive = entry.state === 'retiring' || entry.state === 'archived' || timeOf(entry, 'active') !== undefined
  return wasActive ? noted : 'never'
}

/**
 * When nothing can be left that was sealed for a key: its directories have forgotten it, their last content-key sessions
 * have ended, and what they sealed is not kept any longer. Undefined where that cannot be told.
 */
export function destroyableFrom(entry: KeyEntry, { retentionMs, maxStaleMs }: Horizon): Date | undefined {
  const from = unpublished(entry)
  if (from === 'never') return timeOf(entry, 'pending') ?? new Date(0)
  return from && new Date(from.getTime() + DIRECTORY_LIMITS.freshCeilingMs + maxStaleMs + LIMITS.session.ageMs.most + CLOCK_SKEW_MS + retentionMs)
}

function timeOf(entry: KeyEntry, state: KeyState): Date | undefined {
  const noted = entry[TIMES[state]]
  const time = typeof noted === 'string' ? new Date(noted) : undefined
  return time && !Number.isNaN(time.getTime()) ? time : undefined
}

function timesOf(entry: KeyEntry): Record<string, Json> {
  return Object.fromEntries(Object.values(TIMES).flatMap((name) => (typeof entry[name] === 'string' ? [[name, entry[name]]] : [])))
}
