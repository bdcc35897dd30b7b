import type { Opened, Opener, Sealer } from '@sealbus/core'

/** A message as the broker has it, byte for byte. */
export interface StoredMessage {
  /** The order's number, which the broker sees: Kafka's record key, or the AMQP message id. */
  readonly reference: string
  readonly bytes: Buffer
  readonly headers: Readonly<Record<string, string>>
}

export interface OutgoingOrder {
  readonly reference: string
  readonly payload: string
}

/** What one service reads with. */
export interface Subscription {
  readonly service: string
  readonly opener: Opener
  /** What this service does with messages that are not for it. */
  readonly notARecipient: 'park' | 'skip'
  readonly onOrder: (payload: Buffer, facts: Opened | undefined) => void
}

/** One bit of one stored order, changed behind the services' backs. */
export interface Tampering {
  readonly reference: string
  readonly before: Buffer
  readonly after: Buffer
  /** Whether the changed one took the original's place, or stands beside it. */
  readonly replaced: boolean
  /** How it was done, in a sentence. */
  readonly how: string
}

/** All that the story needs of a broker. Every name that it makes there is of this run only. */
export interface DemoBroker {
  readonly title: string
  /** Names that carry orders: topics, or the exchange and its queues. */
  readonly destinations: readonly string[]
  /** Makes the topics or queues. */
  open(): Promise<void>
  /** A sender that seals whatever it is given. */
  sender(sealer: Sealer): Promise<(orders: readonly OutgoingOrder[]) => Promise<void>>
  subscribe(subscription: Subscription): Promise<void>
  /** Everything that the broker has stored of the orders, in its own order. */
  stored(): Promise<readonly StoredMessage[]>
  /** What a service has parked. */
  parked(service: string): Promise<readonly StoredMessage[]>
  /** Changes the oldest stored order. */
  tamper(): Promise<Tampering>
  /** Disconnects, and removes everything that this run made. Safe at any time. */
  close(): Promise<void>
}

/** The header of a parked copy that holds its reason. */
export const PARK_CODE = 'sealbus-park-code'

/** The services that read; audit is not a recipient. */
export const READERS = ['billing', 'shipping', 'audit'] as const
export type ReaderName = (typeof READERS)[number]
