import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import { callOut, checkNames, PARK_HEADERS } from '@sealbus/core/adapter'
import type { DeliveredRecord, InnerProducer, Place, ProducerLike, TopicRecords } from './client-shape.ts'
import { isWrapped } from './delegation.ts'
import { toSendableHeaders } from './record.ts'

/** Where messages go that cannot be opened. */
export interface ParkingPlace {
  /** Not one that the consumer subscribes to: what it parked would come back, and stop it. */
  readonly topic: string
  /** A connected producer of the client itself, not wrapped: copies go out byte for byte. */
  readonly producer: ProducerLike
}

/** A message that was parked: its copy is acknowledged by all in-sync replicas. */
export interface ParkedMessage extends Place {
  readonly offset: string
  /** Why it did not open. */
  readonly code: SealbusErrorCode
  /** Of the copy, in its `sealbus-park-id` header: the same for the same message, however often it is parked. */
  readonly id: string
}

export interface Parking {
  readonly topic: string
  /**
   * Settles when the copy is acknowledged. A message whose place has not moved past it (its batch is tried again, or
   * its copy was slow) is not copied a second time: the first copy's promise is returned. So is that of a copy that the
   * broker will never take (`isTooLarge`); one that failed otherwise is made anew.
   */
  park(place: Place, record: DeliveredRecord, code: SealbusErrorCode): Promise<ParkedMessage>
  /** The place moved past this offset, or, without one, to elsewhere: a message delivered again is another delivery. */
  forget(place: Place, offset?: string): void
  forgetAll(): void
}

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkParkingPlace(place: ParkingPlace): void {
  checkNames('`park`', { topic: true, producer: true } satisfies Record<keyof ParkingPlace, unknown>, place)
  const { topic, producer } = place
  if (typeof topic !== 'string' || topic === '') throw invalid('`park.topic` is the name of a topic')
  if (typeof producer?.send !== 'function') throw invalid('`park.producer` is a producer')
  if (isWrapped(producer)) throw invalid('`park.producer` is a producer of the client itself, not a wrapped one')
}

export function createParking({ topic: parkingTopic, producer }: ParkingPlace, groupId: string, onParked?: (message: ParkedMessage) => void): Parking {
  const inner = producer as unknown as InnerProducer
  /** Copies that were asked for, by partition and offset: at most a batch's worth, because a place that moves on forgets them. */
  const copies = new Map<string, Map<string, Promise<ParkedMessage>>>()

  const send = async ({ topic, partition }: Place, { key, value, headers, offset }: DeliveredRecord, code: SealbusErrorCode): Promise<ParkedMessage> => {
    const id = `${groupId}/${topic}/${partition}/${offset}`
    const copy = {
      key,
      value,
      headers: {
        ...toSendableHeaders(headers),
        [PARK_HEADERS.id]: id,
        [PARK_HEADERS.code]: code,
        [PARK_HEADERS.by]: groupId,
        [PARK_HEADERS.origin]: `${topic}/${partition}/${offset}`,
        [PARK_HEADERS.time]: new Date().toISOString(),
      },
    }
    // Where the client takes no `acks` per call, its own default is all in-sync replicas too.
    const records: TopicRecords = { topic: parkingTopic, messages: [copy], ...(inner.events !== undefined && { acks: -1 }) }
    await inner.send(records)
    const parked = { topic, partition, offset, code, id }
    callOut(() => onParked?.(parked))
    return parked
  }

  return {
    topic: parkingTopic,
    park(place, record, code): Promise<ParkedMessage> {
      const ofPlace = copies.get(keyOf(place)) ?? new Map<string, Promise<ParkedMessage>>()
      copies.set(keyOf(place), ofPlace)
      const known = ofPlace.get(record.offset)
      if (known) return known
      const copy = send(place, record, code)
      ofPlace.set(record.offset, copy)
      copy.catch((error: unknown) => {
        if (!isTooLarge(error) && ofPlace.get(record.offset) === copy) ofPlace.delete(record.offset)
      })
      return copy
    },
    forget(place, offset): void {
      const ofPlace = copies.get(keyOf(place))
      if (!ofPlace) return
      if (offset !== undefined) for (const each of ofPlace.keys()) if (BigInt(each) <= BigInt(offset)) ofPlace.delete(each)
      if (offset === undefined || ofPlace.size === 0) copies.delete(keyOf(place))
    },
    forgetAll: () => copies.clear(),
  }
}

/** The broker's answers to a record, or a list of them, that is too large: numbers of Kafka's protocol. */
const TOO_LARGE: readonly unknown[] = [10, 18]

/** Whether no further try can help, until the parking topic takes more. kafkajs wraps the broker's answer once or twice. */
export function isTooLarge(error: unknown): boolean {
  for (let depth = 0, each = error; depth < 5 && typeof each === 'object' && each !== null; depth++, each = Reflect.get(each, 'cause')) {
    if (TOO_LARGE.includes(Reflect.get(each, 'code'))) return true
  }
  return false
}

const keyOf = ({ topic, partition }: Place): string => `${topic}/${partition}`
const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
