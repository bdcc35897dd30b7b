import type { DemoBroker, ReaderName, Tampering } from './brokers/broker.ts'
import type { KeyEndpoint } from './key-endpoint.ts'
import type { OrdersService } from './orders-service.ts'
import { waitUntil } from './patience.ts'
import type { ReadingService } from './reading-service.ts'
import type { Screen } from '../screen.ts'

/** Who takes part, and where. */
export interface Stage {
  readonly screen: Screen
  readonly broker: DemoBroker
  readonly endpoint: KeyEndpoint
  readonly orders: OrdersService
  readonly readers: Readonly<Record<ReaderName, ReadingService>>
  /** Aborted when the user has seen enough. */
  readonly signal: AbortSignal
}

/** What only the steps themselves can know. */
export interface Measured {
  /** By `performance.now()`. */
  readonly began: number
  readonly tampering: Tampering
  readonly rush: { readonly orders: number; readonly seconds: number }
}

/** Waits until billing and shipping have read every order that still is as it was sent. */
export async function untilRead({ orders, readers: { billing, shipping }, signal }: Stage, { replaced }: Tampering): Promise<void> {
  const due = orders.sent.length - (replaced ? 1 : 0)
  await waitUntil(() => billing.read.length >= due && shipping.read.length >= due, { signal })
}
