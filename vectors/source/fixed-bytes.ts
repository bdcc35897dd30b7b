import { createHash } from 'node:crypto'

/** Bytes that look random and are the same in each run: SHA-256 over a label and a counter. Only for vectors. */
export function fixedBytes(label: string, size: number): Buffer {
  const blocks: Buffer[] = []
  for (let block = 0; block * 32 < size; block++) blocks.push(createHash('sha256').update(`${block} ${label}`).digest())
  return Buffer.concat(blocks).subarray(0, size)
}
