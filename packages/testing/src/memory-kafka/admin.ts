import type { MissingInKafka } from '../features.ts'
import { NotSimulatedError, rejecting, throwing } from '../not-simulated.ts'
import type { Broker } from './broker.ts'
import { nonRetriable, unknownTopic } from './errors.ts'
import type { Partition } from './partition.ts'

export interface TopicConfig {
  topic: string
  numPartitions?: number
  /** Taken, and without a meaning. */
  replicationFactor?: number
  replicaAssignment?: object[]
  configEntries?: object[]
}

const TOPICS: MissingInKafka = 'topicConfiguration'
const GROUPS: MissingInKafka = 'groupAdministration'
const CLUSTER: MissingInKafka = 'clusterAdministration'
const EVENTS: MissingInKafka = 'networkEvents'
const LOGGER: MissingInKafka = 'logger'

const ADMIN_EVENTS = {
  CONNECT: 'admin.connect',
  DISCONNECT: 'admin.disconnect',
  REQUEST: 'admin.network.request',
  REQUEST_TIMEOUT: 'admin.network.request_timeout',
  REQUEST_QUEUE_SIZE: 'admin.network.request_queue_size',
} as const

type Refused = (...args: unknown[]) => Promise<never>

/** The members from `createPartitions` on reject or throw `NotSimulatedError`. */
export interface MemoryAdmin {
  connect(): Promise<void>
  disconnect(): Promise<void>
  listTopics(): Promise<string[]>
  /** Resolves to false where all of them exist already. */
  createTopics(options: { topics: TopicConfig[]; waitForLeaders?: boolean; timeout?: number; validateOnly?: boolean }): Promise<boolean>
  deleteTopics(options: { topics: string[]; timeout?: number }): Promise<void>
  fetchTopicMetadata(options?: { topics: string[] }): Promise<{ topics: { name: string; partitions: { partitionErrorCode: number; partitionId: number; leader: number; replicas: number[]; isr: number[] }[] }[] }>
  fetchTopicOffsets(topic: string): Promise<{ partition: number; offset: string; high: string; low: string }[]>
  fetchOffsets(options: { groupId: string; topics?: string[]; resolveOffsets?: boolean }): Promise<{ topic: string; partitions: { partition: number; offset: string; metadata: string | null }[] }[]>
  readonly events: typeof ADMIN_EVENTS
  createPartitions: Refused
  fetchTopicOffsetsByTimestamp: Refused
  deleteTopicRecords: Refused
  describeConfigs: Refused
  alterConfigs: Refused
  setOffsets: Refused
  resetOffsets: Refused
  listGroups: Refused
  deleteGroups: Refused
  describeGroups: Refused
  describeCluster: Refused
  describeAcls: Refused
  deleteAcls: Refused
  createAcls: Refused
  alterPartitionReassignments: Refused
  listPartitionReassignments: Refused
  on: (...args: unknown[]) => never
  logger: () => never
}

export function createAdmin(broker: Broker): MemoryAdmin {
  const partitionsOf = (topic: string): readonly Partition[] => {
    const partitions = broker.partitions(topic)
    if (!partitions) throw unknownTopic()
    return partitions
  }
  return {
    connect: async () => {},
    disconnect: async () => {},
    listTopics: async () => [...broker.topics()],
    async createTopics({ topics, validateOnly = false }): Promise<boolean> {
      if (!Array.isArray(topics) || topics.some(({ topic }) => typeof topic !== 'string')) throw nonRetriable('Invalid topics array')
      for (const { topic, configEntries = [], replicaAssignment = [] } of topics) {
        if (configEntries.length + replicaAssignment.length > 0) throw new NotSimulatedError(TOPICS, `the configuration of topic ${JSON.stringify(topic)}`)
      }
      // As in kafkajs, one that exists already hides what became of the others.
      const isNew = topics.every(({ topic }) => !broker.partitions(topic))
      if (!validateOnly) for (const { topic, numPartitions } of topics) broker.createTopic(topic, numPartitions === -1 ? undefined : numPartitions)
      return isNew
    },
    async deleteTopics({ topics }): Promise<void> {
      for (const topic of topics) if (!broker.deleteTopic(topic)) throw unknownTopic()
    },
    async fetchTopicMetadata({ topics } = { topics: [...broker.topics()] }) {
      return { topics: topics.map((name) => ({ name, partitions: partitionsOf(name).map((_, partitionId) => ({ partitionErrorCode: 0, partitionId, leader: 0, replicas: [0], isr: [0] })) })) }
    },
    async fetchTopicOffsets(topic) {
      if (!topic) throw nonRetriable(`Invalid topic ${topic}`)
      return partitionsOf(topic).map(({ high }, partition) => ({ partition, offset: `${high}`, high: `${high}`, low: '0' }))
    },
    async fetchOffsets({ groupId, topics, resolveOffsets = false }) {
      if (!groupId) throw nonRetriable(`Invalid groupId ${groupId}`)
      if (resolveOffsets) throw new NotSimulatedError(GROUPS, 'admin.fetchOffsets with resolveOffsets')
      const group = broker.groups.named(groupId)
      return (topics ?? [...group.topics()]).map((topic) => ({
        topic,
        partitions: partitionsOf(topic).map((_, partition) => {
          const committed = group.committed(topic, partition)
          return { partition, offset: `${committed?.offset ?? -1}`, metadata: committed?.metadata ?? null }
        }),
      }))
    },
    events: ADMIN_EVENTS,
    createPartitions: rejecting(TOPICS, 'admin.createPartitions'),
    fetchTopicOffsetsByTimestamp: rejecting(TOPICS, 'admin.fetchTopicOffsetsByTimestamp'),
    deleteTopicRecords: rejecting(TOPICS, 'admin.deleteTopicRecords'),
    describeConfigs: rejecting(TOPICS, 'admin.describeConfigs'),
    alterConfigs: rejecting(TOPICS, 'admin.alterConfigs'),
    setOffsets: rejecting(GROUPS, 'admin.setOffsets'),
    resetOffsets: rejecting(GROUPS, 'admin.resetOffsets'),
    listGroups: rejecting(GROUPS, 'admin.listGroups'),
    deleteGroups: rejecting(GROUPS, 'admin.deleteGroups'),
    describeGroups: rejecting(GROUPS, 'admin.describeGroups'),
    describeCluster: rejecting(CLUSTER, 'admin.describeCluster'),
    describeAcls: rejecting(CLUSTER, 'admin.describeAcls'),
    deleteAcls: rejecting(CLUSTER, 'admin.deleteAcls'),
    createAcls: rejecting(CLUSTER, 'admin.createAcls'),
    alterPartitionReassignments: rejecting(CLUSTER, 'admin.alterPartitionReassignments'),
    listPartitionReassignments: rejecting(CLUSTER, 'admin.listPartitionReassignments'),
    on: throwing(EVENTS, 'admin.on'),
    logger: throwing(LOGGER, 'admin.logger'),
  }
}
