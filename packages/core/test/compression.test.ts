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
  })
})
