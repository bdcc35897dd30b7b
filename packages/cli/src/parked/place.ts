import * as kafkaAdapter from '@sealbus/kafka'
import type { ListedCopy, ListParkedOptions, RedriveOptions, RedriveResult } from '@sealbus/kafka'
import * as rabbitAdapter from '@sealbus/rabbitmq'
import { type Command, Option } from 'commander'
import { openAmqp } from '../amqp-connection.ts'
import { amqpUrlOption, type BrokerOptions, checkAmqpUrl, kafkaBrokersOption } from '../broker-options.ts'
import { EXIT } from '../exit-codes.ts'
import { openKafka } from '../kafka-client.ts'
import { isObject, readJsonFile } from '../module-file.ts'
import { Refusal } from '../refusal.ts'

export interface PlaceOptions extends BrokerOptions {
  readonly topic?: string
  readonly queue?: string
  readonly kafkaConfig?: string
}

export type RedriveRequest = Omit<RedriveOptions, 'from' | 'to'> & { readonly to?: string }

/** A parking topic or a parking queue. */
export interface ParkedPlace {
  readonly name: string
  list(options: Omit<ListParkedOptions, 'from'>): Promise<readonly ListedCopy[]>
  redrive(options: RedriveRequest): Promise<RedriveResult>
  close(): Promise<void>
}

/** The options that name a parking place, and the broker that it is on. */
export function addPlaceOptions(command: Command): Command {
  return command
    .addOption(new Option('--topic <name>', 'the parking topic, on Kafka').conflicts('queue'))
    .addOption(new Option('--queue <name>', 'the parking queue, on RabbitMQ'))
    .addOption(kafkaBrokersOption())
    .option('--kafka-config <file>', 'JSON with more options of kafkajs, such as ssl and sasl')
    .addOption(amqpUrlOption())
}

/** @throws BrokerUnreachableError, Refusal */
export async function openPlace(options: PlaceOptions, command: Command): Promise<ParkedPlace> {
  checkAmqpUrl(options, command)
  const { topic, queue, kafkaBrokers, kafkaConfig, amqpUrl } = options
  if (topic !== undefined) return openTopic(topic, kafkaBrokers, kafkaConfig)
  if (queue !== undefined) return openQueue(queue, amqpUrl)
  return command.error('error: --topic (on Kafka) or --queue (on RabbitMQ) is needed')
}

async function openTopic(from: string, brokers: readonly string[], configFile: string | undefined): Promise<ParkedPlace> {
  const config = configFile === undefined ? {} : await readJsonFile(configFile)
  if (!isObject(config)) throw new Refusal(`${configFile} holds no object`, EXIT.usage)
  const kafka = await openKafka({ brokers, clientId: 'sealbus-parked', config })
  return {
    name: from,
    list: (options) => kafkaAdapter.listParked(kafka, { from, ...options }),
    redrive({ to, ...options }) {
      if (to === undefined) throw new Refusal('--to is needed on Kafka: a topic that no other group reads, such as the retry topic of the group', EXIT.usage)
      return kafkaAdapter.redrive(kafka, { from, to, ...options })
    },
    close: async () => {},
  }
}

async function openQueue(from: string, url: string): Promise<ParkedPlace> {
  const connection = await openAmqp(url)
  return {
    name: from,
    list: (options) => rabbitAdapter.listParked(connection, { from, ...options }),
    redrive({ transactions: _ofKafka, toOrigin: _too, ...options }) {
      return rabbitAdapter.redrive(connection, { from, ...options })
    },
    close: () => connection.close(),
  }
}
