import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type { Compression } from './context.ts'
import { LIMITS } from './limits.ts'
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
    return kind === 'gzip' ? gunzipSync(bytes, options) : zstdDecompressSync(bytes, { ...options, params: ZSTD_WINDOW })
  } catch {
    throw malformed(`its content does not decompress within ${maxBytes} bytes`)
  }
}

/** A frame may ask for a window of 128 MiB to be set aside, whatever its length; for the largest payload 2^24 bytes are enough. */
const ZSTD_WINDOW = { [constants.ZSTD_d_windowLogMax]: LIMITS.zstdWindowLog }
