import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { Compression } from './context.ts'
import { malformed } from './malformed.ts'

/**
 * Compression before sealing: `msg.z`. Not JWE's `zip`, which is refused. Undefined where it makes nothing smaller: what is
 * random grows, and at the largest payload it would pass what an opener takes.
 */
export function compress(kind: Compression, plaintext: Uint8Array): Buffer | undefined {
  const compressed = kind === 'gzip' ? gzipSync(plaintext) : zstdCompressSync(plaintext)
  return compressed.length < plaintext.length ? compressed : undefined
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
