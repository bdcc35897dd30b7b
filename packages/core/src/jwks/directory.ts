import { LRUCache } from 'lru-cache'
import { abortable } from '../abortable.ts'
import { ageMs, type Clock, instant, type Instant, SYSTEM_CLOCK } from '../clock.ts'
import { SealbusError } from '../errors.ts'
import type { RecipientDirectory, RecipientKey } from '../recipient.ts'
import { type Fetch, type FetchResult, fetchKeySet, type Validators } from './fetch.ts'
import { DIRECTORY_LIMITS } from './limits.ts'
import { parseKeySet, type SetKey } from './parse.ts'
import { selectKey } from './select.ts'
import { checkSource, type JwksSource, type Source } from './source.ts'
import { type KeysTrace, traced, TRACES } from '../tracing.ts'
import { createTurnstile } from './turnstile.ts'

export interface JwksDirectoryOptions {
  /** Recipient's name to the URL of its JWK Set. Name and URL are never inferred from each other. */
  readonly recipients: Readonly<Record<string, string | JwksSource>>
  /** Fresh time where the endpoint's Cache-Control says nothing, in milliseconds. Default 300,000; 1,000 to 3,600,000. */
  readonly freshMs?: number
  /** Default for all recipients; see `JwksSource`. */
  readonly maxStaleMs?: number
  /** Connect, headers and body together, in milliseconds. Default 5,000; 100 to 30,000. */
  readonly timeoutMs?: number
  /** Cached recipients. Default 1,000. */
  readonly maxEntries?: number
  /** Allows http for 127.0.0.0/8, ::1 and localhost: tests and demos. Default false. */
  readonly allowInsecureLoopback?: boolean
  /** A replacement for the global fetch: proxies, mutual TLS, tests. */
  readonly fetch?: Fetch
  /** A replacement for the system's clocks, for tests. */
  readonly clock?: Clock
}

export interface JwksDirectory extends RecipientDirectory {
  keepWarm(names: readonly string[]): void
  /** Fetches a recipient's set now, however fresh the cached one is; at most once per 5 s. For an operator who revokes a key. */
  refresh(name: string): Promise<void>
  close(): void
  [Symbol.dispose](): void
}

/** What is known about one recipient. */
interface State {
  readonly source: Source
  /** The last good set. */
  set?: {
    readonly keys: readonly SetKey[]
    readonly validators: Validators
    readonly fetchedAt: Instant
    readonly freshMs: number
    /** Age at which access starts a refresh: below `freshMs`, with jitter. */
    readonly refreshAtMs: number
  }
  selected?: SetKey | undefined
  /** Epoch milliseconds at which the selection must be made anew: a key expires, or a newer one becomes valid. */
  selectedUntil: number
  failure?: { readonly count: number; readonly at: Instant; readonly waitMs: number; readonly error: SealbusError }
}

/**
 * A directory of recipients whose public keys are published as JWK Sets over HTTPS.
 *
 * Keys are cached and refreshed ahead of time; while an endpoint fails, the last good set is served for `maxStaleMs`,
 * and then sealing is refused. A set without a usable key is a revocation, and is obeyed at once.
 *
 * @throws ERR_SEALBUS_INVALID_OPTION
 */
