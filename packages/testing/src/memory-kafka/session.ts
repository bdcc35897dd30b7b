import { setImmediate as nextTurn } from 'node:timers/promises'
import { progressOf, toBatch } from './batch.ts'
import type { Broker } from './broker.ts'
import { CONSUMER_EVENTS, type ConsumerEventPayloads, type Events } from './events.ts'
import type { Group } from './group.ts'
import { createPauses, type Pauses, type TopicPartitions } from './pauses.ts'
import { type AssignedPartition, createPositions } from './positions.ts'
import type { ConsumedBatch, EachBatch, EachMessage, MemoryRunConfig, OffsetsOfTopics } from './shape.ts'

/** What a consumer is between `run` and `stop`: a member of its group, with its places and its pauses. */
export interface Session {
  readonly pauses: Pauses
  /** Aborted when it is stopped. */
  readonly ended: AbortSignal
  readonly assigned: readonly AssignedPartition[]
  pause(topics: readonly TopicPartitions[]): void
  resume(topics: readonly TopicPartitions[]): void
  seek(topic: string, partition: number, offset: number): void
  commit(offsets: OffsetsOfTopics, metadata?: (topic: string, partition: number) => string | null): void
  /** Hands out batches until it is stopped. Rejects with what a handler threw; it can be called again then. */
  consume(): Promise<void>
  /** Resolves when no handler runs any more. */
  stop(): Promise<void>
}

export interface SessionOptions {
  readonly broker: Broker
  readonly group: Group
  readonly groupId: string
  readonly memberId: string
  readonly assigned: readonly AssignedPartition[]
  readonly maxBytesPerPartition: number
  readonly run: MemoryRunConfig
  readonly events: Events<ConsumerEventPayloads>
}

