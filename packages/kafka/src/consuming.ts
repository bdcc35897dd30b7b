import { LIMITS } from '@sealbus/core/adapter'
import type { Batch, BatchPayload, DeliveredRecord, MessagePayload, Place, RunConfig } from './client-shape.ts'
import type { Holds } from './holds.ts'
import type { OpenRecord } from './opening.ts'
import type { Turn } from './turn.ts'

/**
 * What replaces the caller's handlers. The client always runs `eachBatch` with auto-resolve off: with it on, a held
 * message's offset would be committed; with `eachMessage`, throwing crashes the consumer and waiting stalls all
 * partitions.
 */
export interface ConsumingOptions {
  readonly config: RunConfig
  /** Whether the client commits when it is asked whether that is due. */
  readonly autoCommit: boolean
  readonly open: OpenRecord
  readonly holds: Holds
  /** Of the run that goes on now. */
  readonly signal: () => AbortSignal
  /** Called when a partition's place moved past an offset. */
  readonly onResolved: (place: Place, offset: string) => void
}

export function toEachBatch(options: ConsumingOptions): (payload: BatchPayload) => Promise<void> {
  const { eachMessage, eachBatch = async () => {} } = options.config
  return (given) => {
    const { topic, partition } = given.batch
    const place: Place = { topic, partition }
    const payload: BatchPayload = {
      ...given,
      resolveOffset: (offset, ...more) => {
        given.resolveOffset(offset, ...more)
        options.onResolved(place, offset)
      },
      pause: () => pauseThrough(options.holds, place),
    }
    const signal = options.signal()
    const turn: Turn = { signal, ended: () => signal.aborted || !given.isRunning() || given.isStale() }
    return eachMessage ? runMessages(payload, place, turn, eachMessage, options) : runBatch(payload, place, turn, eachBatch, options)
  }
}

/** The course of the client's own `eachMessage`: handle, resolve, heartbeat, commit if due; end where it would end. */
async function runMessages(payload: BatchPayload, place: Place, turn: Turn, eachMessage: (payload: MessagePayload) => Promise<void>, { autoCommit, open, holds }: ConsumingOptions): Promise<void> {
  const { batch, resolveOffset, heartbeat, pause, commitOffsetsIfNecessary } = payload
  for (const record of batch.messages) {
    if (turn.ended()) return
    const settling = open(place, record, turn)
    const waited = settling instanceof Promise
    const opening = waited ? await settling : settling
    // The wait for a key may have been long: the place may have moved, or be lost.
    if (opening === 'halted' || opening === 'ended' || (waited && turn.ended())) return
    if (opening !== 'passed') await eachMessage({ ...place, message: opening.message, heartbeat, pause })
    resolveOffset(record.offset)
    await heartbeat()
    if (autoCommit) await commitOffsetsIfNecessary()
    if (holds.isPaused(place)) return
  }
}

/** Shorter than any session: the client sends a heartbeat only when its own interval has passed. */
const HEARTBEAT_MS = 500
/** What the messages of one batch may open to: a fetch is bounded in sealed bytes, and compressed ones open to any number of times that. */
const MOST_OPENED_BYTES = 4 * LIMITS.payloadBytes

async function runBatch(payload: BatchPayload, place: Place, turn: Turn, eachBatch: (payload: BatchPayload) => Promise<void>, { config, open }: ConsumingOptions): Promise<void> {
  const { batch } = payload
  const delivered: DeliveredRecord[] = []
  /** Messages that the handler does not see: the last one of a run, by the offset that is delivered before it. */
  const passedAfter = new Map<string | undefined, string>()
  let cutAt: number | undefined
  let openedBytes = 0
  let heartbeatAt = Date.now() + HEARTBEAT_MS
  /** While nothing is waited for, nothing can end the turn. */
  let waited = true
  for (const [index, record] of batch.messages.entries()) {
    if (waited && turn.ended()) return
    const settling = open(place, record, turn)
    waited = settling instanceof Promise
    const opening = settling instanceof Promise ? await settling : settling
    if (opening === 'ended') return
    if (opening === 'halted') {
      cutAt = index
      break
    }
    if (opening === 'passed') passedAfter.set(delivered.at(-1)?.offset, record.offset)
    else {
      delivered.push(opening.message)
      openedBytes += opening.message.value?.length ?? 0
      if (openedBytes >= MOST_OPENED_BYTES && index + 1 < batch.messages.length) {
        if (turn.ended()) return
        cutAt = index + 1
        break
      }
    }
    if (Date.now() < heartbeatAt) continue
    waited = true
    await payload.heartbeat()
    heartbeatAt = Date.now() + HEARTBEAT_MS
  }
  if (cutAt === undefined && turn.ended()) return
  // A client may call a batch stale because its partition was paused: ours, for a hold, takes nothing from the handler.
  const staleBefore = payload.isStale()
  const isStale = (): boolean => !staleBefore && payload.isStale()

  /** The last message that is settled, or will be when the handler is done. */
  const end = batch.messages[(cutAt ?? batch.messages.length) - 1]?.offset
  const head = passedAfter.get(undefined)
  if (head !== undefined) payload.resolveOffset(head)
  if (delivered.length === 0 || end === undefined) return
  /** Resolves an offset of the handler's, and with it what was parked or skipped right behind it; never what is held. */
  const resolveOffset: BatchPayload['resolveOffset'] = (offset, ...more) => {
    const reached = passedAfter.get(offset) ?? offset
    payload.resolveOffset(cutAt !== undefined && BigInt(reached) > BigInt(end) ? end : reached, ...more)
  }
  await eachBatch({ ...payload, batch: cutBatch(batch, delivered, cutAt), resolveOffset, isStale })
  // A handler that saw its batch become stale has not handled all of it, perhaps.
  if (config.eachBatchAutoResolve !== false && !isStale()) payload.resolveOffset(end)
}

/**
 * The handler's batch is of the client's own class, and has all that the client's has, so that a copy made by spreading
 * has it too. Cut short, it shows its last delivered message as `lastOffset()`.
 */
function cutBatch(batch: Batch, messages: readonly DeliveredRecord[], cutAt: number | undefined): Batch {
  const own = Object.create(Object.getPrototypeOf(batch) as object, { ...Object.getOwnPropertyDescriptors(batch), messages: { value: messages, enumerable: true } }) as Batch
  if (cutAt === undefined) return own
  const lastOffset = messages.at(-1)?.offset
  return Object.defineProperty(own, 'lastOffset', { value: () => lastOffset, enumerable: Object.hasOwn(batch, 'lastOffset') })
}

function pauseThrough(holds: Holds, { topic, partition }: Place): () => void {
  holds.pause([{ topic, partitions: [partition] }])
  return () => holds.resume([{ topic, partitions: [partition] }])
}
