import { crc32 } from 'node:zlib'

/** Compressed forms put together by hand, because a compressor's output changes from version to version. */

/** RFC 1952 around one stored block of RFC 1951. */
export function gzipStored(plaintext: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt16LE(plaintext.length)
  length.writeUInt16LE(~plaintext.length & 0xffff, 2)
  return gzip(Buffer.concat([Buffer.of(1), length, plaintext]), crc32(plaintext), plaintext.length)
}

/** One stored block without the gzip around it: what JWE's `zip` takes. */
export function deflateStored(plaintext: Buffer): Buffer {
  return gzipStored(plaintext).subarray(10, -8)
}

/** So many zero bytes, two bits for each 258 of them. */
export function gzipZeros(size: number): Buffer {
  const bits: number[] = []
  const put = (value: number, count: number): void => {
    for (let bit = 0; bit < count; bit++) bits.push((value >> bit) & 1)
  }
  const putCode = (code: string): void => void bits.push(...Array.from(code, Number))
  // One final block with its own codes (RFC 1951 §3.2.7): 286 literal and length codes, 1 distance code, 18 code length codes.
  put(1, 1)
  put(2, 2)
  put(286 - 257, 5)
  put(0, 5)
  put(18 - 4, 4)
  // Code lengths 18, 1 and 2 are used, in the order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1.
  for (const symbol of [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]) put(symbol === 1 ? 1 : symbol === 2 || symbol === 18 ? 2 : 0, 3)
  const one = '0'
  const two = '10'
  const zeros = (count: number): void => {
    putCode('11')
    put(count - 11, 7)
  }
  // Literal 0 and the end take two bits, a length of 258 and the distance 1 take one.
  putCode(two)
  zeros(138)
  zeros(117)
  putCode(two)
  zeros(28)
  putCode(one)
  putCode(one)
  const literal = '10'
  const end = '11'
  const rest = (size - 1) % 258
  for (let each = 0; each < 1 + rest; each++) putCode(literal)
  for (let match = 0; match < (size - 1 - rest) / 258; match++) putCode('00')
  putCode(end)
  const deflated = Buffer.alloc(Math.ceil(bits.length / 8))
  for (const [index, bit] of bits.entries()) deflated[index >> 3] = (deflated[index >> 3] ?? 0) | (bit << (index & 7))
  return gzip(deflated, crc32(Buffer.alloc(size)), size)
}

function gzip(deflated: Buffer, crc: number, size: number): Buffer {
  const end = Buffer.alloc(8)
  end.writeUInt32LE(crc)
  end.writeUInt32LE(size, 4)
  return Buffer.concat([Buffer.from('1f8b08000000000000ff', 'hex'), deflated, end])
}

/** RFC 8878: one raw block, in a frame that tells its size. */
export function zstdRaw(plaintext: Buffer): Buffer {
  return zstd(plaintext.length, [Buffer.concat([blockHeader(plaintext.length, 0, true), plaintext])])
}

const ZSTD_BLOCK = 131_072

/** So many zero bytes, four bytes for each 128 KiB of them. */
export function zstdZeros(size: number): Buffer {
  const blocks: Buffer[] = []
  for (let left = size; left > 0; left -= ZSTD_BLOCK) blocks.push(Buffer.concat([blockHeader(Math.min(left, ZSTD_BLOCK), 1, left <= ZSTD_BLOCK), Buffer.of(0)]))
  return zstd(size, blocks)
}

function zstd(size: number, blocks: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(9)
  header.writeUInt32LE(0xfd2fb528)
  // A single segment, with four bytes of content size.
  header.writeUInt8(0xa0, 4)
  header.writeUInt32LE(size, 5)
  return Buffer.concat([header, ...blocks])
}

function blockHeader(size: number, type: 0 | 1, last: boolean): Buffer {
  const header = Buffer.alloc(3)
  header.writeUIntLE((size << 3) | (type << 1) | Number(last), 0, 3)
  return header
}
