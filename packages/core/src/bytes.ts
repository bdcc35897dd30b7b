import { types } from 'node:util'
import { SealbusError } from './errors.ts'

/**
 * A Buffer over the same memory; a Buffer is given back as it is.
 * @throws ERR_SEALBUS_INVALID_OPTION for anything else: Node's own errors quote what they were given
 */
export function asBuffer(bytes: Uint8Array): Buffer {
  if (!types.isUint8Array(bytes)) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'bytes are a Buffer or a Uint8Array')
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
