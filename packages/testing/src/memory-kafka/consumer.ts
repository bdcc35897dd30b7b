import { randomUUID } from 'node:crypto'
import type { MissingInKafka } from '../features.ts'
import { NotSimulatedError, rejecting, throwing } from '../not-simulated.ts'
import type { Broker } from './broker.ts'
import { nonRetriable, unknownTopic } from './errors.ts'
import { CONSUMER_EVENTS, type ConsumerEventPayloads, createEvents } from './events.ts'
import { checkTopicPartitions } from './pauses.ts'
import type { AssignedPartition } from './positions.ts'
import { createRetries } from './retries.ts'
import { createSession, type Session } from './session.ts'
import type { MemoryConsumer, MemoryConsumerConfig, MemoryRunConfig } from './shape.ts'

const MISSING = {
  offsets: 'specialOffsets',
  group: 'rebalancing',
  logger: 'logger',
} as const satisfies Record<string, MissingInKafka>

export function createConsumer(broker: Broker, config: MemoryConsumerConfig): MemoryConsumer {
  const { groupId, maxBytesPerPartition = 1_048_576, allowAutoTopicCreation = true, retry = {} } = config
  if (!groupId) throw nonRetriable('Consumer groupId must be a non-empty string.')
  const memberId = `memory-${randomUUID()}`
  const group = broker.groups.named(groupId)
  const events = createEvents<ConsumerEventPayloads>(CONSUMER_EVENTS)
  const subscriptions = new Map<string, { fromBeginning: boolean }>()
  let session: Session | undefined
  let restart: NodeJS.Timeout | undefined

  const running = (): Session => {
    if (!session) throw nonRetriable('Consumer group was not initialized, consumer#run must be called first')
    return session
  }

  const assignment = (): AssignedPartition[] =>
    [...subscriptions].flatMap(([topic, { fromBeginning }]) => {
      const partitions = broker.partitions(topic)
      if (!partitions) throw unknownTopic()
      return partitions.map((log, partition) => ({ topic, partition, log, fromBeginning }))
    })

  const start = (run: MemoryRunConfig): void => {
    const assigned = assignment()
    const started = createSession({ broker, group, groupId, memberId, assigned, maxBytesPerPartition, run, events })
    session = started
    const memberAssignment = Object.fromEntries([...subscriptions.keys()].map((topic) => [topic, assigned.filter((each) => each.topic === topic).map(({ partition }) => partition)]))
    events.emit(CONSUMER_EVENTS.GROUP_JOIN, { groupId, memberId, leaderId: memberId, isLeader: true, groupProtocol: 'RoundRobinAssigner', memberAssignment, duration: 0 })
    // As a connection to a broker would, it keeps the process.
    const alive = setInterval(() => {}, 2 ** 30)
    void createRetries(retry)
      .until(() => started.consume(), started.ended)
      .finally(() => clearInterval(alive))
      .catch((error: Error) => crash(error, run))
  }

  const startAgain = (run: MemoryRunConfig): void => {
    try {
      start(run)
    } catch (error) {
      // Meanwhile its topic is gone, or its group has another member.
      void crash(nonRetriable(error instanceof Error ? error.message : String(error), error), run)
    }
  }

  const mayRestart = async (error: Error): Promise<boolean> => {
    try {
      return (await retry.restartOnFailure?.(error)) ?? true
    } catch {
      return true
    }
  }

  const crash = async (error: Error & { retriable?: boolean }, run: MemoryRunConfig): Promise<void> => {
    await disconnect()
    const again = error.retriable === true && (await mayRestart(error))
    events.emit(CONSUMER_EVENTS.CRASH, { error, groupId, restart: again })
    if (again) restart = setTimeout(() => startAgain(run), retry.initialRetryTime ?? 10)
  }

  const stop = async (): Promise<void> => {
    clearTimeout(restart)
    const stopping = session
    if (!stopping) return
    await stopping.stop()
    if (session !== stopping) return
    session = undefined
    events.emit(CONSUMER_EVENTS.STOP, null)
  }
  const disconnect = async (): Promise<void> => {
    await stop()
    events.emit(CONSUMER_EVENTS.DISCONNECT, null)
  }

  return {
    async connect(): Promise<void> {
      events.emit(CONSUMER_EVENTS.CONNECT, null)
    },
    disconnect,
    async subscribe(subscription): Promise<void> {
      if (session) throw nonRetriable('Cannot subscribe to topic while consumer is running')
      const { fromBeginning = false } = subscription
      const asked = 'topics' in subscription ? subscription.topics : [subscription.topic]
      if (!Array.isArray(asked)) throw nonRetriable('Argument "topics" must be an array')
      for (const each of asked) {
        if (typeof each !== 'string' && !(each instanceof RegExp)) throw nonRetriable(`Invalid topic ${String(each)}, the topic name has to be a String or a RegExp`)
        const topics = typeof each === 'string' ? [each] : broker.topics().filter((topic) => topic.search(each) >= 0)
        for (const topic of topics) {
          if (allowAutoTopicCreation) broker.createTopic(topic)
          if (!broker.partitions(topic)) throw unknownTopic()
          subscriptions.set(topic, { fromBeginning })
        }
      }
    },
    async run(run = {}): Promise<void> {
      // A second one is ignored, as by kafkajs.
      if (session) return
      start(run)
    },
    stop,
    async commitOffsets(places = []): Promise<void> {
      const metadata = new Map<string, string | null>()
      const topics = places.map(({ topic, partition, offset, metadata: said = null }) => {
        checkPlace(topic, partition)
        metadata.set(`${topic}/${partition}`, said)
        return { topic, partitions: [{ partition, offset: `${toOffset(offset)}` }] }
      })
      running().commit({ topics }, (topic, partition) => metadata.get(`${topic}/${partition}`) ?? null)
    },
    seek({ topic, partition, offset }): void {
      checkPlace(topic, partition)
      if (offset === '-1' || offset === '-2') throw new NotSimulatedError(MISSING.offsets, `seek to ${offset}`)
      running().seek(topic, partition, toOffset(offset))
    },
    pause(topics = []): void {
      checkTopicPartitions(topics)
      running().pause(topics)
    },
    resume(topics = []): void {
      checkTopicPartitions(topics)
      running().resume(topics)
    },
    paused(): { topic: string; partitions: number[] }[] {
      if (!session) return []
      const { assigned, pauses } = session
      const places = Map.groupBy(assigned.filter(({ topic, partition }) => pauses.has(topic, partition)), ({ topic }) => topic)
      return [...places].map(([topic, each]) => ({ topic, partitions: each.map(({ partition }) => partition) }))
    },
    events: CONSUMER_EVENTS,
    on: events.on,
    describeGroup: rejecting(MISSING.group, 'consumer.describeGroup'),
    logger: throwing(MISSING.logger, 'consumer.logger'),
  }
}

function checkPlace(topic: string, partition: number): void {
  if (!topic) throw nonRetriable(`Invalid topic ${topic}`)
  if (Number.isNaN(partition)) throw nonRetriable(`Invalid partition, expected a number received ${partition}`)
}

function toOffset(offset: string): number {
  if (!/^-?\d+$/.test(offset)) throw nonRetriable(`Invalid offset, expected a long received ${offset}`)
  if (Number(offset) < 0) throw nonRetriable('Offset must not be a negative number')
  return Number(offset)
}
