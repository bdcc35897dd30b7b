import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { RabbitMQContainer } from '@testcontainers/rabbitmq'
import { Kafka, logLevel } from 'kafkajs'
import { GenericContainer, Wait } from 'testcontainers'
import { freePorts } from './free-ports.ts'

export const KAFKA_IMAGE = 'apache/kafka:4.3.1'
export const RABBITMQ_IMAGE = 'rabbitmq:4-management'

const run = promisify(execFile)
const START_TIMEOUT_MS = 120_000

/** Why there can be no containers here, or undefined when a Docker engine answers. */
export async function dockerMissing(): Promise<string | undefined> {
  try {
    await run('docker', ['info', '--format', '{{.ServerVersion}}'], { timeout: 10_000 })
    return undefined
  } catch {
    return 'no Docker engine answers'
  }
}

export interface KafkaContainer {
  bootstrap: string[]
  stop(): Promise<void>
}

export async function startKafkaContainer(): Promise<KafkaContainer> {
  const [port = 0] = await freePorts(1)
  const container = await new GenericContainer(KAFKA_IMAGE)
    .withExposedPorts({ container: 9092, host: port })
    // As soon as one variable is set, the image's own default file is not used: so all of them.
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_LISTENERS: 'PLAINTEXT://:9092,CONTROLLER://:9093,INTERNAL://:9094',
      // Transactions need the broker to reach itself, and the host's port is none inside the container.
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port},INTERNAL://localhost:9094`,
      KAFKA_INTER_BROKER_LISTENER_NAME: 'INTERNAL',
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT',
      KAFKA_NUM_PARTITIONS: '3',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
    })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .withStartupTimeout(START_TIMEOUT_MS)
    .start()
  const bootstrap = [`127.0.0.1:${port}`]
  await untilMetadata(bootstrap)
  return { bootstrap, stop: async () => void (await container.stop()) }
}

/** The log line comes before the listener answers every request. */
async function untilMetadata(bootstrap: string[]): Promise<void> {
  const admin = new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING, retry: { retries: 20 } }).admin()
  await admin.connect()
  await admin.listTopics()
  await admin.disconnect()
}

export interface RabbitContainer {
  url: string
  stop(): Promise<void>
}

export async function startRabbitContainer(): Promise<RabbitContainer> {
  const container = await new RabbitMQContainer(RABBITMQ_IMAGE).withStartupTimeout(START_TIMEOUT_MS).start()
  return { url: container.getAmqpUrl(), stop: async () => void (await container.stop()) }
}
