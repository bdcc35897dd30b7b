import { connect } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { describe } from 'vitest'
import { describeAmqpBehaviours } from '../../packages/testing/test/support/amqp-behaviours.ts'
import { describeKafkaBehaviours } from '../../packages/testing/test/support/kafka-behaviours.ts'
import { describeConformance } from '../conformance/behaviours.ts'
import { kafkaTransport, memoryKafkaTransport } from '../conformance/kafka-transport.ts'
import { memoryAmqpTransport, rabbitmqTransport } from '../conformance/rabbitmq-transport.ts'
import { describeWithKafka, describeWithRabbit } from '../support/brokers.ts'

describe('in memory', () => {
  describeConformance(memoryKafkaTransport())
  describeConformance(memoryAmqpTransport())
})
describeWithKafka('Kafka', ({ bootstrap }) => {
  describeConformance(kafkaTransport(bootstrap))
  // The unit tests of the brokers in memory run the same behaviours.
  describeKafkaBehaviours('Kafka', () => new Kafka({ brokers: bootstrap, logLevel: logLevel.NOTHING }))
})
describeWithRabbit('RabbitMQ', ({ url }) => {
  describeConformance(rabbitmqTransport(url))
  describeAmqpBehaviours('RabbitMQ', () => connect(url))
})
