import { checkNames, one } from './bounds.ts'
import { SealbusError } from './errors.ts'
import type { ParkedCopy } from './parked.ts'

/** Which copies of a parking place to list: the same for every broker. */
export interface ListParkedOptions {
  /** The parking topic or queue. */
  readonly from: string
  /** Only those that this group or queue parked. Default: all. */
  readonly by?: string
  /** Only those with this id. */
  readonly id?: string
  /** The most to list. Default 100; 1 to 10,000. All of them are held in memory. */
  readonly limit?: number
  /** Whether also those that were redriven, where the parking place keeps them. Default false. */
  readonly redriven?: boolean
  /** Ends the listing: what was found by then is returned. */
  readonly signal?: AbortSignal
}

/** A copy, and whether it is done with. */
export interface ListedCopy extends ParkedCopy {
  /** Whether a redrive delivered its message. Always false where a redriven copy leaves the parking place. */
  readonly redriven: boolean
}

const NAMES: Record<keyof ListParkedOptions, true> = { from: true, by: true, id: true, limit: true, redriven: true, signal: true }

/** @throws ERR_SEALBUS_INVALID_OPTION */
export function checkListParked(options: ListParkedOptions): { readonly limit: number; readonly wants: (copy: ListedCopy) => boolean } {
  checkNames('a list of parked copies', NAMES, options)
  const { from, by, id, redriven = false } = options
  if (typeof from !== 'string' || from === '') throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', '`from` is the name of a parking place')
  return {
    limit: one('limit', { default: 100, least: 1, most: 10_000 }, options.limit),
    wants: (copy) => (by === undefined || copy.by === by) && (id === undefined || copy.id === id) && (redriven || !copy.redriven),
  }
}
