import { checkListParked, copyDigest, type ListedCopy, type ListParkedOptions, type ParkedCopy } from '@sealbus/core/adapter'
import { readMark, toParkedCopy } from './parked-copy.ts'
import { type Passage, type ReadableKafka, readTopic } from './parked-topic.ts'
import { readerGroup } from './redrive.ts'

/**
 * The copies in a parking topic that were not redriven yet, each partition's oldest first. Nothing is opened, written or
 * committed. `kafka` is the client itself, not a wrapped one.
 *
 * Rejects with what the client rejects with, and with ERR_SEALBUS_INVALID_OPTION.
 */
export async function listParked(kafka: ReadableKafka, options: ListParkedOptions): Promise<readonly ListedCopy[]> {
  const { from, signal } = options
  const { limit, wants } = checkListParked(options)
  const marks = new Set<string>()
  const copies: ListedCopy[] = []

  const readMarks = async ({ records }: Passage): Promise<void> => {
    for (const record of records) {
      const mark = readMark(record)
      if (mark) marks.add(`${mark.by} ${mark.digest}`)
    }
  }
  const isMarked = (copy: ParkedCopy): boolean => marks.size > 0 && marks.has(`${copy.by} ${copyDigest(copy)}`)
  const collect = async ({ records }: Passage): Promise<void> => {
    for (const record of records) {
      const copy = toParkedCopy(record)
      if (!copy || copies.length >= limit) continue
      const listed: ListedCopy = { ...copy, redriven: isMarked(copy) }
      if (wants(listed)) copies.push(listed)
    }
  }
  await readTopic(kafka, { topic: from, groupId: readerGroup(), passes: [{ show: readMarks }, { show: collect }], enough: () => copies.length >= limit, signal })
  return copies
}
