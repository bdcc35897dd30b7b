import { types } from 'node:util'

/** Bytes and text are taken as they are; anything else becomes JSON. */
export type Payload = Uint8Array | string | object

export interface EncodedPayload {
  readonly bytes: Buffer
  /** `application/json` for JSON; none for bytes and text. */
  readonly contentType: string | undefined
}

export function encodePayload(payload: Payload): EncodedPayload {
  if (typeof payload === 'string') return { bytes: Buffer.from(payload), contentType: undefined }
  if (types.isUint8Array(payload)) return { bytes: Buffer.from(payload), contentType: undefined }
  return { bytes: Buffer.from(JSON.stringify(payload)), contentType: 'application/json' }
}
