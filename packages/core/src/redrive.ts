import { checkNames, one } from './bounds.ts'
import type { Channel } from './channels.ts'
import { callOut } from './call-out.ts'
import { ERROR_CODES, isSealbusError, SealbusError, type SealbusErrorCode } from './errors.ts'
import type { OpenedMessage, Opener } from './open.ts'
import { copyDigest, type ParkedCopy, type ParkedFacts } from './parked.ts'
import { type PublicParts, publicParts } from './public-parts.ts'

/**
 * What a redrive is told: the same for every broker. Parked copies are delivered, as they were before they were parked, to
 * the handler, topic or queue of the group or queue that parked them. Where they go comes from here, never from a header.
 */
export interface RedriveOptions<Handler> {
  /** The parking topic or queue. */
  readonly from: string
  /** The group or queue that parked. Copies of others, in a shared parking place, are left alone. */
  readonly by: string
  /**
   * Where the messages go: a topic that only this group reads, a queue, or a function that handles each of them opened.
   * RabbitMQ's default is the queue that parked (`by`); Kafka has none, because the origin topic is other groups' too.
   */
  readonly to?: string | Handler
  /**
   * Opens each message first: one that still does not open stays parked. Needed where `to` is a function. Without one,
   * messages are delivered unopened, and park again where they still do not open.
   */
  readonly opener?: Opener
  /** The declared channel to open on. Default: the one that the topic or queue carries; needed where Kafka's `to` is a function. */
  readonly channel?: string
  /** Only what was parked with one of these codes. Default: all. */
  readonly codes?: readonly SealbusErrorCode[]
  /** Only what came from these places: Kafka's topics, RabbitMQ's exchanges. It narrows by an unauthenticated header. Default: all. */
  readonly origins?: readonly string[]
  /** Whether to tell only what would happen. Default true: nothing is written or delivered. */
  readonly dryRun?: boolean
  /** The most messages to deliver. Default: no limit; 1 to 1,000,000,000. */
  readonly limit?: number
  /** Called after each copy, or group of copies, that was looked at. */
  readonly onProgress?: (progress: RedriveProgress) => void
  /** Called for each copy that stays parked, because it still does not open, or its handler failed. */
  readonly onKept?: (kept: KeptCopy) => void
  /** Ends the run after what is under way; what was not redriven stays parked, and the next run goes on there. */
  readonly signal?: AbortSignal
}

/** A copy that stays parked, and why: a SealbusError, or what the handler threw. */
export interface KeptCopy extends ParkedFacts {
  readonly error: unknown
}

/** How far a run is, in copies. */
export interface RedriveProgress {
  /** Looked at. */
  readonly seen: number
  /** What was in the parking place when the run began, copies of others included: at least what there is to look at. */
  readonly total: number
  /** In a dry run: would be delivered. */
  readonly delivered: number
  /** Stays parked: it still does not open, or its handler failed. */
  readonly kept: number
}

/** Messages with the same fate. */
export interface RedriveGroup {
  /** The code that they were parked with. */
  readonly parkedWith: string
  /** Of the keys that their envelopes name, unauthenticated; empty where the bytes are no envelope. */
  readonly kids: readonly string[]
  /** `delivered` in a dry run: would be. */
  readonly outcome: 'delivered' | 'kept'
  /** Why they stay: the code that opening them fails with now; `handler`: it failed; `origin`: they came from where they would go. */
  readonly reason: SealbusErrorCode | 'handler' | 'origin' | undefined
  /** How many. */
  readonly messages: number
}

/** What became of the copies of a run, in numbers. */
export interface RedriveResult {
  /** Whether nothing was delivered, marked or removed. */
  readonly dryRun: boolean
  /** `complete`: all that was in the parking place when the run began was looked at. `limit` and `aborted`: the next run goes on there. */
  readonly ended: 'complete' | 'limit' | 'aborted'
  /** Looked at: what the numbers below add up to. */
  readonly seen: number
  /** In a dry run: would be delivered. */
  readonly delivered: number
  /** Stays parked: it still does not open, or its handler failed. */
  readonly kept: number
  /** Left out by `codes` or `origins`. */
  readonly filtered: number
  /** Second copies of a message of this run, which are not delivered again. */
  readonly duplicates: number
  /** Redriven by an earlier run. Always 0 where a redriven copy leaves the parking place. */
  readonly earlier: number
  /** Of other groups or queues, or no parked copies at all. */
  readonly others: number
  /** What was delivered or kept, by code and keys; at most a thousand, and the rest of the keys under `…`. */
  readonly groups: readonly RedriveGroup[]
}

