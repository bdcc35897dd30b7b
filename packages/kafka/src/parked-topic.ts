import { SealbusError } from '@sealbus/core'
import type { BatchPayload, DeliveredRecord, KafkaLike } from './client-shape.ts'
import { isWrapped } from './delegation.ts'

/** A client that `redrive` and `listParked` can use: one of kafkajs, or of its shape, whose consumers tell of their events. Not a wrapped one. */
export interface ReadableKafka extends KafkaLike {
  admin: (...config: never[]) => { connect: () => Promise<void>; disconnect: () => Promise<void>; fetchTopicOffsets: (topic: string) => Promise<readonly { partition: number; low: string; high: string }[]> }
}

/** What a pass is shown: records of one partition, in their order. */
export interface Passage {
  readonly partition: number
  readonly records: readonly DeliveredRecord[]
  readonly heartbeat: () => Promise<void>
}

export interface Reading {
  readonly topic: string
  /** All partitions are read by this one member: where another joins, both would see a part only. */
  readonly groupId: string
  /** One after the other, each from the beginning of every partition to where it ended when the reading began; none before the one before is through all. */
  readonly passes: readonly {
    readonly show: (passage: Passage) => Promise<void>
    /** Whether this pass is needed in a partition, once the one before is through. Default: always. */
    readonly needed?: (partition: number) => boolean
  }[]
  /** Offered the count of records that there are, before the first is shown. At most: some may be the broker's own. */
  readonly onTotal?: (total: number) => void
  /** Looked at after each passage. */
  readonly enough?: () => boolean
  readonly signal?: AbortSignal | undefined
}

/** The members of kafkajs' consumer that are used here. */
interface ReadingConsumer {
  connect(): Promise<void>
  subscribe(subscription: { topic: string; fromBeginning: boolean }): Promise<void>
  run(config: { autoCommit: boolean; eachBatch: (payload: BatchPayload) => Promise<void> }): Promise<void>
  seek(place: { topic: string; partition: number; offset: string }): void
  pause(topicPartitions: { topic: string; partitions: number[] }[]): void
  resume(topicPartitions: { topic: string; partitions: number[] }[]): void
  disconnect(): Promise<void>
  on(event: string, listener: (event: { payload: unknown }) => void): unknown
  readonly events: Readonly<Record<string, string>>
}

/** What there is to read in one partition. */
interface Extent {
  readonly low: string
  /** The offset behind the last record. */
  readonly end: bigint
}

/**
 * Reads a topic from its beginning to its present end, in several passes, and commits nothing.
 *
 * Rejects with what the client or a pass rejects with, and with ERR_SEALBUS_INVALID_OPTION where the group has another member.
 */
export async function readTopic(kafka: ReadableKafka, reading: Reading): Promise<void> {
  checkClient(kafka)
  const { size } = await extentsOf(kafka, reading.topic)
  for (let attempt = 1; size > 0 && !reading.signal?.aborted; attempt++) {
    const begun = { shown: false }
    try {
      await read(kafka, reading, begun)
      return
    } catch (error) {
      // kafkajs does not try again to join a group whose coordinator has just started.
      if (begun.shown || attempt === JOIN_ATTEMPTS || !isRetriable(error)) throw error
      await new Promise((resolve) => setTimeout(resolve, JOIN_PAUSE_MS))
    }
  }
}

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkClient(kafka: object): void {
  if (isWrapped(kafka)) throw invalid('the client itself is needed, not a wrapped one: parked copies are read, and go out, as they are')
}

const JOIN_ATTEMPTS = 20
const JOIN_PAUSE_MS = 500
/** Whether an error of kafkajs is, or was tried again until it gave up because of, the protocol's error of this name. */
const isOfType = (error: unknown, type: string): boolean =>
  typeof error === 'object' && error !== null && (('type' in error && error.type === type) || ('cause' in error && isOfType(error.cause, type)))
const isRetriable = (error: unknown): boolean => typeof error === 'object' && error !== null && 'retriable' in error && error.retriable === true

