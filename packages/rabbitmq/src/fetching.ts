import { type Channel, type Opener, SealbusError } from '@sealbus/core'
import type { Attempt } from '@sealbus/core/adapter'
import type { AmqpMessage } from './client-shape.ts'
import type { DeliveryLedger } from './delivery-ledger.ts'
import { createMessageOpening, type MessageOpening } from './message-opening.ts'
import type { PromisedChannel } from './promised.ts'
import { isCounted } from './resumption.ts'
import type { Settler } from './settle.ts'

export interface FetchOptions {
  readonly target: PromisedChannel
  readonly ledger: DeliveryLedger
  readonly opener: Opener
  readonly channelAt: (queue: string) => Channel
  readonly settlerFor: (queue: string) => Settler
  /** How long a delivery may stay withheld, in milliseconds. */
  readonly releaseAfterMs: number
  /** Aborts when the channel closes. */
  readonly signal: AbortSignal
}

export type Fetch = (queue: string, options?: { readonly noAck?: boolean } | null) => Promise<AmqpMessage | false>

/** What was fetched from a queue and did not open, and stays unacknowledged for the next call. */
interface Kept {
  readonly message: AmqpMessage
  readonly attempt: Attempt
  readonly release: NodeJS.Timeout
}

interface QueueParts {
  readonly opening: MessageOpening
  readonly settler: Settler
  readonly kept: Kept[]
}

const LONGEST_TIMER_MS = 2 ** 31 - 1

/** `get`: the next message that opens. One that would be held or stop a consumer goes back, and its error is thrown. */
export function createFetch({ target, ledger, opener, channelAt, settlerFor, releaseAfterMs, signal }: FetchOptions): Fetch {
  /** By queue, because the budget for holds outlives one call. */
  const byQueue = new Map<string, QueueParts>()
  const partsFor = (queue: string, channel: string): QueueParts => {
    const parts = byQueue.get(queue) ?? { opening: createMessageOpening(opener, channel, queue), settler: settlerFor(queue), kept: [] }
    byQueue.set(queue, parts)
    return parts
  }

  const fetch = (queue: string, given: object | null | undefined): Promise<AmqpMessage | false> =>
    ledger.fetching(async () => {
      // Acknowledged by us once it is open: the broker would forget it before that.
      const fetched = await target.get(queue, { ...given, noAck: false })
      if (fetched) ledger.withhold(fetched)
      return fetched
    })

  const takeKept = (kept: Kept[]): Kept | undefined => {
    for (let each = kept.shift(); each; each = kept.shift()) {
      clearTimeout(each.release)
      if (ledger.withholds(each.message)) return each
    }
    return undefined
  }

  /** Whoever asks again and again would have it returned as often, and a queue that counts that drops it at its limit. */
  const putBack = (message: AmqpMessage, kept: Kept[], { attempts, heldSinceMs }: Attempt): void => {
    if (!isCounted(message)) {
      ledger.requeueWithheld(message)
      return
    }
    const release = (): void => {
      kept.splice(kept.indexOf(entry), 1)
      ledger.requeueWithheld(message)
    }
    const left = Math.max(0, heldSinceMs + releaseAfterMs - Date.now())
    const entry = { message, attempt: { attempts: attempts + 1, heldSinceMs }, release: setTimeout(release, Math.min(left, LONGEST_TIMER_MS)).unref() }
    kept.push(entry)
  }

  return async (queue, given) => {
    const declared = channelAt(queue)
    const noAck = given?.noAck === true
    if (declared.plaintext && noAck) return await target.get(queue, { noAck })
    const { opening, settler, kept } = partsFor(queue, declared.name)
    for (;;) {
      const again = takeKept(kept)
      const message = again?.message ?? (await fetch(queue, given))
      if (!message) return message
      const attempt = again?.attempt ?? { attempts: 0, heldSinceMs: Date.now() }
      // What opens without waiting, or is plain, is found out the first time.
      const opened = (again ? undefined : opening.openNow(message)) ?? (await opening.open(message, signal))
      if (signal.aborted) throw new SealbusError('ERR_SEALBUS_CLOSED', 'the channel was closed while a message was opened')
      if ('view' in opened) {
        if (noAck) ledger.ackWithheld(message)
        else ledger.give(message, opened.view)
        return opened.view
      }
      const settlement = await settler.settle(message, opened.error, attempt)
      if (settlement !== 'settled') {
        putBack(message, kept, attempt)
        throw opened.error
      }
    }
  }
}
