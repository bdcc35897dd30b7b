import { LRUCache } from 'lru-cache'
import { abortable } from '../abortable.ts'
import { checkNames, one } from '../bounds.ts'
import { ageMs, type Clock, SYSTEM_CLOCK } from '../clock.ts'
import { isSealbusError, SealbusError } from '../errors.ts'
import type { RecipientDirectory, RecipientKey } from '../recipient.ts'
import { type KeysTrace, traced, TRACES } from '../tracing.ts'
import { createClosing } from './closing.ts'
import { createFetcher } from './fetcher.ts'
import { nextTryMs } from './back-off.ts'
import { type Entry, healthOf, type Held, longestMs, type SourceHealth, usableKey } from './entry.ts'
import { createEmit, type DirectoryEvent } from './events.ts'
import type { Fetch } from './fetch.ts'
import { createGuardedFetch } from './guarded-fetch.ts'
import { watchKeyFile } from './key-file.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import { createReader } from './reader.ts'
import { createRefreshLimit } from './refresh-limit.ts'
import { createSnapshotStore, type DirectorySnapshot } from './snapshot.ts'
import type { RecipientSource, RegistrySource, Source } from './source.ts'
import { createSources, type SourceFunction } from './sources.ts'
import { isHostPattern } from './url-policy.ts'

/** Where recipients' keys are, and how they are cached. One of `recipients` and `registry` is required. */
export interface JwksDirectoryOptions {
  /**
   * Recipient's name to the source of its keys; or a function from name to source, whose URLs must be at one of `hosts`.
   * Name and URL are never inferred from each other. Either this or `registry`.
   */
  readonly recipients?: Readonly<Record<string, RecipientSource>> | SourceFunction
  /** One document with the sets of all recipients, read at once. */
  readonly registry?: RegistrySource
  /**
   * The only hosts that are asked: `keys.example`, `*.keys.example`, or an IP address, which is refused unless it stands here.
   * Default: those of the URLs that are written in the options, and none for a function.
   */
  readonly hosts?: readonly string[]
  /** Fresh time where the endpoint's Cache-Control says nothing, in milliseconds. Default 300,000; 1,000 to 3,600,000, and below 60,000 for tests only. */
  readonly freshMs?: number
  /** Cache-Control's max-age is followed up to this, in milliseconds. Default and most 3,600,000; from 60,000. */
  readonly maxFreshMs?: number
  /** Default for all sources: how long the last good set is served while its source fails, in milliseconds. Default 3,600,000; 0 to 86,400,000. */
  readonly maxStaleMs?: number
  /** Connect, headers and body of one attempt together, in milliseconds. Default 5,000; 100 to 30,000. All attempts of one fetch, and the wait for a connection, take at most twice that. */
  readonly timeoutMs?: number
  /** Further attempts of one fetch after a broken connection, a time-out, 5xx or 429. Default 2; 0 to 5. */
  readonly retries?: number
  /** Cached recipients. Default 1,000; 1 to 1,000,000. */
  readonly maxEntries?: number
  /** A file for the last good sets, so that a process starts while an endpoint is down. As trusted as the configuration; `pins` and `signedBy` hold for it too. */
  readonly snapshot?: string
  /** Allows 127.0.0.0/8, ::1 and localhost, and http for them: tests and demos. Default false. */
  readonly allowInsecureLoopback?: boolean
  /** Told what happens to the keys: fetches, changes, refused keys, outages. What it throws is an uncaught exception. */
  readonly onEvent?: (event: DirectoryEvent) => void
  /** A replacement for fetching: proxies, mutual TLS, tests. It is then up to it which addresses are connected to. */
  readonly fetch?: Fetch
  /** A replacement for the system's clocks, for tests. */
  readonly clock?: Clock
}

