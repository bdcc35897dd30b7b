import { describeWithLocalRabbit } from '../support/brokers.ts'
import { testLostConnections } from '../support/lost-connections.ts'
import { startRabbitNode } from '../support/rabbitmq-node.ts'

describeWithLocalRabbit('RabbitMQ connections that the broker closes', () => {
  testLostConnections(async () => {
    const node = await startRabbitNode()
    return { url: node.url, lose: () => node.closeConnections(), stop: () => node.stop() }
  })
})
