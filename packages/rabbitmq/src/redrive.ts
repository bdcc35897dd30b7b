import { SealbusError } from '@sealbus/core'
import { copyDigest, createRedriveRun, type ParkedFacts, type RedriveOptions as CommonOptions, type RedriveResult } from '@sealbus/core/adapter'
import type { AmqpMessage } from './client-shape.ts'
import { copiedProperties } from './copied-properties.ts'
import { toParkedCopy } from './parked-copy.ts'
import { type ReadableConnection, readQueue } from './parked-queue.ts'
import { toOpenedMessage } from './properties.ts'

/** Given each message opened, and what its headers said, unauthenticated. It does not acknowledge: that is done when it has returned. */
export type RedriveHandler = (message: never, parked: ParkedFacts) => unknown

/** What to redrive, and where to: `to` is a queue, a function that handles each message, or by default the queue that parked (`by`). The options are the same for every broker. */
export interface RedriveOptions extends CommonOptions<RedriveHandler> {}

/**
 * Redrives what a queue has parked; by default a dry run. `connection` is one of amqplib's promise API, not a wrapped
 * one; the channel that is made of it is closed at the end.
 *
 * A message goes to its queue through the default exchange, and leaves the parking queue when the broker has confirmed
 * it, so that a run that ended early is taken up where it was; one that is killed in between delivers a single message twice. As
 * many messages are looked at as there were when it began: what parks again meanwhile is left to the next run.
 *
 * Rejects with what the client rejects with, and with ERR_SEALBUS_INVALID_OPTION, ERR_SEALBUS_UNDECLARED_CHANNEL or
 * ERR_SEALBUS_AMBIGUOUS_CHANNEL. What was delivered before that has left the parking queue.
 */
export async function redrive(connection: ReadableConnection, options: RedriveOptions): Promise<RedriveResult> {
  const { from, by, to = by, dryRun = true } = options
  if (to === from) throw new SealbusError('ERR_SEALBUS_INVALID_OPTION', 'redrive: `to` is another place than `from`')
  const run = createRedriveRun(options, {
    carriedBy: typeof to === 'string' ? to : by,
    // Envelopes that are equal are one message, because each has an IV of its own. Plain bytes may be equal, and two messages.
    identify: (copy, parts) => parts && copyDigest(copy),
  })
  let total = 0
  await readQueue(connection, {
    queue: from,
    to: dryRun || typeof to !== 'string' ? undefined : to,
    onTotal: (count) => void (total = count),
    enough: () => run.over !== undefined,
    async show(message, publish) {
      const verdict = await run.judge(toParkedCopy(message))
      if (verdict.action === 'deliver') {
        const original = toOriginal(message, verdict.copy.headers)
        if (typeof to === 'string') {
          await publish(to, original.content, copiedProperties(original).options)
        } else {
          const { id, code, origin, time } = verdict.copy
          try {
            await to((verdict.opened ? toOpenedMessage(original, verdict.opened) : original) as never, { id, code, by, origin, time })
          } catch (error) {
            run.failed(verdict, error)
            run.progress(total)
            return 'leave'
          }
        }
        run.delivered(verdict)
      }
      run.progress(total)
      return verdict.action === 'leave' ? 'leave' : 'ack'
    },
  })
  return run.result()
}

/** The message as it was before it was parked. */
function toOriginal(message: AmqpMessage, headers: Readonly<Record<string, unknown>>): AmqpMessage {
  return { ...message, properties: { ...message.properties, headers } }
}
