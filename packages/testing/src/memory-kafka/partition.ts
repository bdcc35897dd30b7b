import { copyContents, type RecordContents, sizeOf, type StoredRecord } from './record.ts'

/** The log of one partition. What goes in and what comes out are copies. */
export interface Partition {
  /** The offset that the next record gets. */
  readonly high: number
  append(contents: RecordContents): void
  /** The records from an offset on: as many as fit, and at least one where there is one. */
  read(from: number, maxBytes?: number): readonly StoredRecord[]
  /** Asks about every record, and puts what is answered in its place. */
  rewrite(change: (record: StoredRecord) => RecordContents): void
}

export function createPartition(topic: string, partition: number): Partition {
  let log: RecordContents[] = []
  const stored = (contents: RecordContents, offset: number): StoredRecord => ({ topic, partition, offset: `${offset}`, ...copyContents(contents) })
  return {
    get high(): number {
      return log.length
    },
    append(contents): void {
      log.push(copyContents(contents))
    },
    read(from, maxBytes = Infinity): readonly StoredRecord[] {
      let end = from
      for (let size = 0; end < log.length; end++) {
        const contents = log[end]
        if (contents) size += sizeOf(contents)
        if (size > maxBytes && end > from) break
      }
      return log.slice(from, end).map((contents, index) => stored(contents, from + index))
    },
    rewrite(change): void {
      log = log.map((contents, offset) => copyContents(change(stored(contents, offset))))
    },
  }
}
