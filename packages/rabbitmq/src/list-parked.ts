import { checkListParked, type ListedCopy, type ListParkedOptions } from '@sealbus/core/adapter'
import { toParkedCopy } from './parked-copy.ts'
import { type ReadableConnection, readQueue } from './parked-queue.ts'

/**
 * The copies in a parking queue, the oldest first. Nothing is opened, and all of them return to the queue. `connection`
 * is amqplib's own, not a wrapped one.
 *
 * Rejects with what the client rejects with, and with ERR_SEALBUS_INVALID_OPTION.
 */
export async function listParked(connection: ReadableConnection, options: ListParkedOptions): Promise<readonly ListedCopy[]> {
  const { from, signal } = options
  const { limit, wants } = checkListParked(options)
  const copies: ListedCopy[] = []
  await readQueue(connection, {
    queue: from,
    enough: () => copies.length >= limit || signal?.aborted === true,
    async show(message) {
      const copy = toParkedCopy(message)
      const listed = copy && { ...copy, redriven: false }
      if (listed && wants(listed)) copies.push(listed)
      return 'leave'
    },
  })
  return copies
}
