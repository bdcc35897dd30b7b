import { randomFillSync } from 'node:crypto'

/** Random bytes drawn in blocks, because one system call per IV costs as much as sealing. Every byte is handed out once. */
export interface RandomSource {
  take(size: number): Buffer
  /** Forgets what was drawn ahead. */
  reset(): void
}

const BLOCK = 8_192

export function createRandomSource(): RandomSource {
  let block = Buffer.alloc(0)
  let used = 0
  return {
    take(size): Buffer {
      if (used + size > block.length) {
        // A new block each time: slices of the old one may still be in use.
        block = randomFillSync(Buffer.allocUnsafeSlow(Math.max(BLOCK, size)))
        used = 0
      }
      const start = used
      used += size
      return block.subarray(start, used)
    },
    reset(): void {
      block = Buffer.alloc(0)
      used = 0
    },
  }
}
