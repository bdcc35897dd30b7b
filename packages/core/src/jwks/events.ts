import { callOut } from '../call-out.ts'
import type { SealbusErrorCode } from '../errors.ts'
import { DIRECTORY_EVENTS } from '../tracing.ts'

/** What happens to recipients' keys: names, counts, times and thumbprints, never more. `name` is the recipient's, or `registry`. */
export type DirectoryEvent =
  /** A source was read, or not; an `error` says why. `bytes` and `status` where there was an answer. */
  | { readonly kind: 'fetched'; readonly name: string; readonly outcome: 'set' | 'unchanged' | 'gone' | 'unknown' | 'failed'; readonly ms: number; readonly bytes?: number; readonly status?: number; readonly error?: SealbusErrorCode }
  /** A recipient's keys are not those that they were, by RFC 7638 thumbprint. Each added one is a reader: worth a look where keys are not pinned. */
  | { readonly kind: 'changed'; readonly name: string; readonly added: readonly string[]; readonly removed: readonly string[] }
  /** A key was left out of a set, once for each set. One that `holds private members` is known to everybody now. */
  | { readonly kind: 'rejected'; readonly name: string; readonly index: number; readonly kid?: string; readonly reason: string }
  /** A set past its fresh time is sealed for while its source fails; once for each failed attempt. */
  | { readonly kind: 'stale'; readonly name: string; readonly ageMs: number; readonly remainingMs: number }
  /** A set is too old, its source still fails, and sealing is refused from now on. */
  | { readonly kind: 'expired'; readonly name: string; readonly ageMs: number }
  /** A set came from the snapshot; `ageMs` since it was fetched. */
  | { readonly kind: 'restored'; readonly name: string; readonly ageMs: number }
  /** The snapshot could not be read or written; the directory goes on without. */
  | { readonly kind: 'snapshot-failed'; readonly reason: string }

export type Emit = (event: DirectoryEvent) => void

/** To the application's listener, and to the diagnostics channel. */
export function createEmit(listener: ((event: DirectoryEvent) => void) | undefined): Emit {
  return (event) => {
    if (listener) callOut(() => listener(event))
    if (DIRECTORY_EVENTS.hasSubscribers) DIRECTORY_EVENTS.publish(event)
  }
}
