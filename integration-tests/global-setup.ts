import type { TestProject } from 'vitest/node'
import { chooseBroker, kafkaProviders, rabbitProviders } from './support/broker-providers.ts'
import { kafkaMissing } from './support/kafka-distribution.ts'
import { rabbitMissing } from './support/rabbitmq-node.ts'

/** One Kafka and one RabbitMQ for the whole run. What is missing is said aloud, or fails the run. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const [kafka, rabbit] = await Promise.all([chooseBroker(kafkaProviders), chooseBroker(rabbitProviders)])
  const stop = async (): Promise<void> => {
    await Promise.all([kafka.stop(), rabbit.stop()])
  }

  const missing = Object.entries({ kafka: kafka.offer, rabbitmq: rabbit.offer }).flatMap(([transport, offer]) =>
    offer.available ? [] : [`${transport} suites: ${offer.reason}`],
  )
  if (missing.length > 0 && process.env.SEALBUS_REQUIRE_BROKERS === '1') {
    await stop()
    throw new Error(`SEALBUS_REQUIRE_BROKERS=1, but there is no broker for the\n${missing.join('\n')}`)
  }
  for (const line of missing) console.warn(`SKIPPED ${line}`)
  // A broker from elsewhere may not be killed: suites that do so need local ones.
  for (const [transport, reason] of Object.entries({ kafka: kafkaMissing(), rabbitmq: rabbitMissing() })) {
    if (reason !== undefined) console.warn(`SKIPPED ${transport} suites with brokers of their own: ${reason}`)
  }

  provide('kafka', kafka.offer)
  provide('rabbit', rabbit.offer)
  return stop
}
