import { type ParkedCopy, type ParkedFacts, readParkHeaders, withoutParkHeaders } from '@sealbus/core/adapter'
import type { AmqpMessage } from './client-shape.ts'
import { parkIdOf } from './parking.ts'

type Headers = Readonly<Record<string, unknown>>

/** The code of what came through a queue's dead-letter exchange: the broker tells no other. */
const REJECTED = 'rejected'

/** A message of a parking queue as the copy that it is; undefined for any other message. */
export function toParkedCopy(message: AmqpMessage): ParkedCopy | undefined {
  const { content, properties } = message
  const { contentType, headers = {} } = properties
  const parked = readParkHeaders(headers)
  const facts = parked ?? readDeath(message)
  if (!facts) return undefined
  const original = parked ? withoutParkHeaders(headers) : withoutDeath(headers, facts.by)
  return { ...facts, bytes: content, headers: withoutCounts(original), ...(typeof contentType === 'string' && { contentType }) }
}

/** What a quorum queue counts for itself, and a stream. */
const withoutCounts = ({ 'x-delivery-count': _delivered, 'x-acquired-count': _acquired, 'x-stream-offset': _offset, ...headers }: Headers): Headers => headers

interface Death {
  readonly reason: string
  readonly queue: string
  readonly exchange?: unknown
  readonly 'routing-keys'?: unknown
  readonly time?: unknown
}

/** What the broker noted when a queue's consumer rejected the message; the latest stands first. */
function readDeath(message: AmqpMessage): ParkedFacts | undefined {
  const [death] = deathsOf(message.properties.headers ?? {})
  if (death?.reason !== REJECTED) return undefined
  const { queue, exchange, 'routing-keys': keys, time } = death
  const [key] = Array.isArray(keys) ? keys : []
  const seconds: unknown = typeof time === 'object' && time !== null && 'value' in time ? time.value : undefined
  return {
    id: parkIdOf(message, queue),
    code: REJECTED,
    by: queue,
    origin: typeof exchange === 'string' && typeof key === 'string' ? `${exchange}/${key}` : undefined,
    time: typeof seconds === 'number' ? new Date(seconds * 1_000) : undefined,
  }
}

function deathsOf({ 'x-death': deaths }: Headers): Death[] {
  return Array.isArray(deaths) ? deaths.filter((each: unknown): each is Death => typeof each === 'object' && each !== null && 'reason' in each && 'queue' in each && typeof each.queue === 'string') : []
}

/** The headers without the death that parked the message; earlier ones, of the application's own retries, stay. */
function withoutDeath(headers: Headers, queue: string): Headers {
  const left = deathsOf(headers).filter((each) => each.reason !== REJECTED || each.queue !== queue)
  const names = Object.keys(headers).filter((name) => name !== 'x-death' && (left.length > 0 || !/^x-(first|last)-death-/.test(name)))
  return { ...Object.fromEntries(names.map((name) => [name, headers[name]])), ...(left.length > 0 && { 'x-death': left }) }
}
