import type { Batch, BatchPayload, DeliveredRecord, MessagePayload, Place, RunConfig } from './client-shape.ts'
import type { Holds } from './holds.ts'
import type { OpenRecord } from './opening.ts'

/**
 * What replaces the caller's handlers. The client always runs `eachBatch` with auto-resolve off: with it on, a held
 * message's offset would be committed; with `eachMessage`, throwing crashes the consumer and waiting stalls all
 * partitions.
 */
export interface ConsumingOptions {
  readonly config: RunConfig
  readonly open: OpenRecord
  readonly holds: Holds
  readonly signal: AbortSignal
}

export function toEachBatch({ config, open, holds, signal }: ConsumingOptions): (payload: BatchPayload) => Promise<void> {
  const { eachMessage, eachBatch } = config
  if (eachMessage) return (payload) => runMessages(payload, eachMessage, { config, open, holds, signal })
  return (payload) => runBatch(payload, eachBatch ?? (async () => {}), { config, open, holds, signal })
}

/** The course of the client's own `eachMessage`: handle, resolve, heartbeat, commit if due; end where it would end. */
async function runMessages(payload: BatchPayload, eachMessage: (payload: MessagePayload) => Promise<void>, { config, open, holds, signal }: ConsumingOptions): Promise<void> {
  const { batch, resolveOffset, heartbeat, commitOffsetsIfNecessary, isRunning, isStale } = payload
  const place: Place = { topic: batch.topic, partition: batch.partition }
  for (const record of batch.messages) {
    if (!isRunning() || isStale() || signal.aborted) return
    const opening = await open(place, record, signal)
    if (opening === 'halted') return
    // The wait for a key may have been long: the place may have moved, or be lost.
    if (!isRunning() || isStale() || signal.aborted) return
    if (opening !== 'passed') await eachMessage({ ...place, message: opening.message, heartbeat, pause: () => pauseThrough(holds, place) })
    resolveOffset(record.offset)
    await heartbeat()
    if (config.autoCommit !== false) await commitOffsetsIfNecessary()
    if (holds.isPaused(place)) return
  }
}

/** Opening this many records takes a few milliseconds: no session ends in between. */
const RECORDS_PER_HEARTBEAT = 100

async function runBatch(payload: BatchPayload, eachBatch: (payload: BatchPayload) => Promise<void>, { config, open, holds, signal }: ConsumingOptions): Promise<void> {
  const { batch, heartbeat, isRunning, isStale } = payload
  const place: Place = { topic: batch.topic, partition: batch.partition }
  const delivered: DeliveredRecord[] = []
  /** Offsets that the handler does not see, and that the place may move past. */
  const passed: string[] = []
  let cutAt: number | undefined
  for (const [index, record] of batch.messages.entries()) {
    if (!isRunning() || isStale() || signal.aborted) return
    const opening = await open(place, record, signal)
    if (opening === 'halted') {
      cutAt = index
      break
    }
    if (opening === 'passed') passed.push(record.offset)
    else delivered.push(opening.message)
    if (index % RECORDS_PER_HEARTBEAT === RECORDS_PER_HEARTBEAT - 1) await heartbeat()
  }
  if (!isRunning() || isStale() || signal.aborted) return

  /** Resolves an offset of the handler's, and with it what was parked or skipped right behind it. */
  const resolveOffset = (offset: string): void => {
    const next = delivered.find((record) => BigInt(record.offset) > BigInt(offset))
    const tail = passed.findLast((each) => BigInt(each) > BigInt(offset) && (!next || BigInt(each) < BigInt(next.offset)))
    payload.resolveOffset(tail ?? offset)
  }
  const [first] = delivered
  const head = passed.findLast((each) => !first || BigInt(each) < BigInt(first.offset))
  if (head !== undefined) payload.resolveOffset(head)
  if (!first) return
  await eachBatch({ ...payload, batch: cutBatch(batch, delivered, cutAt), resolveOffset, pause: () => pauseThrough(holds, place) })
  if (config.eachBatchAutoResolve === false) return
  const last = batch.messages[(cutAt ?? batch.messages.length) - 1]
  if (last) payload.resolveOffset(last.offset)
}

/** The handler's batch keeps the methods of the client's. Cut short, it shows its last delivered message as `lastOffset()`. */
function cutBatch(batch: Batch, messages: readonly DeliveredRecord[], cutAt: number | undefined): Batch {
  const own = Object.getOwnPropertyDescriptors({ messages })
  if (cutAt === undefined) return Object.create(batch, own) as Batch
  const lastOffset = messages.at(-1)?.offset
  return Object.create(batch, { ...own, ...Object.getOwnPropertyDescriptors({ lastOffset: () => lastOffset }) }) as Batch
}

function pauseThrough(holds: Holds, { topic, partition }: Place): () => void {
  holds.pause([{ topic, partitions: [partition] }])
  return () => holds.resume([{ topic, partitions: [partition] }])
}
