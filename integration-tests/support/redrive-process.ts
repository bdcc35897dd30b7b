/**
 * A redrive as a process of its own, that is killed at a moment of the test's choice: it is told everything in one JSON
 * argument, and writes the id of each message that its handler was given, one a line.
 */
import { writeSync } from 'node:fs'
import { createOpener, defineChannels, loadIdentities, opened } from '@sealbus/core'
import * as kafkaAdapter from '@sealbus/kafka'
import * as rabbitAdapter from '@sealbus/rabbitmq'
import { connect, type ConfirmChannel, type Message } from 'amqplib'
import type { JWK } from 'jose'
import { Kafka, type Producer, type ProducerConfig, type ProducerRecord, logLevel } from 'kafkajs'
import './kafkajs-noise.ts'

export interface RedriveAssignment {
  readonly broker: { readonly kind: 'kafka'; readonly bootstrap: readonly string[]; readonly transactions: boolean } | { readonly kind: 'rabbitmq'; readonly url: string }
  readonly from: string
  readonly by: string
  /** A topic or queue. Undefined: the handler. */
  readonly to: string | undefined
  readonly key: JWK
  /**
   * Killed when so many steps are done, right before the next one: `note` is what says that a message was redriven (a mark
   * in the parking topic, a commit, an acknowledgement), `handle` the end of a handler.
   */
  readonly killed: { readonly before: 'note' | 'handle'; readonly steps: number }
}

const { broker, from, by, to, key, killed } = JSON.parse(process.argv[2] ?? '{}') as RedriveAssignment
const opener = createOpener({ name: 'billing', identities: await loadIdentities({ keys: [key] }), channels: defineChannels({ orders: { to: ['billing'], match: [/^orders/, /^billing/] } }) })
const options = { from, by, opener, channel: 'orders', dryRun: false } as const

let steps = 0
const step = (what: typeof killed.before): void => {
  if (what === killed.before && steps++ === killed.steps) process.kill(process.pid, 'SIGKILL')
}
const handle = (id: string | undefined): void => {
  writeSync(1, `${id}\n`)
  step('handle')
}

if (broker.kind === 'kafka') {
  const kafka = new Kafka({ brokers: [...broker.bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 100 } })
  const eachMessage = async ({ message }: kafkaAdapter.RedrivenPayload): Promise<void> => handle(opened(message)?.id)
  await kafkaAdapter.redrive(watched(kafka), { ...options, to: to ?? eachMessage, transactions: broker.transactions })
} else {
  const connection = await connect(broker.url)
  const createConfirmChannel = connection.createConfirmChannel.bind(connection)
  connection.createConfirmChannel = async (): Promise<ConfirmChannel> => {
    const channel = await createConfirmChannel()
    const ack = channel.ack.bind(channel)
    channel.ack = (message) => {
      step('note')
      ack(message)
    }
    return channel
  }
  await rabbitAdapter.redrive(connection, { ...options, to: to ?? ((message: Message) => handle(opened(message)?.id)) })
  await connection.close()
}
process.stdout.write('done\n')

/** The client, with an eye on what notes that messages were redriven. */
function watched(kafka: Kafka): Kafka {
  const producer = (config?: ProducerConfig): Producer => {
    const made = kafka.producer(config)
    return {
      ...made,
      send(record: ProducerRecord) {
        if (record.topic === from) step('note')
        return made.send(record)
      },
      async transaction() {
        const transaction = await made.transaction()
        return {
          ...transaction,
          async send(record: ProducerRecord) {
            const sent = await transaction.send(record)
            if (record.topic === from) step('note')
            return sent
          },
        }
      },
    }
  }
  return { producer, consumer: (config) => kafka.consumer(config), admin: (config) => kafka.admin(config), logger: () => kafka.logger() }
}
