import type { OpenedMessage, Opener } from '@sealbus/core'
import type { DeliveredRecord, Place } from './client-shape.ts'
import type { Holds } from './holds.ts'
import { contentTypeOf, toOpenedRecord } from './record.ts'
import type { Settler } from './settle.ts'

/** `message`: for the handler. `passed`: parked or skipped. `halted`: go no further in this partition. */
export type Opening = { readonly message: DeliveredRecord } | 'passed' | 'halted'

/** Opens one record, or settles it. */
export type OpenRecord = (place: Place, record: DeliveredRecord, signal: AbortSignal) => Promise<Opening>

/** How long a batch may wait for a key source: longer, and the other partitions of the consumer would feel it. */
const PATIENCE_MS = 250

export function createOpening(opener: Opener, holds: Holds, settler: Settler): OpenRecord {
  return async (place, record, signal) => {
    const { value, key, headers } = record
    // A tombstone has nothing to open; it is unauthenticated, and so not marked as opened.
    if (value === null) return { message: record }
    try {
      const channel = opener.channels.at(place.topic)
      const contentType = contentTypeOf(headers)
      const tried = holds.attempt(place, record.offset).attempts > 0
      if (!tried && opener.isPlain(value, { channel: channel.name, ...(contentType !== undefined && { contentType }) })) return { message: record }
      const opening = opener.open(value, { channel: channel.name, key, headers: headers ?? {}, signal })
      const opened = await within(PATIENCE_MS, opening)
      if (opened === LATE) {
        if (!signal.aborted) settler.wait(place, record, opening)
        return 'halted'
      }
      holds.settled(place, record.offset)
      return { message: toOpenedRecord(record, opened) }
    } catch (error) {
      // Stopping is no fault of the message: it is left where it is.
      if (signal.aborted) return 'halted'
      return settler.settle(place, record, error)
    }
  }
}

const LATE = Symbol('late')

async function within(ms: number, opening: Promise<OpenedMessage>): Promise<OpenedMessage | typeof LATE> {
  const { promise: late, resolve } = Promise.withResolvers<typeof LATE>()
  const timer = setTimeout(resolve, ms, LATE)
  try {
    return await Promise.race([opening, late])
  } finally {
    clearTimeout(timer)
    opening.catch(() => {})
  }
}
