import { SealbusError, type Sealer, type SealOptions } from '@sealbus/core'
import { checkKeyWaitMs, checkNames, createKeyWait, type KeyWait, openedEnvelope } from '@sealbus/core/adapter'
import type { InnerProducer, OutgoingRecord, ProducerLike, TopicRecords } from './client-shape.ts'
import { wrap } from './delegation.ts'
import { originals } from './partitioner.ts'
import { checkRecord, toPlainRecord, toSealedRecord, toSealOptions } from './record.ts'
import { sizeOf } from './record-size.ts'

/** What `sealProducer` needs to know, and `sealKafka` for each of its producers. */
export interface SealProducerOptions {
  /** Seals what is sent; its channels say which topics are sealed, and for whom. */
  readonly sealer: Sealer
  /** How long `send` may wait for recipients' keys that are not in memory, in milliseconds. Default 5,000; 0 to 2,147,483,647. */
  readonly keyWaitMs?: number
  /**
   * The largest record that is sent, in bytes: sealed, with key and headers, and before the client's compression. Default
   * 1,048,588, as Kafka's `message.max.bytes`; an integer from 0. It bounds one record, and Kafka's limit holds for a batch:
   * all messages of one call for one partition, after the client's compression. A call with a larger batch passes here, and
   * rejects with the client's own error (MESSAGE_TOO_LARGE).
   */
  readonly maxMessageBytes?: number
}

/** The names of the options, for the check that none is misspelt. */
export const PRODUCER_OPTIONS: Record<keyof SealProducerOptions, true> = { sealer: true, keyWaitMs: true, maxMessageBytes: true }

/**
 * Wraps a producer so that what it sends is sealed, its transactions included. One call of the client's for each of
 * the caller's, made in the same tick where the keys are in memory; a batch is sealed whole, or nothing is sent.
 *
 * `send` and `sendBatch` reject with what `sealer.seal` rejects with, with ERR_SEALBUS_TOO_LARGE, with
 * ERR_SEALBUS_INVALID_OPTION for values and lists that cannot be sealed, and with ERR_SEALBUS_KEYS_NOT_READY when keys
 * do not come within `keyWaitMs`, waits behind earlier sends included, or before the producer is disconnected.
 *
 * @throws ERR_SEALBUS_ALREADY_WRAPPED, ERR_SEALBUS_INVALID_OPTION
 */
export function sealProducer<Producer extends ProducerLike>(producer: Producer, options: SealProducerOptions): Producer {
  checkNames('sealProducer', PRODUCER_OPTIONS, options)
  const { sealer, keyWaitMs, maxMessageBytes = 1_048_588 } = options
  if (!Number.isInteger(maxMessageBytes) || maxMessageBytes < 0) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`maxMessageBytes` is an integer from 0')
  return wrapProducer(producer, { sealer, keys: createKeyWait(sealer, checkKeyWaitMs(keyWaitMs)), maxMessageBytes })
}

interface Sealing {
  readonly sealer: Sealer
  /** By topic: one that waits never delays another. Ended when the producer is disconnected. */
  readonly keys: KeyWait
  readonly maxMessageBytes: number
}

function wrapProducer<Producer extends ProducerLike>(producer: Producer, sealing: Sealing): Producer {
  const target = producer as unknown as InnerProducer
  return wrap(producer, {
    // A client's own complaint about missing arguments is left to the client: there is nothing to seal in them.
    async send(record?: TopicRecords): Promise<unknown> {
      if (!isTopicRecords(record)) return target.send(withoutContents(record, 'messages'))
      return inOrder(sealing, [record], ([sealed]) => target.send({ ...record, ...sealed }))
    },
    async sendBatch(batch?: { readonly topicMessages?: readonly TopicRecords[] }): Promise<unknown> {
      const topics = batch?.topicMessages
      if (!Array.isArray(topics) || !topics.every(isTopicRecords)) return target.sendBatch(withoutContents(batch, 'topicMessages'))
      return inOrder(sealing, topics, (topicMessages) => target.sendBatch({ ...batch, topicMessages }))
    },
    ...(typeof target.disconnect === 'function' && {
      disconnect(): unknown {
        sealing.keys.end()
        return target.disconnect?.()
      },
    }),
    ...(typeof target.transaction === 'function' && {
      async transaction(): Promise<unknown> {
        const transaction = await target.transaction?.()
        // Confluent's client resolves to the producer itself.
        return transaction === target ? wrapProducer(producer, sealing) : wrapProducer(transaction as unknown as ProducerLike, sealing)
      },
    }),
  })
}

