import { ageMs, type Clock, instant, type Instant } from '../clock.ts'
import { isSealbusError, SealbusError } from '../errors.ts'
import type { Closing } from './closing.ts'
import type { Fetcher } from './fetcher.ts'
import { backOffMs, failureOf } from './back-off.ts'
import { withDeadline } from './deadline.ts'
import { readDocument } from './document.ts'
import { type Entry, type Held, newSlot, type Slot } from './entry.ts'
import type { Emit } from './events.ts'
import type { FetchResult, Validators } from './fetch.ts'
import { readKeyFile } from './key-file.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import type { SnapshotStore } from './snapshot.ts'
import type { Source } from './source.ts'
import type { Sources } from './sources.ts'

/** Reads a source, and makes of the answer and of what was known before what is known now. */
export interface Reader {
  /** Rejects never for what a source does: a failure is part of the entry. `force`: even where the snapshot's document is fresh. */
  read(sourceName: string, previous: Entry | undefined, force: boolean): Promise<{ readonly entry: Entry; readonly source: Source | undefined }>
}

export interface ReaderOptions {
  readonly freshMs: number
  readonly maxFreshMs: number
  /** For a function that names sources. */
  readonly timeoutMs: number
  readonly fetcher: Fetcher
  readonly closing: Closing
  readonly clock: Clock
  readonly store: SnapshotStore
  readonly sources: Sources
  readonly emit: Emit
}

type Known = Partial<Pick<Entry, 'held' | 'failure' | 'saidExpired'>>