async function read(kafka: ReadableKafka, { topic, groupId, passes, onTotal, enough = () => false, signal }: Reading, begun: { shown: boolean }): Promise<void> {
  // A client that begins anew after an error would show records twice; this reading is begun anew by its caller.
  const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false, maxWaitTimeInMs: 100, retry: { restartOnFailure: async () => false } } as never) as unknown as ReadingConsumer
  const { promise: finished, resolve: finish, reject: fail } = Promise.withResolvers<void>()
  finished.catch(() => {})
  let over = false
  const end = (settle: () => void): void => {
    over = true
    settle()
  }
  const abort = (): void => end(finish)
  const anotherMember = (): void => end(() => fail(invalid(`the group ${JSON.stringify(groupId)} has another member: one redrive at a time`)))

  let extents: ReadonlyMap<number, Extent> = new Map()
  let pass = -1
  /** The partitions that the present pass is not through yet. */
  let left = new Set<number>()

  /** A pass begins when the one before is through all partitions: what that found in one may concern another. */
  const beginNext = (): void => {
    do left = new Set([...extents.keys()].filter((partition) => passes[pass + 1]?.needed?.(partition) !== false))
    while (++pass < passes.length && left.size === 0)
    if (pass === passes.length) {
      end(finish)
      return
    }
    for (const partition of left) consumer.seek({ topic, partition, offset: extents.get(partition)?.low ?? '0' })
    consumer.resume([{ topic, partitions: [...left] }])
  }

  let joined = false
  let assigned: ReadonlySet<number> = new Set()
  consumer.on(eventOf(consumer, 'GROUP_JOIN'), ({ payload }) => {
    const partitions = (payload as { memberAssignment: Readonly<Record<string, number[]>> }).memberAssignment[topic] ?? []
    // A second time: somebody came or went, and kafkajs has forgotten the places.
    if (joined) anotherMember()
    joined = true
    consumer.pause([{ topic, partitions }])
    assigned = new Set(partitions)
  })
  consumer.on(eventOf(consumer, 'CRASH'), ({ payload }) => end(() => fail((payload as { error: unknown }).error)))
  // This event tells the place also where a batch holds nothing but the broker's own records, of which no handler is told.
  consumer.on(eventOf(consumer, 'END_BATCH_PROCESS'), ({ payload }) => {
    const { partition, lastOffset } = payload as { partition: number; lastOffset: string }
    const extent = extents.get(partition)
    if (over || !extent || !left.has(partition) || BigInt(lastOffset) + 1n < extent.end) return
    left.delete(partition)
    consumer.pause([{ topic, partitions: [partition] }])
    if (left.size === 0) beginNext()
  })

  const show = async ({ batch: { partition, messages }, heartbeat }: BatchPayload): Promise<void> => {
    const extent = extents.get(partition)
    if (over || !extent || !left.has(partition)) return
    begun.shown = true
    try {
      await passes[pass]?.show({ partition, records: messages.filter(({ offset }) => BigInt(offset) < extent.end), heartbeat })
      if (enough()) end(finish)
    } catch (error) {
      // Thrown into the client, it would be tried again.
      if (isOfType(error, 'REBALANCE_IN_PROGRESS')) anotherMember()
      else end(() => fail(error))
    }
  }

  signal?.addEventListener('abort', abort, { once: true })
  try {
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({ autoCommit: false, eachBatch: show })
    // Only now: a member that was here before may have written, marks say, until it left.
    extents = await extentsOf(kafka, topic)
    onTotal?.([...extents.values()].reduce((sum, { low, end: behind }) => sum + Number(behind - BigInt(low)), 0))
    if ([...extents.keys()].some((partition) => !assigned.has(partition))) anotherMember()
    if (!over) beginNext()
    await finished
  } finally {
    signal?.removeEventListener('abort', abort)
    // What a pass has under way is waited for.
    await consumer.disconnect()
  }
}

/**
 * The partitions that hold records.
 *
 * Rejects with what the client rejects with, and with ERR_SEALBUS_INVALID_OPTION where there is no such topic.
 */
export async function extentsOf(kafka: ReadableKafka, topic: string): Promise<ReadonlyMap<number, Extent>> {
  const admin = kafka.admin()
  try {
    await admin.connect()
    const offsets = await admin.fetchTopicOffsets(topic)
    return new Map(offsets.filter(({ low, high }) => BigInt(low) < BigInt(high)).map(({ partition, low, high }) => [partition, { low, end: BigInt(high) }]))
  } catch (error) {
    // The client's own message does not name the topic.
    throw isOfType(error, 'UNKNOWN_TOPIC_OR_PARTITION') ? invalid(`there is no topic ${JSON.stringify(topic)}`) : error
  } finally {
    await admin.disconnect()
  }
}

function eventOf(consumer: ReadingConsumer, name: string): string {
  const event = consumer.events?.[name]
  if (event === undefined) throw invalid(`a client is needed whose consumers tell of ${name}, as those of kafkajs do`)
  return event
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