/** A directory of keys that are fetched, cached and refreshed. After `close()` its look-ups throw ERR_SEALBUS_CLOSED. */
export interface JwksDirectory extends RecipientDirectory {
  /** Refreshes these recipients' keys ahead of time, until it is closed. @throws ERR_SEALBUS_UNKNOWN_RECIPIENT */
  keepWarm(names: readonly string[]): void
  /** `maxFreshMs`, or the longest `maxStaleMs` of a source where that is more; in milliseconds. */
  revocationMs(): number
  /**
   * Reads a recipient's source now, however fresh its keys are: for an operator who revokes one. Twice, and then once per 30 s;
   * an attempt less than 5 s ago counts as this one.
   *
   * @throws ERR_SEALBUS_DIRECTORY_UNAVAILABLE when the source fails, and with `retryAfterMs` when it is asked for too often
   */
  refresh(name: string): Promise<void>
  /** How each source does: all that are declared, and what a function's names have led to. */
  health(): readonly SourceHealth[]
  /** Takes documents of another directory's snapshot for recipients that have none yet, with their fetch times. */
  hydrate(snapshot: DirectorySnapshot): void
  /** Ends all fetches; whoever waits is told ERR_SEALBUS_CLOSED. */
  close(): void
  [Symbol.dispose](): void
  /** As `close()`; resolves when the snapshot is written. */
  [Symbol.asyncDispose](): Promise<void>
}

const FRESH = { default: DIRECTORY_LIMITS.freshMs, least: 1_000, most: DIRECTORY_LIMITS.freshCeilingMs }
const MAX_FRESH = { default: DIRECTORY_LIMITS.freshCeilingMs, least: DIRECTORY_LIMITS.freshFloorMs, most: DIRECTORY_LIMITS.freshCeilingMs }
const MAX_STALE = { default: DIRECTORY_LIMITS.maxStaleMs, least: 0, most: DIRECTORY_LIMITS.maxStaleCeilingMs }
const TIMEOUT = { default: DIRECTORY_LIMITS.timeoutMs, least: 100, most: 30_000 }
const RETRIES = { default: DIRECTORY_LIMITS.retries, least: 0, most: 5 }
const ENTRIES = { default: DIRECTORY_LIMITS.entries, least: 1, most: 1_000_000 }

/**
 * A directory of recipients whose public keys are published as JWK Sets: at a URL each, in one registry, or in files.
 *
 * Keys are cached and refreshed ahead of time; while a source fails, the last good set is served for `maxStaleMs`,
 * and then sealing is refused. A set without a usable key is a revocation, and is obeyed at once.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION
 */