/** Seals and sends at once where nothing waits; else behind what waits on the same topics, and never behind others. */
function inOrder(sealing: Sealing, topics: readonly TopicRecords[], send: (sealed: readonly TopicRecords[]) => Promise<unknown>): Promise<unknown> {
  // All that decides where a message goes is read now: the caller may use its objects again while keys are awaited.
  const drafts = topics.map((each) => ({ given: each, topic: each.topic, records: draftRecords(sealing.sealer, each) }))
  const names = [...new Set(drafts.map(({ topic }) => topic))]
  const messages = drafts.flatMap(({ records }) => records.flatMap(needsKeys))
  return sealing.keys.inOrder(names, messages, () => send(drafts.map(({ given, topic, records }) => ({ ...given, topic, messages: records.map((draft) => sealRecord(sealing, topic, draft)) }))))
}

/** A record on its way out, read once: what is checked is what is sealed. */
interface Draft {
  readonly original: OutgoingRecord
  /** As it would go out plain. */
  readonly plain: OutgoingRecord
  /** Undefined where there is nothing to seal. */
  readonly facts?: SealOptions
}

/** The records of a topic, checked. */
function draftRecords(sealer: Sealer, { topic, messages }: TopicRecords): readonly Draft[] {
  const channel = sealer.channels.at(topic)
  for (const [index, message] of messages.entries()) checkRecord(message, topic, index)
  if (channel.plaintext) {
    sealer.countPlain(channel.name, messages.length)
    return messages.map((original) => ({ original, plain: toPlainRecord(original) }))
  }
  if (channel.bindHeaders.some((name) => name.toLowerCase() === 'content-type')) {
    throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', `channel ${JSON.stringify(channel.name)} binds the content type, which moves inside the envelope: it is authenticated there`)
  }
  return messages.map((original) => {
    const plain = toPlainRecord(original)
    // A tombstone has nothing to seal, and must stay one for compaction.
    return plain.value === null ? { original, plain } : { original, plain, facts: toSealOptions(channel.name, plain) }
  })
}

/** An opened message's envelope passes as it is. */
const needsKeys = ({ plain, facts }: Draft): readonly SealOptions[] => (facts && openedEnvelope(plain.value) === undefined ? [facts] : [])

function sealRecord({ sealer, maxMessageBytes }: Sealing, topic: string, { original, plain, facts }: Draft): OutgoingRecord {
  if (!facts || plain.value === null) return plain
  const sealed = toSealedRecord(plain, sealer.sealSync(plain.value, facts))
  const size = sizeOf(sealed)
  if (size > maxMessageBytes) {
    throw new SealbusError('ERR_SEALBUS_TOO_LARGE', `a message for topic ${JSON.stringify(topic)} has ${size} bytes sealed (${sizeOf(plain)} before), and the broker takes ${maxMessageBytes}`)
  }
  originals.set(sealed, original)
  return sealed
}

function isTopicRecords(value: unknown): value is TopicRecords {
  return isObject(value) && 'topic' in value && typeof value.topic === 'string' && 'messages' in value && Array.isArray(value.messages)
}

/**
 * For the client's own complaint about malformed arguments, with nothing in them that could go out plain. A list that
 * is no array gets ours: kafkajs takes whatever has the methods of one, and would send its messages as they are.
 */
function withoutContents(given: unknown, member: 'messages' | 'topicMessages'): never {
  if (typeof given !== 'object' || given === null) return given as never
  const list: unknown = Reflect.get(given, member)
  if (list === undefined || list === null) return { ...given, [member]: list } as never
  const arrays = Array.isArray(list) && (member === 'messages' || list.every((each: unknown) => !isObject(each) || !('messages' in each) || !each.messages || Array.isArray(each.messages)))
  if (!arrays) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`messages` and `topicMessages` are arrays')
  return { ...given, [member]: list.map(() => ({})) } as never
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
