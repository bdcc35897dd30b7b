import { copyDigest, PARK_HEADERS, type ParkedCopy, readParkHeaders, withoutParkHeaders } from '@sealbus/core/adapter'
import type { DeliveredRecord } from './client-shape.ts'
import { contentTypeOf } from './record.ts'

/** A record of a parking topic as the copy that it is; undefined for any other record. */
export function toParkedCopy({ key, value, headers }: DeliveredRecord): ParkedCopy | undefined {
  const facts = readParkHeaders(headers)
  if (!facts || !value) return undefined
  const contentType = contentTypeOf(headers)
  return { ...facts, key: key ?? null, bytes: value, headers: withoutParkHeaders(headers), ...(contentType !== undefined && { contentType }) }
}

/**
 * A topic cannot give a record up, so what was redriven is marked in the topic itself, behind the copies and in their
 * partition. A mark names a copy by its digest, so that no other copy can be taken for it.
 */
const REDRIVEN = 'sealbus-park-redriven'

export interface RedrivenMark {
  readonly by: string
  readonly digest: string
}

export function markOf(copy: ParkedCopy): { key: null; value: Buffer; headers: Record<string, string> } {
  return { key: null, value: Buffer.alloc(0), headers: { [REDRIVEN]: copyDigest(copy), [PARK_HEADERS.by]: copy.by, [PARK_HEADERS.time]: new Date().toISOString() } }
}

/** A copy is no mark, whatever headers its message brought along: who can write to the origin topic must not hide other copies. */
export function readMark({ headers }: DeliveredRecord): RedrivenMark | undefined {
  if (headers && Object.hasOwn(headers, PARK_HEADERS.id)) return undefined
  const [digest, by] = [REDRIVEN, PARK_HEADERS.by].map((name) => (headers && Object.hasOwn(headers, name) ? headers[name] : undefined))
  return Buffer.isBuffer(digest) && Buffer.isBuffer(by) && digest.length === 43 ? { digest: digest.toString('latin1'), by: by.toString() } : undefined
}