export function createJwksDirectory(options: JwksDirectoryOptions): JwksDirectory {
  const { fetch = globalThis.fetch, clock = SYSTEM_CLOCK, allowInsecureLoopback = false } = options
  const freshMs = bounded(options.freshMs, 'freshMs', DIRECTORY_LIMITS.freshMs, 1_000, DIRECTORY_LIMITS.freshCeilingMs)
  const timeoutMs = bounded(options.timeoutMs, 'timeoutMs', DIRECTORY_LIMITS.timeoutMs, 100, 30_000)
  const maxStaleMs = bounded(options.maxStaleMs, 'maxStaleMs', DIRECTORY_LIMITS.maxStaleMs, 0, DIRECTORY_LIMITS.maxStaleCeilingMs)
  const sources = new Map(Object.entries(options.recipients).map(([name, given]) => [name, checkSource(name, given, { maxStaleMs, allowInsecureLoopback })]))
  const states = new LRUCache<string, State>({ max: bounded(options.maxEntries, 'maxEntries', DIRECTORY_LIMITS.entries, 1, 1_000_000) })
  /** Outside the cache, so that an eviction takes nothing from those who wait. */
  const inFlight = new Map<string, Promise<State>>()
  const hosts = createTurnstile(DIRECTORY_LIMITS.connectionsPerHost)
  const warm = new Map<string, NodeJS.Timeout>()
  const closing = new AbortController()

  const sourceOf = (name: string): Source => {
    if (closing.signal.aborted) throw closed()
    const source = sources.get(name)
    if (!source) throw new SealbusError('ERR_SEALBUS_UNKNOWN_RECIPIENT', `the directory has no recipient ${JSON.stringify(name)}`)
    return source
  }

  const load = (source: Source): Promise<State> => {
    const running = inFlight.get(source.name)
    if (running) return running
    const loading = (TRACES.keys.hasSubscribers ? traced(TRACES.keys, { operation: 'fetch', name: source.name }, () => fetchState(source), outcomeOf) : fetchState(source)).finally(() => inFlight.delete(source.name))
    inFlight.set(source.name, loading)
    return loading
  }

  const fetchState = (source: Source): Promise<State> => {
    const previous = states.get(source.name) ?? { source, selectedUntil: 0 }
    return hosts
      .pass(new URL(source.url).host, () => fetchKeySet(source.url, { fetch, timeoutMs, validators: previous.set?.validators, signal: closing.signal }))
      .then((result) => {
        if (closing.signal.aborted) throw closed()
        const state = apply(previous, result)
        states.set(source.name, state)
        return state
      })
  }

  const apply = (previous: State, result: FetchResult): State => {
    const { source } = previous
    switch (result.kind) {
      case 'set': {
        const set = parseKeySet(result.body)
        if (typeof set === 'string') return failed(previous, `answered something that is no JWK Set: ${set}`)
        const pinned = set.keys.filter((key) => source.pins?.has(key.thumbprint) ?? true)
        return renewed(source, pinned.map((key) => reuse(previous, key)), result.validators, result.freshMs)
      }
      case 'unchanged':
        // Without a set there was no ETag to compare with, so there is one.
        return renewed(source, previous.set?.keys ?? [], previous.set?.validators ?? {}, result.freshMs)
      case 'gone':
        return renewed(source, [], {}, undefined)
      case 'unknown':
        if (previous.set) return failed(previous, 'answered 404')
        return { source, selectedUntil: 0, failure: { count: 1, at: instant(clock), waitMs: DIRECTORY_LIMITS.unknownMs, error: new SealbusError('ERR_SEALBUS_UNKNOWN_RECIPIENT', `${subject(source)} answered 404: it does not know this recipient`) } }
      case 'unavailable':
        return failed(previous, result.reason, result.retryAfterMs)
    }
  }

  const renewed = (source: Source, keys: readonly SetKey[], validators: Validators, saidFreshMs: number | undefined): State => {
    const fresh = saidFreshMs ?? freshMs
    // Jitter of 10 %, so that a fleet does not refresh in step.
    const refreshAtMs = fresh * DIRECTORY_LIMITS.refreshAheadShare * (0.9 + Math.random() / 5)
    return { source, set: { keys, validators, fetchedAt: instant(clock), freshMs: fresh, refreshAtMs }, selectedUntil: 0 }
  }

  const failed = (previous: State, reason: string, retryAfterMs = 0): State => {
    const count = (previous.failure?.count ?? 0) + 1
    const backoff = Math.min(DIRECTORY_LIMITS.backoffFirstMs * 2 ** Math.min(count - 1, 10), DIRECTORY_LIMITS.backoffLongestMs)
    const waitMs = Math.max(retryAfterMs, backoff * (0.5 + Math.random()))
    const error = new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', `${subject(previous.source)} ${reason}`, { retryAfterMs: Math.ceil(waitMs) })
    return { ...previous, failure: { count, at: instant(clock), waitMs, error } }
  }

  const backingOff = ({ failure }: State): boolean => failure !== undefined && ageMs(clock, failure.at) < failure.waitMs

  /** The key of a state that is not too old; throws the typed reason when there is none. */
  const keyOf = (state: State): SetKey => {
    const now = clock.wall()
    if (now >= state.selectedUntil) {
      const keys = state.set?.keys ?? []
      state.selected = selectKey(keys, now)
      state.selectedUntil = Math.min(...keys.flatMap(({ notBefore, issuedAt, notAfter }) => [notBefore ?? 0, issuedAt ?? 0, notAfter ?? 0]).filter((time) => time > now), Infinity)
    }
    if (!state.selected) throw new SealbusError('ERR_SEALBUS_NO_USABLE_KEY', `${subject(state.source)} publishes no key that can be sealed for now`)
    return state.selected
  }

  /** What `peek` returns; starts a refresh that nobody waits for. */
  const peekAt = (source: Source): RecipientKey | undefined => {
    const state = states.get(source.name)
    if (!state) return undefined
    if (!state.set) return rethrow(state)
    const age = ageMs(clock, state.set.fetchedAt)
    if (age >= state.set.refreshAtMs && !backingOff(state)) load(source).catch(() => {})
    // Past the stale time it is closed, not weakened: a revoked key may be in there.
    if (age >= Math.max(state.set.freshMs, source.maxStaleMs)) return rethrow(state)
    return keyOf(state)
  }

  const rethrow = (state: State): undefined => {
    if (state.failure && backingOff(state)) throw state.failure.error
    return undefined
  }

  const scheduleRefresh = (source: Source): void => {
    const state = states.get(source.name)
    const due = !state ? 0 : backingOff(state) ? (state.failure?.waitMs ?? 0) : (state.set?.refreshAtMs ?? 0)
    const age = state?.set && !backingOff(state) ? ageMs(clock, state.set.fetchedAt) : 0
    const timer = setTimeout(() => {
      load(source).then(() => scheduleRefresh(source), () => {})
    }, Math.max(1_000, due - age))
    timer.unref()
    clearTimeout(warm.get(source.name))
    warm.set(source.name, timer)
  }

  const close = (): void => {
    closing.abort()
    for (const timer of warm.values()) clearTimeout(timer)
    warm.clear()
    states.clear()
  }

  return {
    peek: (name) => peekAt(sourceOf(name)),
    async resolve(name, { signal } = {}): Promise<RecipientKey> {
      const source = sourceOf(name)
      const known = peekAt(source)
      if (known) return known
      const state = await (signal ? abortable(load(source), signal, leftByCaller) : load(source))
      if (!state.set || ageMs(clock, state.set.fetchedAt) >= Math.max(state.set.freshMs, source.maxStaleMs)) throw state.failure?.error ?? closed()
      return keyOf(state)
    },
    keepWarm(names): void {
      for (const name of names) {
        const source = sourceOf(name)
        // One that is due is not put off by asking again.
        if (!warm.has(name)) scheduleRefresh(source)
      }
    },
    async refresh(name): Promise<void> {
      const source = sourceOf(name)
      const state = states.get(name)
      // A failed attempt counts too: asking again and again is no way round the back-off.
      const attempted = state?.failure?.at ?? state?.set?.fetchedAt
      const recent = attempted !== undefined && ageMs(clock, attempted) < DIRECTORY_LIMITS.forcedRefreshMs
      const { failure } = recent && state ? state : await load(source)
      if (failure) throw failure.error
    },
    close,
    [Symbol.dispose]: close,
  }
}

const outcomeOf = ({ failure }: State): Partial<KeysTrace> => (failure ? { outcome: 'failed', error: failure.error } : {})

/** The object that is known already, for as long as the key is the same: content-key sessions go by it. */
function reuse(previous: State, key: SetKey): SetKey {
  const known = previous.set?.keys.find((each) => each.thumbprint === key.thumbprint)
  const same = known && known.kid === key.kid && known.alg === key.alg && known.notBefore === key.notBefore && known.notAfter === key.notAfter && known.issuedAt === key.issuedAt
  return same ? known : key
}

function bounded(value: number | undefined, name: string, fallback: number, least: number, most: number): number {
  if (value === undefined) return fallback
  if (!Number.isFinite(value) || value < least || value > most) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', `\`${name}\` is from ${least} to ${most}`)
  return value
}

const subject = ({ name, url }: Source): string => `the key endpoint of ${JSON.stringify(name)} (${new URL(url).origin})`
const leftByCaller = (): SealbusError => new SealbusError('ERR_SEALBUS_DIRECTORY_UNAVAILABLE', "waiting for a recipient's key was ended by the caller")
const closed = (): SealbusError => new SealbusError('ERR_SEALBUS_CLOSED', 'the directory is closed')
