import { defineChannels } from '@sealbus/core'
import { confluentClient, describeWrappedClient, kafkajsClient } from '../conformance/kafka-clients.ts'
import { describeWithKafka } from '../support/brokers.ts'
import { useKafka } from '../support/kafka-fixture.ts'

const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders-/] } })

describeWithKafka('Kafka clients', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  describeWrappedClient(kafkajsClient, fixture)
  describeWrappedClient(confluentClient, fixture)
})
