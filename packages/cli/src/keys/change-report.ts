import { printable } from '../printable.ts'
import type { Screen } from '../screen.ts'
import type { KeyFile } from './key-file.ts'
import type { KeyState } from './life-cycle.ts'

/** One key that a command made or changed. */
export interface KeyChange {
  readonly kid: string
  readonly from: KeyState | null
  readonly to: KeyState
}

export interface ChangeReport {
  readonly file: string
  readonly changes: readonly KeyChange[]
  /** The key that sealers choose now; null: sealing for this service stops. */
  readonly sealedFor: string | null
}

export function reportOf(path: string, { before, after }: { readonly before: KeyFile; readonly after: KeyFile }): ChangeReport {
  const states = new Map(before.entries.map(({ kid, state }) => [kid, state]))
  const changes = after.entries.map(({ kid, state }) => ({ kid, from: states.get(kid) ?? null, to: state })).filter(({ from, to }) => from !== to)
  return { file: path, changes, sealedFor: after.sealedFor ?? null }
}

export function showReport(screen: Screen, { changes, sealedFor }: ChangeReport): void {
  for (const { kid, from, to } of changes) screen.line(`${screen.tone('strong', printable(kid))}: ${from === null ? 'new' : from} → ${to}`)
  if (sealedFor === null) screen.say(screen.tone('bad', 'No key is published: sealing for this service stops, with ERR_SEALBUS_NO_USABLE_KEY.'))
  else screen.line(`Sealers choose ${printable(sealedFor)}.`)
}
