/** The names of the features that are declared as not simulated. */
export type Missing<Features> = { [Name in keyof Features]: Features[Name] extends false ? Name : never }[keyof Features]

const kafkaFeatures = {
  /** Keys choose partitions as kafkajs' default partitioner does; `partition` and `createPartitioner` are honoured. */
  partitions: true,
  /** Null values. Nothing is ever compacted away. */
  tombstones: true,
  /** `allowAutoTopicCreation`, on by default as in kafkajs. */
  autoTopicCreation: true,
  /** Independent groups, one active member each, whose committed offsets outlive the consumer. */
  consumerGroups: true,
  eachMessage: true,
  eachBatch: true,
  partitionsConsumedConcurrently: true,
  /** Automatic, by interval, by threshold, and by hand. */
  commits: true,
  seek: true,
  pause: true,
  /** A handler that throws is called again, and a consumer that gives up starts anew, as in kafkajs. */
  handlerRetries: true,
  /** `consumer.on` and `producer.on`, but for what the network tells. */
  events: true,
  /** Topics, their offsets, and the offsets of groups. */
  admin: true,

  transactions: false,
  /** A second member of a group that has one, and `describeGroup`. */
  rebalancing: false,
  /** `seek` to -1 or -2. */
  specialOffsets: false,
  /** Events of single requests. */
  networkEvents: false,
  /** `configEntries` and `replicaAssignment` of a topic, and changing its partitions, records or configuration. */
  topicConfiguration: false,
  /** Setting, resetting and resolving offsets, and listing, describing and deleting groups. */
  groupAdministration: false,
  /** The cluster, its access control and the placement of its partitions. */
  clusterAdministration: false,
  logger: false,
} as const

/** What `createMemoryKafka` simulates. What is `false` throws `NotSimulatedError` with its name. */
export const MEMORY_KAFKA_FEATURES: typeof kafkaFeatures = Object.freeze(kafkaFeatures)

export type MissingInKafka = Missing<typeof MEMORY_KAFKA_FEATURES>

const amqpFeatures = {
  /** Also `''` and `amq.direct`. */
  directExchanges: true,
  fanoutExchanges: true,
  topicExchanges: true,
  /** Named by the broker, exclusive and auto-deleted ones included. */
  queues: true,
  /** Messages that are returned for want of a queue. */
  mandatory: true,
  /** Callbacks, `waitForConfirms`, and the channel's end. */
  confirms: true,
  carbonCopies: true,
  /** For each consumer, and for a channel. */
  prefetch: true,
  consume: true,
  get: true,
  /** With `allUpTo` and `requeue`; what is requeued goes back to its place, marked as redelivered. */
  acknowledgements: true,
  recover: true,
  /** The broker closes a channel with the code and the words of RabbitMQ. */
  channelErrors: true,

  headersExchanges: false,
  /** `bindExchange` and `unbindExchange`. */
  exchangeBindings: false,
  /** Alternate exchanges, internal ones, and other arguments of an exchange. */
  exchangeArguments: false,
  deadLettering: false,
  /** Of messages and of queues. */
  expiry: false,
  lengthLimits: false,
  /** Of queues and of consumers. */
  priorities: false,
  /** Quorum queues with their delivery limit, and streams. */
  queueTypes: false,
  /** Any other argument of a queue, a binding or a consumer. */
  otherArguments: false,
  /** What closes the whole connection, such as a consumer tag used twice. */
  connectionErrors: false,
  updateSecret: false,
} as const

/** What `createMemoryAmqp` simulates. What is `false` throws `NotSimulatedError` with its name. amqplib has no transactions. */
export const MEMORY_AMQP_FEATURES: typeof amqpFeatures = Object.freeze(amqpFeatures)

export type MissingInAmqp = Missing<typeof MEMORY_AMQP_FEATURES>
