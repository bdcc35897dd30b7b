import type { TestProject } from 'vitest/node'
import { chooseBroker, kafkaProviders, rabbitProviders } from './support/broker-providers.ts'
import { kafkaMissing } from './support/kafka-distribution.ts'
import { rabbitMissing } from './support/rabbitmq-cluster.ts'

/** One Kafka and one RabbitMQ for the whole run. What is missing is said aloud, or fails the run. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const [kafka, rabbit] = await Promise.all([chooseBroker(kafkaProviders), chooseBroker(rabbitProviders)])
  const stop = async (): Promise<void> => {
    await Promise.all([kafka.stop(), rabbit.stop()])
  }

  const missing = Object.entries({ kafka: kafka.offer, rabbitmq: rabbit.offer }).flatMap(([transport, offer]) =>
    offer.available ? [] : [`${transport} suites: ${offer.reason}`],
  )
  // A broker from elsewhere may not be killed, and its files are out of reach: suites that need that start their own.
  for (const [transport, reason] of Object.entries({ kafka: kafkaMissing(), rabbitmq: rabbitMissing() })) {
    if (reason !== undefined) missing.push(`${transport} suites with brokers of their own: ${reason}`)
  }
  if (missing.length > 0 && process.env.SEALBUS_REQUIRE_BROKERS === '1') {
    await stop()
    throw new Error(`SEALBUS_REQUIRE_BROKERS=1, but there is no broker for the\n${missing.join('\n')}`)
  }
  for (const line of missing) console.warn(`SKIPPED ${line}`)

  provide('kafka', kafka.offer)
  provide('rabbit', rabbit.offer)
  return stop
}
