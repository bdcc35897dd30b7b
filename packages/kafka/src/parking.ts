import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import type { DeliveredRecord, InnerProducer, Place, ProducerLike } from './client-shape.ts'
import { isWrapped } from './delegation.ts'

/** Where messages go that cannot be opened. */
export interface ParkingPlace {
  readonly topic: string
  /** A connected producer of the client itself, not wrapped: copies go out byte for byte. */
  readonly producer: ProducerLike
}

/** A message that was parked: its copy is acknowledged by all in-sync replicas. */
export interface ParkedMessage extends Place {
  readonly offset: string
  readonly code: SealbusErrorCode
  /** Of the copy, in its `sealbus-park-id` header: the same for the same message, however often it is parked. */
  readonly id: string
}

export interface Parking {
  park(place: Place, record: DeliveredRecord, code: SealbusErrorCode): Promise<ParkedMessage>
}

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function createParking({ topic: parkingTopic, producer }: ParkingPlace, groupId: string): Parking {
  if (typeof parkingTopic !== 'string' || parkingTopic === '') throw invalid('`park.topic` is the name of a topic')
  if (typeof producer?.send !== 'function') throw invalid('`park.producer` is a producer')
  if (isWrapped(producer)) throw invalid('`park.producer` is a producer of the client itself, not a wrapped one')
  const inner = producer as unknown as InnerProducer
  return {
    async park({ topic, partition }, { key, value, headers, offset }, code): Promise<ParkedMessage> {
      const id = `${groupId}/${topic}/${partition}/${offset}`
      const copy = {
        key,
        value,
        headers: {
          ...headers,
          [PARK_HEADERS.id]: id,
          [PARK_HEADERS.code]: code,
          [PARK_HEADERS.by]: groupId,
          [PARK_HEADERS.origin]: `${topic}/${partition}/${offset}`,
          [PARK_HEADERS.time]: new Date().toISOString(),
        },
      }
      await inner.send({ topic: parkingTopic, messages: [copy], acks: -1 } as Parameters<InnerProducer['send']>[0])
      return { topic, partition, offset, code, id }
    },
  }
}

const invalid = (reason: string): SealbusError => new SealbusError('ERR_SEALBUS_INVALID_OPTION', reason)
