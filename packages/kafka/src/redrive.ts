import { randomUUID } from 'node:crypto'
import { SealbusError } from '@sealbus/core'
import { createRedriveRun, type RedriveOptions as CommonOptions, type RedriveResult } from '@sealbus/core/adapter'
import { readMark, toParkedCopy } from './parked-copy.ts'
import { checkClient, extentsOf, type Passage, type ReadableKafka, readTopic } from './parked-topic.ts'
import { sizeOf } from './record-size.ts'
import { createSender, type DeliveryOf, type RedriveHandler } from './redrive-sender.ts'

/** What to redrive, and where to: `from`, `by`, `opener`, `codes`, `limit` and the like are the same for every broker. */
export interface RedriveOptions extends CommonOptions<RedriveHandler> {
  /** A topic that no other group reads, such as the group's retry topic, or a function that handles each message. */
  readonly to: string | RedriveHandler
  /**
   * Whether a topic's messages and the marks that they were redriven are one transaction: then a run that is killed
   * delivers nothing twice to consumers of committed records, which kafkajs' are by default. Without it, up to 100 messages come
   * again. Default true. A function's messages are marked one by one after it, so that one message may come again.
   */
  readonly transactions?: boolean
  /**
   * Whether to deliver also what came from the topic `to` itself. Default false: every group that reads it would get the
   * message again. For a retry topic from which messages were parked a second time.
   */
  readonly toOrigin?: boolean
}

/** Messages that are delivered, and marked, together. A fetch is bounded in compressed bytes only. */
const CHUNK = 100
const CHUNK_BYTES = 8_000_000
const HEARTBEAT_MS = 1_000

/**
 * Redrives what a group has parked; by default a dry run. `kafka` is the client itself, not a wrapped one: the consumer,
 * producer and admin client that are made of it are closed at the end.
 *
 * What was redriven is marked in the parking topic, so that a run that ended early is taken up where it was, and no copy is
 * delivered by two runs. A run ends where the topic ended when it began: what parks again meanwhile is left to the next. One
 * run at a time: it is the only member of the group `sealbus-redrive.<from>.<by>`, which commits nothing.
 *
 * Rejects with what the client rejects with, and with ERR_SEALBUS_INVALID_OPTION, ERR_SEALBUS_UNDECLARED_CHANNEL or
 * ERR_SEALBUS_AMBIGUOUS_CHANNEL. What was delivered before that is marked.
 */
export async function redrive(kafka: ReadableKafka, options: RedriveOptions): Promise<RedriveResult> {
  const { transactions = true, toOrigin = false, ...common } = options
  const { from, by, to, dryRun = true, signal } = common
  const run = createRedriveRun(common, { carriedBy: typeof to === 'string' ? to : undefined, wouldReturn: ({ origin }) => !toOrigin && topicOf(origin) === to })
  checkClient(kafka)
  if (to === undefined) throw invalid('`to` is needed: a topic that no other group reads, or a function')
  for (const [name, value] of Object.entries({ transactions, toOrigin })) if (typeof value !== 'boolean') throw invalid(`\`${name}\` is a boolean`)
  // Written to, a topic that is not there would be made, and nobody would read it.
  if (typeof to === 'string') await extentsOf(kafka, to)
  const sender = dryRun ? undefined : createSender(kafka, { from, by, to, transactions })
  /** A function handles one message after the other. */
  const chunkSize = typeof to === 'string' ? CHUNK : 1
  /** Partitions that hold copies of this group. */
  const pending = new Set<number>()
  let total = 0

  const readMarks = async ({ partition, records }: Passage): Promise<void> => {
    for (const record of records) {
      const mark = readMark(record)
      if (mark?.by === by) run.redrivenBefore(mark.digest)
      else if (toParkedCopy(record)?.by === by) pending.add(partition)
    }
  }

  const judge = async ({ partition, records, heartbeat }: Passage): Promise<void> => {
    const chunk: DeliveryOf[] = []
    let bytes = 0
    const settle = async (): Promise<void> => {
      bytes = 0
      if (chunk.length > 0) await sender?.deliver({ topic: from, partition, heartbeat }, chunk.splice(0), run)
      run.progress(total)
    }
    let heartbeatAt = Date.now() + HEARTBEAT_MS
    for (const record of records) {
      if (run.over) break
      const copy = toParkedCopy(record)
      // A mark is the redrive's own, and nothing to judge.
      if (!copy && readMark(record)) continue
      const verdict = await run.judge(copy)
      if (verdict.action === 'deliver') {
        // A topic gets the bytes as they are: what they opened to is not kept.
        chunk.push({ delivery: typeof to === 'string' ? { ...verdict, opened: undefined } : verdict, record })
        bytes += sizeOf(record)
      }
      if (chunk.length >= chunkSize || bytes >= CHUNK_BYTES) await settle()
      if (Date.now() < heartbeatAt) continue
      await heartbeat()
      heartbeatAt = Date.now() + HEARTBEAT_MS
    }
    await settle()
  }

  await sender?.connect()
  try {
    await readTopic(kafka, {
      topic: from,
      groupId: dryRun ? readerGroup() : `sealbus-redrive.${from}.${by}`,
      passes: [{ show: readMarks }, { show: judge, needed: (partition) => pending.has(partition) }],
      onTotal: (count) => void (total = count),
      enough: () => run.over !== undefined,
      signal,
    })
  } finally {
    await sender?.disconnect()
  }
  return run.result()
}

/** Of `topic/partition/offset`; no topic's name has a slash. */
const topicOf = (origin: string | undefined): string | undefined => origin?.split('/', 1)[0]

/** A reader has a group of its own, which is gone with it: it reads beside a run, and commits nothing. */
export const readerGroup = (): string => `sealbus-parked.${randomUUID()}`

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', `redrive: ${reason}`)
