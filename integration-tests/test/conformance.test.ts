import { describe } from 'vitest'
import { describeConformance } from '../conformance/behaviours.ts'
import { kafkaTransport, memoryKafkaTransport } from '../conformance/kafka-transport.ts'
import { memoryAmqpTransport, rabbitmqTransport } from '../conformance/rabbitmq-transport.ts'
import { describeWithKafka, describeWithRabbit } from '../support/brokers.ts'

describe('in memory', () => {
  describeConformance(memoryKafkaTransport())
  describeConformance(memoryAmqpTransport())
})
describeWithKafka('Kafka', ({ bootstrap }) => describeConformance(kafkaTransport(bootstrap)))
describeWithRabbit('RabbitMQ', ({ url }) => describeConformance(rabbitmqTransport(url)))