/** What is to be done with one copy. */
export type Verdict =
  | { readonly action: 'leave' }
  /** A second copy: its message is delivered already. */
  | { readonly action: 'drop' }
  | Delivery

export interface Delivery {
  readonly action: 'deliver'
  readonly copy: ParkedCopy
  /** Undefined where nothing was opened: for want of an opener, or because the message is plain. */
  readonly opened: OpenedMessage | undefined
  readonly digest: string | undefined
  readonly kids: readonly string[]
}

/** One run: decides about each copy, and counts. It touches no broker. */
export interface RedriveRun {
  /** Why no further copy is to be looked at; undefined while more are. */
  readonly over: 'limit' | 'aborted' | undefined
  /** A copy that an earlier run redrove, by its digest. */
  redrivenBefore(digest: string): void
  /** Undefined: something that is no parked copy. In a dry run everything is left. */
  judge(copy: ParkedCopy | undefined): Promise<Verdict>
  /** The message reached its handler, topic or queue, and that is certain. */
  delivered(delivery: Delivery): void
  /** The handler failed: the message stays parked. */
  failed(delivery: Delivery, error: unknown): void
  progress(total: number): void
  result(): RedriveResult
}

export interface RedriveRunOptions {
  /** The channel that `to` carries by its name, where it is a name; else that of the queue that parked. */
  readonly carriedBy: string | undefined
  /** Which copies are one message. Undefined: none other is the same. Default: those with the same digest. */
  readonly identify?: (copy: ParkedCopy, parts: PublicParts | undefined) => string | undefined
  /** Whether a copy came from the very place where it would go, and others read that place too. */
  readonly wouldReturn?: (copy: ParkedCopy) => boolean
}

const NAMES: Record<keyof RedriveOptions<unknown>, true> = {
  from: true,
  by: true,
  to: true,
  opener: true,
  channel: true,
  codes: true,
  origins: true,
  dryRun: true,
  limit: true,
  onProgress: true,
  onKept: true,
  signal: true,
}
const LIMIT = { default: 1_000_000_000, least: 1, most: 1_000_000_000 }
/** Kids are anyone's to choose: a flood of them must not fill the memory. */
const MOST_GROUPS = 1_000
const LONGEST_KID = 128

