import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { Compression } from './context.ts'
import { malformed } from './malformed.ts'

/** Compression before sealing: `msg.z`. Not JWE's `zip`, which is refused. */
export function compress(kind: Compression, plaintext: Uint8Array): Buffer {
  return kind === 'gzip' ? gzipSync(plaintext) : zstdCompressSync(plaintext)
}

/** @throws ERR_SEALBUS_MALFORMED when it is not that format, or would exceed `maxBytes` */
export function decompress(kind: Compression, bytes: Buffer, maxBytes: number): Buffer {
  const options = { maxOutputLength: maxBytes }
  try {
    return kind === 'gzip' ? gunzipSync(bytes, options) : zstdDecompressSync(bytes, options)
  } catch {
    throw malformed(`its content does not decompress within ${maxBytes} bytes`)
  }
}