export function createSession({ broker, group, groupId, memberId, assigned, maxBytesPerPartition, run, events }: SessionOptions): Session {
  const { autoCommit = true, autoCommitInterval = null, autoCommitThreshold = null, eachBatchAutoResolve = true, partitionsConsumedConcurrently = 1, eachBatch, eachMessage } = run
  const membership = { groupId, memberId, groupGenerationId: 1 }
  const positions = createPositions(group, assigned)
  const pauses = createPauses()
  const seeks = new Map<AssignedPartition, number>()
  const leave = group.join()
  const ending = new AbortController()
  const isRunning = (): boolean => !ending.signal.aborted
  let lastCommit = Date.now()
  let consuming: Promise<void> = Promise.resolve()
  let wake = Promise.withResolvers<void>()
  const stopListening = broker.onAppended(() => wake.resolve())

  const find = (topic: string, partition: number): AssignedPartition | undefined => assigned.find((each) => each.topic === topic && each.partition === partition)
  const seekPending = ({ topic, partition }: ConsumedBatch): boolean => {
    const place = find(topic, partition)
    return place !== undefined && seeks.has(place)
  }
  const heartbeat = async (): Promise<void> => events.emit(CONSUMER_EVENTS.HEARTBEAT, membership)

  const commit: Session['commit'] = (offsets, metadata = () => null) => {
    lastCommit = Date.now()
    if (offsets.topics.length === 0) return
    for (const { topic, partitions } of offsets.topics) {
      for (const { partition, offset } of partitions) group.commit(topic, partition, { offset: Number(offset), metadata: metadata(topic, partition) })
    }
    positions.committed(offsets)
    events.emit(CONSUMER_EVENTS.COMMIT_OFFSETS, { ...membership, topics: offsets.topics })
  }
  const commitResolved = (): void => commit(positions.uncommitted())
  const commitIfNecessary = (): void => {
    const timeReached = autoCommitInterval !== null && Date.now() >= lastCommit + autoCommitInterval
    const countReached = autoCommitThreshold !== null && positions.countUncommitted() >= autoCommitThreshold
    if (timeReached || countReached) commitResolved()
  }

  const pause = (topics: readonly TopicPartitions[]): void => pauses.pause(topics)
  const resume = (topics: readonly TopicPartitions[]): void => {
    pauses.resume(topics)
    wake.resolve()
  }
  const pauseOf = ({ topic, partition }: ConsumedBatch): (() => () => void) => () => {
    pause([{ topic, partitions: [partition] }])
    return () => resume([{ topic, partitions: [partition] }])
  }

  const handleMessages = async (batch: ConsumedBatch, handle: (payload: EachMessage) => Promise<void>): Promise<void> => {
    const { topic, partition } = batch
    for (const message of batch.messages) {
      if (!isRunning() || seekPending(batch)) return
      await handle({ topic, partition, message, heartbeat, pause: pauseOf(batch) })
      positions.resolve(topic, partition, Number(message.offset))
      await heartbeat()
      if (autoCommit) commitIfNecessary()
      if (pauses.has(topic, partition)) return
    }
  }

  const handleBatch = async (batch: ConsumedBatch, handle: (payload: EachBatch) => Promise<void>): Promise<void> => {
    const { topic, partition } = batch
    const resolveOffset = (offset: string): void => positions.resolve(topic, partition, Number(offset))
    await handle({
      batch,
      resolveOffset,
      heartbeat,
      pause: pauseOf(batch),
      commitOffsetsIfNecessary: async (offsets) => (offsets ? commit(offsets) : commitIfNecessary()),
      uncommittedOffsets: () => positions.uncommitted(),
      isRunning,
      isStale: () => seekPending(batch),
    })
    if (eachBatchAutoResolve) resolveOffset(batch.lastOffset())
  }

  const handle = async (batch: ConsumedBatch): Promise<void> => {
    if (!isRunning()) return
    const started = Date.now()
    const progress = progressOf(batch)
    events.emit(CONSUMER_EVENTS.START_BATCH_PROCESS, progress)
    try {
      if (eachMessage) await handleMessages(batch, eachMessage)
      else if (eachBatch) await handleBatch(batch, eachBatch)
    } finally {
      // What was resolved before an error counts.
      if (autoCommit) commitResolved()
    }
    events.emit(CONSUMER_EVENTS.END_BATCH_PROCESS, { ...progress, duration: Date.now() - started })
    await heartbeat()
  }

  const takeSeeks = (): void => {
    for (const [place, offset] of seeks) {
      positions.seek(place, offset)
      // With automatic commits a place that was moved to is committed, as in kafkajs.
      if (autoCommit) commit({ topics: [{ topic: place.topic, partitions: [{ partition: place.partition, offset: `${offset}` }] }] })
    }
    seeks.clear()
  }

  const fetch = (): ConsumedBatch[] => {
    const started = Date.now()
    events.emit(CONSUMER_EVENTS.FETCH_START, { nodeId: 0 })
    const batches = assigned.flatMap((place) => {
      const { topic, partition, log } = place
      if (pauses.has(topic, partition)) return []
      const records = log.read(positions.next(place), maxBytesPerPartition)
      return records.length === 0 ? [] : [toBatch(topic, partition, log.high, records)]
    })
    events.emit(CONSUMER_EVENTS.FETCH, { numberOfBatches: 0, duration: Date.now() - started, nodeId: 0 })
    return batches
  }

  const loop = async (): Promise<void> => {
    while (isRunning()) {
      // So that a busy topic starves neither timers nor other consumers.
      await nextTurn()
      wake = Promise.withResolvers()
      takeSeeks()
      const batches = fetch()
      if (batches.length > 0) await inParallel(batches, partitionsConsumedConcurrently, handle)
      else if (isRunning()) await wake.promise
    }
  }

  return {
    pauses,
    ended: ending.signal,
    assigned,
    pause,
    resume,
    seek(topic, partition, offset): void {
      const place = find(topic, partition)
      if (place) seeks.set(place, offset)
      wake.resolve()
    },
    commit,
    consume(): Promise<void> {
      consuming = loop()
      return consuming
    },
    async stop(): Promise<void> {
      ending.abort()
      wake.resolve()
      await consuming.catch(() => {})
      stopListening()
      leave()
    },
  }
}

/** Several workers take one batch after the other. All are done when it settles, also when one has thrown. */
async function inParallel(batches: readonly ConsumedBatch[], workers: number, handle: (batch: ConsumedBatch) => Promise<void>): Promise<void> {
  const left = [...batches]
  const errors: unknown[] = []
  const work = async (): Promise<void> => {
    for (let batch = left.shift(); batch; batch = left.shift()) await handle(batch).catch((error: unknown) => errors.push(error))
  }
  await Promise.all(Array.from({ length: workers }, work))
  if (errors.length > 0) throw errors[0]
}
