import { describeConformance } from '../conformance/behaviours.ts'
import { kafkaTransport } from '../conformance/kafka-transport.ts'
import { rabbitmqTransport } from '../conformance/rabbitmq-transport.ts'
import { describeWithKafka, describeWithRabbit } from '../support/brokers.ts'

describeWithKafka('Kafka', ({ bootstrap }) => describeConformance(kafkaTransport(bootstrap)))
describeWithRabbit('RabbitMQ', ({ url }) => describeConformance(rabbitmqTransport(url)))