export function createJwksDirectory(options: JwksDirectoryOptions): JwksDirectory {
  checkNames('a directory', OPTIONS, options)
  const { clock = SYSTEM_CLOCK, allowInsecureLoopback = false, hosts } = options
  if (hosts !== undefined && !(Array.isArray(hosts) && hosts.every(isHostPattern))) throw invalid('`hosts` are host names in lower case, `*.` before one for all below it, or IP addresses')
  if (options.snapshot !== undefined && (typeof options.snapshot !== 'string' || options.snapshot === '')) throw invalid('`snapshot` is the path of a file')
  const maxStaleMs = one('maxStaleMs', MAX_STALE, options.maxStaleMs)
  const maxFreshMs = one('maxFreshMs', MAX_FRESH, options.maxFreshMs)
  const timeoutMs = one('timeoutMs', TIMEOUT, options.timeoutMs)
  const maxEntries = one('maxEntries', ENTRIES, options.maxEntries)
  const sources = createSources(options.recipients, options.registry, { maxStaleMs, allowInsecureLoopback, hosts })
  const emit = createEmit(options.onEvent)
  const guarded = options.fetch ? { fetch: options.fetch, close(): void {} } : createGuardedFetch({ allowLoopback: allowInsecureLoopback })
  const store = createSnapshotStore({ path: options.snapshot, entries: maxEntries, failed: (reason) => emit({ kind: 'snapshot-failed', reason }) })
  const closing = createClosing()
  const reader = createReader({
    freshMs: one('freshMs', FRESH, options.freshMs),
    maxFreshMs,
    timeoutMs,
    fetcher: createFetcher({ fetch: guarded.fetch, timeoutMs, retries: one('retries', RETRIES, options.retries), closing }),
    closing,
    clock,
    store,
    sources,
    emit,
  })
  const refreshLimit = createRefreshLimit(clock)

  const watches = new Map<string, { readonly path: string; readonly end: () => void }>()
  const unwatch = (sourceName: string): void => {
    watches.get(sourceName)?.end()
    watches.delete(sourceName)
  }
  const dispose = (_entry: Entry, sourceName: string, reason: string): void => {
    if (reason === 'evict') unwatch(sourceName)
  }
  /** Sources with a document. */
  const entries = new LRUCache<string, Entry>({ max: maxEntries, dispose })
  /** Sources without: failing from the start, or of recipients that there are none. */
  const keyless = new LRUCache<string, Entry>({ max: DIRECTORY_LIMITS.keyless, dispose })
  const known = (sourceName: string): Entry | undefined => entries.peek(sourceName) ?? keyless.peek(sourceName)
  /** Outside the cache, so that an eviction takes nothing from those who wait. */
  const inFlight = new Map<string, Promise<Entry>>()
  const warm = new Map<string, NodeJS.Timeout>()

  const sourceNameOf = (name: string): string => {
    if (closing.closed) throw closedError()
    if (!sources.mayHave(name)) throw unknownRecipient(name)
    return sources.sourceName(name)
  }

  /** Whoever waits is told at once that the directory is closed. */
  const orClosed = <Value>(promise: Promise<Value>): Promise<Value> => {
    const { promise: end, reject } = Promise.withResolvers<never>()
    const forget = closing.onClose(() => reject(closedError()))
    return Promise.race([promise, end]).finally(forget)
  }

  const load = (sourceName: string, force = false): Promise<Entry> => {
    const running = inFlight.get(sourceName)
    if (running) return running
    const read = (): Promise<Entry> => readAndRemember(sourceName, force)
    const loading = orClosed(TRACES.keys.hasSubscribers ? traced(TRACES.keys, { operation: 'fetch', name: sourceName }, read, outcomeOf) : read()).finally(() => inFlight.delete(sourceName))
    inFlight.set(sourceName, loading)
    return loading
  }

  const readAndRemember = async (sourceName: string, force: boolean): Promise<Entry> => {
    const { entry, source } = await reader.read(sourceName, known(sourceName), force)
    if (closing.closed) throw closedError()
    entries.delete(sourceName)
    keyless.delete(sourceName)
    ;(entry.held ? entries : keyless).set(sourceName, entry)
    watch(sourceName, source, entry)
    return entry
  }

  const watch = (sourceName: string, source: Source | undefined, { held }: Entry): void => {
    const path = source?.place.kind === 'file' ? source.place.path : undefined
    if (watches.get(sourceName)?.path === path) return
    // A function may name another source than before.
    unwatch(sourceName)
    if (path === undefined) return
    // A read that is under way may have read what was there before.
    const changed = (): void => void Promise.resolve(inFlight.get(sourceName)).then(() => load(sourceName)).catch(() => {})
    watches.set(sourceName, { path, end: watchKeyFile(path, held?.validators.etag, changed) })
  }

  const keyIn = (entry: Entry, { slots }: Held, name: string, now: number): RecipientKey => {
    const slot = slots.get(name)
    if (!slot) throw unknownRecipient(name)
    return usableKey(slot, now, entry.subject)
  }

  /** The key in memory; undefined when it must be fetched. Starts a refresh that nobody waits for. */
  const peek = (name: string): RecipientKey | undefined => {
    const sourceName = sources.sourceName(name)
    const entry = entries.get(sourceName)
    if (!entry?.held) return refusal(keyless.get(sourceNameOf(name)))
    const { held } = entry
    const now = clock.wall()
    const age = Math.max(clock.monotonic() - held.fetchedAt.monotonic, now - held.fetchedAt.wall)
    if (age >= held.refreshAtMs && !servedLate(sourceName, entry, held, age)) return refusal(entry)
    return keyIn(entry, held, name, now)
  }

  /** Throws the typed reason while there is nothing to wait for. */
  const refusal = (entry: Entry | undefined): undefined => {
    if (entry?.failure && nextTryMs(clock, entry.failure) > 0) throw entry.failure.error
    return undefined
  }

  /** Whether a document that is due is still served; and sees to it that it is read again. */
  const servedLate = (sourceName: string, entry: Entry, held: Held, age: number): boolean => {
    // One look, not one more promise, for each message that is sealed meanwhile.
    if (!inFlight.has(sourceName) && nextTryMs(clock, entry.failure) === 0) load(sourceName).catch(() => {})
    const remainingMs = longestMs(held, entry) - age
    // Past that it is closed, not weakened: a revoked key may be in there.
    if (remainingMs <= 0) {
      if (entry.failure && !entry.saidExpired) emit({ kind: 'expired', name: sourceName, ageMs: age })
      entry.saidExpired = true
      return false
    }
    if (entry.failure && age >= held.freshMs && !entry.saidStale) {
      entry.saidStale = true
      emit({ kind: 'stale', name: sourceName, ageMs: age, remainingMs })
    }
    return true
  }

  const scheduleRefresh = (sourceName: string): void => {
    const entry = known(sourceName)
    const dueMs = entry?.failure ? nextTryMs(clock, entry.failure) : entry?.held ? entry.held.refreshAtMs - ageMs(clock, entry.held.fetchedAt) : 0
    // Keys that are given are never due.
    if (dueMs === Infinity) return
    const timer = setTimeout(() => void load(sourceName).then(() => scheduleRefresh(sourceName)).catch(() => {}), Math.max(1_000, dueMs))
    timer.unref()
    warm.set(sourceName, timer)
  }

  const close = (): void => {
    closing.close()
    for (const timer of warm.values()) clearTimeout(timer)
    for (const { end } of watches.values()) end()
    for (const each of [warm, watches, entries, keyless]) each.clear()
    guarded.close()
    store.close()
  }

  return {
    peek,
    async resolve(name, { signal } = {}): Promise<RecipientKey> {
      const key = peek(name)
      if (key) return key
      const sourceName = sourceNameOf(name)
      const entry = await (signal ? abortable(load(sourceName), signal, leftByCaller) : load(sourceName))
      const { held, failure } = entry
      if (!held || ageMs(clock, held.fetchedAt) >= longestMs(held, entry)) throw failure?.error ?? tooOld(entry.subject)
      return keyIn(entry, held, name, clock.wall())
    },
    keepWarm(names): void {
      for (const name of names) {
        const sourceName = sourceNameOf(name)
        // One that is due is not put off by asking again.
        if (!warm.has(sourceName)) scheduleRefresh(sourceName)
      }
    },
    revocationMs: () => Math.max(maxFreshMs, sources.longestStaleMs()),
    async refresh(name): Promise<void> {
      const sourceName = sourceNameOf(name)
      // One that is under way is as good, unless it makes do with the snapshot.
      while (inFlight.has(sourceName)) await inFlight.get(sourceName)
      const entry = known(sourceName)
      const attempted = entry?.failure?.at ?? entry?.held?.fetchedAt
      // A failed attempt counts too: asking again and again is no way round the back-off.
      if (attempted !== undefined && ageMs(clock, attempted) < DIRECTORY_LIMITS.forcedRefreshFloorMs) {
        if (entry?.failure) throw entry.failure.error
        return
      }
      const retryAfterMs = refreshLimit.take(sourceName)
      if (retryAfterMs > 0) throw new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', `the keys of ${JSON.stringify(name)} were refreshed on demand a moment ago`, { retryAfterMs })
      const { failure } = await load(sourceName, true)
      if (failure) throw failure.error
    },
    health: () => (sources.declared ?? [...entries.keys(), ...keyless.keys()]).map((name) => healthOf(name, known(name), clock)),
    hydrate(snapshot): void {
      if (closing.closed) throw closedError()
      // What failed so far has keys now.
      for (const name of store.merge(snapshot)) keyless.delete(name)
    },
    close,
    [Symbol.dispose]: close,
    async [Symbol.asyncDispose](): Promise<void> {
      close()
      await store.settled()
    },
  }
}

const OPTIONS: Record<keyof JwksDirectoryOptions, true> = {
  recipients: true,
  registry: true,
  hosts: true,
  freshMs: true,
  maxFreshMs: true,
  maxStaleMs: true,
  timeoutMs: true,
  retries: true,
  maxEntries: true,
  snapshot: true,
  allowInsecureLoopback: true,
  onEvent: true,
  fetch: true,
  clock: true,
}

const outcomeOf = ({ failure }: Entry): Partial<KeysTrace> => (failure ? { outcome: 'failed', ...(isSealbusError(failure.error) && { error: failure.error }) } : {})

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
const unknownRecipient = (name: string): SealbusError => new SealbusError('ERR_SEALBUS_UNKNOWN_RECIPIENT', `the directory has no recipient ${JSON.stringify(name)}`)
const leftByCaller = (): SealbusError => new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', "waiting for a recipient's key was ended by the caller")
const tooOld = (subject: string): SealbusError => new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', `${subject} has not answered for too long`)
const closedError = (): SealbusError => new SealbusError('ERR_SEALBUS_CLOSED', 'the directory is closed')
