import { describeWithRabbit } from '../support/brokers.ts'
import { startProxy, testLostConnections } from '../support/lost-connections.ts'

// Of the RabbitMQ that the run shares, whichever version it is: nothing but the connections is ended.
describeWithRabbit('RabbitMQ connections that the network cuts', ({ url }) => {
  testLostConnections(async () => {
    const { proxy, url: behind } = await startProxy(url)
    return { url: behind, lose: () => proxy.cutConnections(), stop: () => proxy.close() }
  })
})
