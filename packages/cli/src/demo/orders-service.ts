import { type Channels, createJwksDirectory, createSealer } from '@sealbus/core'
import type { DemoBroker, OutgoingOrder } from './brokers/broker.ts'
import { createOrder, type Order } from './order.ts'

/** One order as it left the application, before sealing. */
export interface SentOrder extends OutgoingOrder {
  readonly order: Order
}

/** The service that seals: it knows where others publish their public keys, and has no private key. */
export interface OrdersService {
  readonly sent: readonly SentOrder[]
  /** Fetches the recipients' keys, so that it fails here and not at its first order. */
  start(): Promise<void>
  send(count: number): Promise<void>
  /** The key that the next order for this recipient is sealed for. */
  keyFor(recipient: string): string | undefined
  /** Asks the recipient's endpoint now, as an operator would; at most once in 5 s. */
  refreshKeys(recipient: string): Promise<void>
  close(): void
}

/** Orders given to the client in one call. */
const BATCH = 100

export function createOrdersService({ channels, broker, urls }: { channels: Channels; broker: DemoBroker; urls: Readonly<Record<string, string>> }): OrdersService {
  const directory = createJwksDirectory({ recipients: urls, allowInsecureLoopback: true })
  const sealer = createSealer({ directory, channels })
  const sent: SentOrder[] = []
  let sending: Promise<(orders: readonly OutgoingOrder[]) => Promise<void>> | undefined
  return {
    sent,
    start: () => sealer.ready(),
    async send(count) {
      sending ??= broker.sender(sealer)
      const send = await sending
      for (const end = sent.length + count; sent.length < end; ) {
        const batch = Array.from({ length: Math.min(BATCH, end - sent.length) }, (_, index): SentOrder => {
          const order = createOrder(sent.length + index)
          return { order, reference: order.order, payload: JSON.stringify(order) }
        })
        await send(batch)
        sent.push(...batch)
      }
    },
    keyFor: (recipient) => directory.peek(recipient)?.kid,
    refreshKeys: (recipient) => directory.refresh(recipient),
    close(): void {
      sealer.close()
      directory.close()
    },
  }
}
