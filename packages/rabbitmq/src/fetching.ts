import { type Channel, type Opener, SealbusError } from '@sealbus/core'
import type { AmqpMessage } from './client-shape.ts'
import type { DeliveryLedger } from './delivery-ledger.ts'
import { createMessageOpening, type MessageOpening } from './message-opening.ts'
import type { PromisedChannel } from './promised.ts'
import type { Settler } from './settle.ts'

export interface FetchOptions {
  readonly target: PromisedChannel
  readonly ledger: DeliveryLedger
  readonly opener: Opener
  readonly channelAt: (queue: string) => Channel
  readonly settlerFor: (queue: string) => Settler
  /** Aborts when the channel closes. */
  readonly signal: AbortSignal
}

export type Fetch = (queue: string, options?: { readonly noAck?: boolean } | null) => Promise<AmqpMessage | false>

/** `get`: the next message that opens. One that would be held or stop a consumer goes back, and its error is thrown. */
export function createFetch({ target, ledger, opener, channelAt, settlerFor, signal }: FetchOptions): Fetch {
  /** By queue, because the budget for holds outlives one call. */
  const byQueue = new Map<string, { opening: MessageOpening; settler: Settler }>()
  const partsFor = (queue: string, channel: string): { opening: MessageOpening; settler: Settler } => {
    const parts = byQueue.get(queue) ?? { opening: createMessageOpening(opener, channel, queue), settler: settlerFor(queue) }
    byQueue.set(queue, parts)
    return parts
  }

  return async (queue, given) => {
    const declared = channelAt(queue)
    const noAck = given?.noAck === true
    if (declared.plaintext && noAck) return await target.get(queue, { noAck })
    const { opening, settler } = partsFor(queue, declared.name)
    for (;;) {
      // Acknowledged by us once it is open: the broker would forget it before that.
      const message = await ledger.fetching(async () => {
        const fetched = await target.get(queue, { ...given, noAck: false })
        if (fetched) ledger.withhold(fetched)
        return fetched
      })
      if (!message) return message
      const opened = opening.openNow(message) ?? (await opening.open(message, signal))
      if (signal.aborted) throw new SealbusError('ERR_SEALBUS_CLOSED', 'the channel was closed while a message was opened')
      if ('view' in opened) {
        if (noAck) ledger.ackWithheld(message)
        else ledger.give(message, opened.view)
        return opened.view
      }
      const settlement = await settler.settle(message, opened.error, { attempts: 0, heldSinceMs: Date.now() })
      if (settlement !== 'settled') {
        ledger.requeueWithheld(message)
        throw opened.error
      }
    }
  }
}
