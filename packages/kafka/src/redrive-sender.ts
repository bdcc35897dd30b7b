import type { Delivery, ParkedCopy, ParkedFacts, RedriveRun } from '@sealbus/core/adapter'
import type { DeliveredRecord, InnerProducer, MessagePayload, OutgoingRecord, TopicRecords } from './client-shape.ts'
import { markOf } from './parked-copy.ts'
import type { ReadableKafka } from './parked-topic.ts'
import { toOpenedRecord, toSendableHeaders } from './record.ts'
import { sizeOf } from './record-size.ts'

/** What a redrive's own handler is given: the shape of kafkajs' `eachMessage`, with the place of the parked copy. */
export interface RedrivenPayload extends MessagePayload {
  /** What the copy's headers said, unauthenticated; `opened(message)` has what the envelope says. */
  readonly parked: ParkedFacts
}

/** The group's own `eachMessage` will do. */
export type RedriveHandler = (payload: never) => unknown

export interface SenderOptions {
  /** The parking topic, where what was redriven is marked. */
  readonly from: string
  readonly by: string
  readonly to: string | RedriveHandler
  readonly transactions: boolean
}

/** Carries messages to where they go, and marks them in the parking topic. Tells the run what came of each. */
export interface RedriveSender {
  connect(): Promise<void>
  deliver(place: Omit<MessagePayload, 'message' | 'pause'>, deliveries: readonly DeliveryOf[], run: RedriveRun): Promise<void>
  disconnect(): Promise<void>
}

/** A delivery, and the record that its copy is. */
export interface DeliveryOf {
  readonly delivery: Delivery
  readonly record: DeliveredRecord
}

type Transaction = Pick<InnerProducer, 'send'> & { commit(): Promise<void>; abort(): Promise<void> }
type Producer = Pick<InnerProducer, 'send'> & { connect(): Promise<void>; disconnect(): Promise<void>; transaction(): Promise<Transaction> }

export function createSender(kafka: ReadableKafka, { from, by, to, transactions }: SenderOptions): RedriveSender {
  const transactional = transactions && typeof to === 'string'
  const inTransactions = { transactionalId: `sealbus-redrive.${from}.${by}`, idempotent: true, maxInFlightRequests: 1 }
  const producer = kafka.producer((transactional ? inTransactions : {}) as never) as unknown as Producer
  const marks = (partition: number, deliveries: readonly DeliveryOf[]): OutgoingRecord[] => deliveries.map(({ delivery }) => ({ ...markOf(delivery.copy), partition }))

  const sendTo = async (topic: string, partition: number, deliveries: readonly DeliveryOf[]): Promise<void> => {
    const transaction = transactional ? await producer.transaction() : undefined
    const send = (records: TopicRecords): Promise<unknown> => (transaction ?? producer).send({ ...records, acks: -1 } as never)
    try {
      // What is marked must have arrived. One partition in each call: parts for others may be lost or doubled by kafkajs.
      for (const messages of byPartition(deliveries)) await send({ topic, messages })
      await send({ topic: from, messages: marks(partition, deliveries) })
      await transaction?.commit()
    } catch (error) {
      await transaction?.abort().catch(() => {})
      throw error
    }
  }

  /**
   * Ends what a run that was killed has left open, and waits for what is committed to be readable, which the broker sees to
   * after it has answered: this run would not see the marks of the one before, and deliver its messages again.
   */
  const settleTransactions = async (): Promise<void> => {
    if (!transactions) return
    const sameId = kafka.producer(inTransactions as never) as unknown as Producer
    try {
      await sameId.connect()
      const transaction = await sameId.transaction()
      await transaction.abort()
    } finally {
      await sameId.disconnect()
    }
  }

  return {
    async connect(): Promise<void> {
      await settleTransactions()
      await producer.connect()
    },
    async deliver(place, deliveries, run): Promise<void> {
      if (typeof to === 'string') {
        await sendTo(to, place.partition, deliveries)
        for (const { delivery } of deliveries) run.delivered(delivery)
        return
      }
      for (const each of deliveries) {
        try {
          await (to as (payload: RedrivenPayload) => unknown)({ ...place, ...payloadOf(each) })
        } catch (error) {
          run.failed(each.delivery, error)
          continue
        }
        await producer.send({ topic: from, messages: marks(place.partition, [each]), acks: -1 } as never)
        run.delivered(each.delivery)
      }
    },
    async disconnect(): Promise<void> {
      await producer.disconnect()
      if (transactional) await settleTransactions()
    },
  }
}

/** Half of what a topic takes by default in one batch, which is what kafkajs makes of a call's messages for one partition. */
const CALL_BYTES = 500_000

/** Messages of one key are for one partition, whatever the partitioner; of those without one, nobody knows. */
function byPartition(deliveries: readonly DeliveryOf[]): readonly (readonly OutgoingRecord[])[] {
  const byKey = Map.groupBy(deliveries, ({ delivery: { copy } }, index) => copy.key?.toString('base64') ?? index)
  return Array.from(byKey.values()).flatMap((each) => inCalls(each.map(({ delivery }) => toOriginal(delivery.copy))))
}

/** In their order, each call within `CALL_BYTES`, or of one message: the copies may have been compressed, or come one by one. */
function inCalls(messages: readonly OutgoingRecord[]): readonly (readonly OutgoingRecord[])[] {
  const calls: OutgoingRecord[][] = []
  let bytes = CALL_BYTES
  for (const message of messages) {
    const size = sizeOf(message)
    bytes += size
    if (bytes > CALL_BYTES) {
      calls.push([])
      bytes = size
    }
    calls.at(-1)?.push(message)
  }
  return calls
}

/** The message as it was before it was parked. */
function toOriginal({ key, bytes, headers }: ParkedCopy): OutgoingRecord {
  return { key: key ?? null, value: bytes, headers: toSendableHeaders(headers) }
}

function payloadOf({ delivery: { copy, opened }, record }: DeliveryOf): Pick<RedrivenPayload, 'message' | 'parked' | 'pause'> {
  const { id, code, by, origin, time } = copy
  const original: DeliveredRecord = { ...record, headers: copy.headers }
  // There is nothing to pause: the run goes on when the handler is done.
  return { message: opened ? toOpenedRecord(original, opened) : original, parked: { id, code, by, origin, time }, pause: () => () => {} }
}