/** @throws ERR_SEALBUS_INVALID_OPTION, ERR_SEALBUS_UNDECLARED_CHANNEL, ERR_SEALBUS_AMBIGUOUS_CHANNEL */
export function createRedriveRun(options: RedriveOptions<unknown>, { carriedBy, identify = copyDigest, wouldReturn = () => false }: RedriveRunOptions): RedriveRun {
  const { by, opener, codes, origins, dryRun = true, onProgress, onKept, signal } = options
  check(options)
  const limit = one('limit', LIMIT, options.limit)
  const channel = opener && channelOf(opener, options.channel, carriedBy)
  const earlier = new Set<string>()
  /** Copies of this run whose message is delivered, or about to be. */
  const claimed = new Set<string>()
  const groups = new Map<string, { -readonly [Name in keyof RedriveGroup]: RedriveGroup[Name] }>()
  const counts = { seen: 0, delivered: 0, kept: 0, filtered: 0, duplicates: 0, earlier: 0, others: 0 }
  let underWay = 0

  const count = (outcome: RedriveGroup['outcome'], { code }: ParkedFacts, kids: readonly string[], reason?: RedriveGroup['reason']): void => {
    counts[outcome]++
    const keyOf = (names: readonly string[]): string => JSON.stringify([code, names, outcome, reason])
    const named = groups.has(keyOf(kids)) || groups.size < MOST_GROUPS ? kids : ['…']
    const group = groups.get(keyOf(named)) ?? { parkedWith: code, kids: named, outcome, reason, messages: 0 }
    groups.set(keyOf(named), group)
    group.messages++
  }

  const keep = (copy: ParkedCopy, kids: readonly string[], error: unknown, reason: RedriveGroup['reason']): void => {
    count('kept', copy, kids, reason)
    const { id, code, origin, time } = copy
    callOut(() => onKept?.({ id, code, by, origin, time, error }))
  }

  const open = async ({ bytes, key, headers, contentType }: ParkedCopy): Promise<OpenedMessage | undefined> => {
    if (!opener || !channel) return undefined
    if (opener.isPlain(bytes, { channel: channel.name, ...(contentType !== undefined && { contentType }) })) return undefined
    return opener.open(bytes, { channel: channel.name, headers, ...(key !== undefined && { key }), ...(signal && { signal }) })
  }

  const over = (): RedriveRun['over'] => (signal?.aborted ? 'aborted' : counts.delivered + underWay >= limit ? 'limit' : undefined)

  return {
    get over() {
      return over()
    },
    redrivenBefore: (digest) => void earlier.add(digest),
    async judge(copy): Promise<Verdict> {
      counts.seen++
      if (copy?.by !== by) {
        counts.others++
        return { action: 'leave' }
      }
      if ((codes && !codes.some((each) => each === copy.code)) || (origins && !origins.some((each) => isFrom(copy, each)))) {
        counts.filtered++
        return { action: 'leave' }
      }
      const parts = partsOf(copy.bytes)
      const kids = parts?.recipients.map(({ kid = '' }) => kid.slice(0, LONGEST_KID)) ?? []
      const digest = identify(copy, parts)
      if (digest !== undefined && earlier.has(digest)) {
        counts.earlier++
        return { action: 'leave' }
      }
      if (digest !== undefined && claimed.has(digest)) {
        counts.duplicates++
        return { action: dryRun ? 'leave' : 'drop' }
      }
      if (wouldReturn(copy)) {
        keep(copy, kids, invalid('its origin is the destination, which others may read too'), 'origin')
        return { action: 'leave' }
      }
      let opened: OpenedMessage | undefined
      try {
        opened = await open(copy)
      } catch (error) {
        // Left where it is, and not looked at: the run ends before the next.
        if (signal?.aborted) counts.seen--
        else keep(copy, kids, error, isSealbusError(error) ? error.code : undefined)
        return { action: 'leave' }
      }
      if (digest !== undefined) claimed.add(digest)
      if (dryRun) {
        count('delivered', copy, kids)
        return { action: 'leave' }
      }
      underWay++
      return { action: 'deliver', copy, opened, digest, kids }
    },
    delivered({ copy, kids }): void {
      underWay--
      count('delivered', copy, kids)
    },
    failed({ copy, kids, digest }, error): void {
      underWay--
      if (digest !== undefined) claimed.delete(digest)
      keep(copy, kids, error, 'handler')
    },
    progress(total): void {
      const { seen, delivered, kept } = counts
      callOut(() => onProgress?.({ seen, total, delivered, kept }))
    },
    result: () => ({ dryRun, ended: over() ?? 'complete', ...counts, groups: [...groups.values()].map((each) => ({ ...each })) }),
  }
}

function check(options: RedriveOptions<unknown>): void {
  checkNames('a redrive', NAMES, options)
  const { from, by, to, opener, codes, origins, dryRun } = options
  for (const [name, value] of Object.entries({ from, by })) if (typeof value !== 'string' || value === '') throw invalid(`\`${name}\` is a name`)
  if (to !== undefined && typeof to !== 'function' && (typeof to !== 'string' || to === '')) throw invalid('`to` is a name or a function')
  if (to === from) throw invalid('`to` is another place than `from`')
  if (typeof to === 'function' && !opener) throw invalid('`to` is a function, so an `opener` is needed')
  if (dryRun !== undefined && typeof dryRun !== 'boolean') throw invalid('`dryRun` is a boolean')
  if (codes !== undefined && (!Array.isArray(codes) || !codes.every((code) => ERROR_CODES.includes(code)))) throw invalid('`codes` is a list of codes, ERR_SEALBUS_…')
  if (origins !== undefined && (!Array.isArray(origins) || !origins.every((origin) => typeof origin === 'string'))) throw invalid('`origins` is a list of names')
}

function channelOf(opener: Opener, name: string | undefined, carriedBy: string | undefined): Channel {
  if (name !== undefined) return opener.channels.get(name)
  if (carriedBy === undefined) throw invalid('`channel` is needed: a function carries none by its name')
  return opener.channels.at(carriedBy)
}

const isFrom = ({ origin }: ParkedFacts, place: string): boolean => origin === place || (origin?.startsWith(`${place}/`) ?? false)

function partsOf(bytes: Buffer): PublicParts | undefined {
  try {
    return publicParts(bytes)
  } catch {
    return undefined
  }
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', `redrive: ${reason}`)
