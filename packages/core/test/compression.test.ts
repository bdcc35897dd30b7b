import { randomBytes } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { compress, decompress } from '../src/compression.ts'
import { codeOf } from './support/thrown.ts'

const LIMIT = 16 * 1024 * 1024

describe.each([['gzip', gzipSync], ['zstd', zstdCompressSync]] as const)('%s', (kind, compressAnything) => {
  it('goes both ways', () => {
    const text = 'abc'.repeat(10_000)
    expect(decompress(kind, compress(kind, Buffer.from(text)) ?? expect.fail('not compressed'), LIMIT).toString()).toBe(text)
  })

  it('gives nothing where that would not be shorter', () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('x'), randomBytes(100_000)]) expect(compress(kind, bytes)).toBeUndefined()
  })

  it('stops at the payload limit', () => {
    expect(decompress(kind, compressAnything(Buffer.alloc(LIMIT)), LIMIT).length).toBe(LIMIT)
    expect(codeOf(() => decompress(kind, compressAnything(Buffer.alloc(LIMIT + 1)), LIMIT))).toBe('ERR_SEALBUS_MALFORMED')
  })

  it('refuses other bytes, and quotes nothing of them', () => {
    expect(codeOf(() => decompress(kind, Buffer.from('not compressed'), LIMIT))).toBe('ERR_SEALBUS_MALFORMED')
    expect(() => decompress(kind, Buffer.from('not compressed'), LIMIT)).toThrow(/its content does not decompress within 16777216 bytes$/)
  })
})

describe('zstd', () => {
  /** RFC 8878 §3.1.1: no content size, so that the window stands in its own byte; one raw block. */
  const frame = (windowLog: number, content: string): Buffer =>
    Buffer.concat([Buffer.from('28b52ffd00', 'hex'), Buffer.of((windowLog - 10) << 3), Buffer.of((content.length << 3) | 1, 0, 0), Buffer.from(content)])

  it('sets aside no more memory than the largest payload takes', () => {
    expect(decompress('zstd', frame(24, 'abc'), LIMIT).toString()).toBe('abc')
    for (const windowLog of [25, 27, 31]) expect(codeOf(() => decompress('zstd', frame(windowLog, 'abc'), LIMIT))).toBe('ERR_SEALBUS_MALFORMED')
  })
})
