import { NotSimulatedError } from '../not-simulated.ts'
import type { MissingInKafka } from '../features.ts'
import { nonRetriable } from './errors.ts'
import type { OffsetsOfTopics } from './shape.ts'

export interface InstrumentationEvent<Payload> {
  id: string
  type: string
  timestamp: number
  payload: Payload
}

export const PRODUCER_EVENTS = {
  CONNECT: 'producer.connect',
  DISCONNECT: 'producer.disconnect',
  REQUEST: 'producer.network.request',
  REQUEST_TIMEOUT: 'producer.network.request_timeout',
  REQUEST_QUEUE_SIZE: 'producer.network.request_queue_size',
} as const

export const CONSUMER_EVENTS = {
  HEARTBEAT: 'consumer.heartbeat',
  COMMIT_OFFSETS: 'consumer.commit_offsets',
  GROUP_JOIN: 'consumer.group_join',
  FETCH_START: 'consumer.fetch_start',
  FETCH: 'consumer.fetch',
  START_BATCH_PROCESS: 'consumer.start_batch_process',
  END_BATCH_PROCESS: 'consumer.end_batch_process',
  CONNECT: 'consumer.connect',
  DISCONNECT: 'consumer.disconnect',
  STOP: 'consumer.stop',
  CRASH: 'consumer.crash',
  REBALANCING: 'consumer.rebalancing',
  RECEIVED_UNSUBSCRIBED_TOPICS: 'consumer.received_unsubscribed_topics',
  REQUEST: 'consumer.network.request',
  REQUEST_TIMEOUT: 'consumer.network.request_timeout',
  REQUEST_QUEUE_SIZE: 'consumer.network.request_queue_size',
} as const

export interface ProducerEventPayloads {
  'producer.connect': null
  'producer.disconnect': null
  'producer.network.request': never
  'producer.network.request_timeout': never
  'producer.network.request_queue_size': never
}

export interface BatchProgress {
  topic: string
  partition: number
  highWatermark: string
  offsetLag: string
  offsetLagLow: string
  batchSize: number
  firstOffset: string
  lastOffset: string
}

interface Membership {
  groupId: string
  memberId: string
}

export interface ConsumerEventPayloads {
  'consumer.heartbeat': Membership & { groupGenerationId: number }
  'consumer.commit_offsets': Membership & { groupGenerationId: number } & OffsetsOfTopics
  'consumer.group_join': Membership & { duration: number; isLeader: boolean; leaderId: string; groupProtocol: string; memberAssignment: Record<string, number[]> }
  'consumer.fetch_start': { nodeId: number }
  'consumer.fetch': { numberOfBatches: number; duration: number; nodeId: number }
  'consumer.start_batch_process': BatchProgress
  'consumer.end_batch_process': BatchProgress & { duration: number }
  'consumer.connect': null
  'consumer.disconnect': null
  'consumer.stop': null
  'consumer.crash': { error: Error; groupId: string; restart: boolean }
  /** These two never come: a group has one member. */
  'consumer.rebalancing': Membership
  'consumer.received_unsubscribed_topics': never
  'consumer.network.request': never
  'consumer.network.request_timeout': never
  'consumer.network.request_queue_size': never
}

export interface Events<Payloads> {
  readonly on: <Name extends keyof Payloads>(event: Name, listener: (event: InstrumentationEvent<Payloads[Name]>) => void) => () => void
  emit<Name extends keyof Payloads & string>(event: Name, payload: Payloads[Name]): void
}

/** The events of one client. `names` are all that it knows; listening for one of the network is refused. */
export function createEvents<Payloads>(names: Readonly<Record<string, string>>): Events<Payloads> {
  const listeners = new Map<PropertyKey, Set<(event: InstrumentationEvent<never>) => void>>()
  const known = new Set<PropertyKey>(Object.values(names))
  let count = 0
  return {
    on(event, listener): () => void {
      if (!known.has(event)) throw nonRetriable(`Event name should be one of ${Object.keys(names).join(', ')}`)
      const feature: MissingInKafka = 'networkEvents'
      if (String(event).includes('.network.')) throw new NotSimulatedError(feature, `an event ${String(event)}`)
      const set = listeners.get(event) ?? new Set()
      listeners.set(event, set.add(listener))
      return () => void set.delete(listener)
    },
    emit(event, payload): void {
      for (const listener of listeners.get(event) ?? []) listener({ id: `${count++}`, type: event, timestamp: Date.now(), payload: payload as never })
    },
  }
}
