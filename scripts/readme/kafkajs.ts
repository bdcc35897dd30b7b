import { createMemoryKafka } from '@sealbus/testing'
import { Kafka as Client, type KafkaConfig } from 'kafkajs'

/** What the READMEs' code is given as kafkajs: one broker in the process, or the real client with the addresses of a test broker. */
const memory = createMemoryKafka()
const brokers = process.env['SEALBUS_KAFKA_BROKERS']?.split(',')

export const Kafka = function (config: KafkaConfig) {
  return brokers ? new Client({ ...config, brokers }) : memory
}