export function createReader({ freshMs, maxFreshMs, timeoutMs, fetcher, closing, clock, store, sources, emit }: ReaderOptions): Reader {

  const bytesOf = async ({ place, registry }: Source, validators: Validators | undefined): Promise<FetchResult> => {
    const maxBytes = registry ? DIRECTORY_LIMITS.registryBytes : DIRECTORY_LIMITS.bodyBytes
    switch (place.kind) {
      case 'url':
        return fetcher(place.url, { validators, maxBytes })
      case 'file':
        return readKeyFile(place.path, maxBytes)
      case 'given':
        return { kind: 'set', body: place.body, validators: {}, freshMs: Infinity }
    }
  }

  const held = ({ terms }: Source, slots: ReadonlyMap<string, Slot>, validators: Validators, said: number | undefined, fetchedAt: Instant, issuedAt: number | undefined): Held => {
    const fresh = said === Infinity ? said : Math.min(said ?? freshMs, maxFreshMs)
    // Jitter of 10 %, so that a fleet does not refresh in step.
    return { slots, terms, validators, fetchedAt, freshMs: fresh, refreshAtMs: fresh * DIRECTORY_LIMITS.refreshAheadShare * (0.9 + Math.random() / 5), issuedAt }
  }

  const failed = ({ subject, maxStaleMs }: Pick<Entry, 'subject' | 'maxStaleMs'>, { held, failure, saidExpired = false }: Known, reason: string | SealbusError, retryAfterMs?: number): Entry => {
    const count = (failure?.count ?? 0) + 1
    const waitMs = backOffMs(count, retryAfterMs)
    const error = typeof reason === 'string' ? new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', `${subject} ${reason}`, { retryAfterMs: Math.ceil(waitMs) }) : reason
    return { subject, maxStaleMs, ...(held && { held }), failure: failureOf(clock, count, waitMs, error), saidExpired: failure !== undefined && saidExpired }
  }

  const unknown = (subject: string, maxStaleMs: number, reason: string): Entry => ({
    subject,
    maxStaleMs,
    failure: failureOf(clock, 1, DIRECTORY_LIMITS.unknownMs, new SealbusError('ERR_SEALBUS_UNKNOWN_RECIPIENT', `${subject} ${reason}`)),
  })

  const renewed = ({ subject, maxStaleMs }: Source, held: Held): Entry => ({ subject, maxStaleMs, held })

  /** The sets of a document as slots: with the keys that are known already. */
  const slotsOf = async (sourceName: string, source: Source, bytes: Buffer, previous: Held | undefined): Promise<{ slots: ReadonlyMap<string, Slot>; issuedAt: number | undefined } | string> => {
    const document = await readDocument(sourceName, source, bytes, clock.wall())
    if (typeof document === 'string') return document
    return { slots: new Map([...document.sets].map(([name, set]) => [name, newSlot(set, previous?.slots.get(name))])), issuedAt: document.issuedAt }
  }

  const apply = async (sourceName: string, source: Source, known: Known, result: FetchResult): Promise<Entry> => {
    switch (result.kind) {
      case 'set': {
        const read = await slotsOf(sourceName, source, result.body, known.held)
        if (typeof read === 'string') return failed(source, known, `answered something that is no key set: ${read}`)
        if ((read.issuedAt ?? 0) < (known.held?.issuedAt ?? 0)) return failed(source, known, 'answered a signed set that is older than the last')
        const next = held(source, read.slots, result.validators, result.freshMs, instant(clock), read.issuedAt)
        if (source.place.kind !== 'given') store.put(sourceName, source.place, { body: result.body.toString('utf8'), fetchedAt: clock.wall(), freshMs: next.freshMs, validators: next.validators })
        return renewed(source, next)
      }
      case 'unchanged': {
        const { slots, validators, issuedAt } = known.held ?? NOTHING
        const next = held(source, slots, validators, result.freshMs, instant(clock), issuedAt)
        const stored = await store.find(sourceName, source.place)
        if (stored) store.put(sourceName, source.place, { ...stored, fetchedAt: clock.wall(), freshMs: next.freshMs })
        return renewed(source, next)
      }
      case 'gone':
        await store.remove(sourceName)
        return renewed(source, held(source, new Map(source.registry ? [] : [[sourceName, newSlot({ keys: [], rejected: [] }, undefined)]]), {}, undefined, instant(clock), known.held?.issuedAt))
      case 'unknown':
        if (known.held || source.registry) return failed(source, known, 'answered 404')
        return unknown(source.subject, source.maxStaleMs, 'answered 404: it does not know this recipient')
      case 'unavailable':
        return failed(source, known, result.reason, result.retryAfterMs)
    }
  }

  /** What the snapshot has of a source, by the rules of today; its age goes on from where it was. */
  const restored = async (sourceName: string, source: Source): Promise<Held | undefined> => {
    if (source.place.kind === 'given') return undefined
    const stored = await store.find(sourceName, source.place)
    if (!stored) return undefined
    const sinceMs = clock.wall() - stored.fetchedAt
    if (sinceMs < -DIRECTORY_LIMITS.clockSkewMs) return undefined
    const read = await slotsOf(sourceName, source, Buffer.from(stored.body), undefined)
    if (typeof read === 'string') return undefined
    const age = Math.max(0, sinceMs)
    emit({ kind: 'restored', name: sourceName, ageMs: age })
    return held(source, read.slots, stored.validators, stored.freshMs, { monotonic: clock.monotonic() - age, wall: clock.wall() - age }, read.issuedAt)
  }

  const tell = (sourceName: string, previous: Held | undefined, entry: Entry, result: FetchResult | undefined, ms: number): void => {
    const { failure } = entry
    const answer = result?.answer
    const outcome = failure ? (failure.error.code === 'ERR_SEALBUS_UNKNOWN_RECIPIENT' ? 'unknown' : 'failed') : result?.kind === 'unchanged' || result?.kind === 'gone' ? result.kind : 'set'
    emit({ kind: 'fetched', name: sourceName, outcome, ms, ...(answer?.bytes !== undefined && { bytes: answer.bytes }), ...(answer && { status: answer.status }), ...(failure && { error: failure.error.code }) })
    const [before, after] = [previous?.slots, entry.held?.slots]
    if (before === after) return
    for (const name of new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])) tellChange(emit, name, before?.get(name), after?.get(name))
  }

  return {
    async read(sourceName, previous, force) {
      const start = performance.now()
      const msSince = (): number => performance.now() - start
      let source: Source | undefined
      try {
        source = await withDeadline(timeoutMs, closing, (deadline) => sources.find(sourceName, deadline.signal))
      } catch (error) {
        const reason = isSealbusError(error) ? error : 'cannot be asked'
        const entry = failed(previous ?? { subject: `the source of ${JSON.stringify(sourceName)}`, maxStaleMs: 0 }, previous ?? {}, reason)
        tell(sourceName, previous?.held, entry, undefined, msSince())
        return { entry, source: undefined }
      }
      if (!source) {
        const entry = unknown(`the source of ${JSON.stringify(sourceName)}`, 0, 'is none: there is no such recipient')
        await store.remove(sourceName)
        tell(sourceName, previous?.held, entry, undefined, msSince())
        return { entry, source }
      }
      const held = previous?.held ?? (await restored(sourceName, source))
      if (!previous?.held && held && !force && ageMs(clock, held.fetchedAt) < held.refreshAtMs) return { entry: renewed(source, held), source }
      // Another place, or other terms: what was said of the version of the last set is of no use.
      const result = await bytesOf(source, held?.terms === source.terms ? held.validators : undefined)
      if (closing.closed) throw new SealbusError('ERR_SEALBUS_CLOSED', 'the directory is closed')
      const entry = await apply(sourceName, source, { ...previous, ...(held && { held }) }, result)
      tell(sourceName, held, entry, result, msSince())
      return { entry, source }
    },
  }
}

const NOTHING = { slots: new Map<string, Slot>(), validators: {}, issuedAt: undefined }

function tellChange(emit: Emit, name: string, before: Slot | undefined, after: Slot | undefined): void {
  const thumbprints = (slot: Slot | undefined): Set<string> => new Set(slot?.keys.map(({ thumbprint }) => thumbprint))
  const [was, is] = [thumbprints(before), thumbprints(after)]
  const [added, removed] = [[...is].filter((each) => !was.has(each)), [...was].filter((each) => !is.has(each))]
  if (added.length > 0 || removed.length > 0) emit({ kind: 'changed', name, added, removed })
  if (JSON.stringify(before?.rejected ?? []) === JSON.stringify(after?.rejected ?? [])) return
  for (const key of after?.rejected ?? []) emit({ kind: 'rejected', name, ...key })
}
