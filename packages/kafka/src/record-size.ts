import type { OutgoingRecord } from './client-shape.ts'

/** What a record costs besides its key, value and headers: an upper bound of the batch's and record's own fields. */
const RECORD_OVERHEAD_BYTES = 128

/** What a record takes on the wire, uncompressed: at least that. */
export function sizeOf({ key, value, headers = {} }: Pick<OutgoingRecord, 'key' | 'value' | 'headers'>): number {
  let size = RECORD_OVERHEAD_BYTES + sizeOfBytes(key) + sizeOfBytes(value)
  for (const name of Object.keys(headers)) size += Buffer.byteLength(name) + sizeOfBytes(headers[name]) + 4
  return size
}

function sizeOfBytes(bytes: unknown): number {
  if (Array.isArray(bytes)) return bytes.reduce<number>((sum, each) => sum + sizeOfBytes(each), 0)
  return typeof bytes === 'string' || Buffer.isBuffer(bytes) ? Buffer.byteLength(bytes) : 0
}
