import { isSealbusError, type OpenedMessage, type Opener, type OpenOptions } from '@sealbus/core'
import { mayOpenLater } from '@sealbus/core/adapter'
import type { DeliveredRecord, Place } from './client-shape.ts'
import type { Holds } from './holds.ts'
import { LATE, PATIENCE_MS, within } from './patience.ts'
import { contentTypeOf, toOpenedRecord } from './record.ts'
import type { Settler } from './settle.ts'
import type { Turn } from './turn.ts'

/**
 * `message`: for the handler. `passed`: parked or skipped. `halted`: held or stopped, so the partition goes no further.
 * `ended`: the client's turn was over before anything came of it.
 */
export type Opening = { readonly message: DeliveredRecord } | 'passed' | 'halted' | 'ended'

/** Opens one record, or settles it; without a promise where its content key is in memory. */
export type OpenRecord = (place: Place, record: DeliveredRecord, turn: Turn) => Opening | Promise<Opening>

/** While a key source keeps one partition waiting, others do not spend their patience on it one after the other. */
const PATIENCE_WHILE_LATE_MS = 25

export function createOpening(opener: Opener, holds: Holds, settler: Settler): OpenRecord {
  /** Openings under way whose records were put on hold. */
  let late = 0

  const give = (place: Place, record: DeliveredRecord, message: DeliveredRecord): Opening => {
    holds.settled(place, record.offset)
    return { message }
  }

  const settle = async (place: Place, record: DeliveredRecord, error: unknown, turn: Turn): Promise<Opening> => {
    // Stopping, or a place that was moved, is no fault of the message: it is left where it is.
    if (turn.ended()) return 'ended'
    return settler.settle(place, record, error, turn)
  }

  const openLater = async (place: Place, record: DeliveredRecord, value: Buffer, options: OpenOptions, turn: Turn): Promise<Opening> => {
    try {
      const opening = opener.open(value, { ...options, signal: turn.signal })
      const opened = await within(late > 0 ? PATIENCE_WHILE_LATE_MS : PATIENCE_MS, opening)
      if (opened === LATE) {
        if (turn.ended()) return 'ended'
        late++
        const over = (): void => void late--
        opening.then(over, over)
        settler.wait(place, record, opening)
        return 'halted'
      }
      return give(place, record, toOpenedRecord(record, opened))
    } catch (error) {
      return settle(place, record, error, turn)
    }
  }

  return (place, record, turn) => {
    const { value, key, headers } = record
    // A tombstone has nothing to open; it is unauthenticated, and so not marked as opened.
    if (value === null || value === undefined) return give(place, record, record)
    try {
      const channel = opener.channels.at(place.topic)
      const contentType = contentTypeOf(headers)
      const tried = holds.attempt(place, record.offset).attempts > 0
      if (!tried && opener.isPlain(value, { channel: channel.name, ...(contentType !== undefined && { contentType }) })) return give(place, record, record)
      const options = { channel: channel.name, key: key ?? null, headers: headers ?? {} }
      const now = openNow(opener, value, options)
      return now ? give(place, record, toOpenedRecord(record, now)) : openLater(place, record, value, options, turn)
    } catch (error) {
      return settle(place, record, error, turn)
    }
  }
}

/** Undefined when it takes `open()` to know. */
function openNow(opener: Opener, value: Buffer, options: OpenOptions): OpenedMessage | undefined {
  try {
    return opener.openSync(value, options)
  } catch (error) {
    if (isSealbusError(error) && mayOpenLater(error)) return undefined
    throw error
  }
}
