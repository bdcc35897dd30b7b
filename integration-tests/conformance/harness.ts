import type { Opened, Opener, Sealer } from '@sealbus/core'
import type { DispositionOptions } from '@sealbus/core/adapter'

/** What a transport can do; what it cannot is declared here, and not coded around in a behaviour. */
export interface Features {
  /** Records have keys, and a null value is a tombstone. */
  readonly records: boolean
  readonly transactions: boolean
}

export interface Outgoing {
  readonly value: Buffer | null
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly contentType?: string
}

/** A message as a handler was given it, in the same words on every transport. */
export interface Received {
  readonly value: Buffer | null
  readonly key: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly contentType: string | undefined
  readonly opened: Opened | undefined
}

export interface SubscribeOptions {
  readonly opener: Opener
  readonly group: string
  /** Whether unopenable messages are parked; see `parkedCopies`. */
  readonly park: boolean
  readonly dispositions?: DispositionOptions
  readonly onMessage?: (message: Received) => Promise<void>
}

export interface Subscription {
  readonly received: readonly Received[]
  /** Codes of the messages that stopped it. */
  readonly stopped: readonly string[]
  healthy(): boolean
  close(): Promise<void>
}

/** One transport under test. A destination is a topic, or an exchange with a queue for each group. */
export interface Harness {
  /** A fresh destination, kept in order, from which every group gets every message. */
  destination(...groups: readonly string[]): Promise<string>
  /** Resolves when the broker has all of them. */
  publish(sealer: Sealer, destination: string, ...messages: readonly Outgoing[]): Promise<void>
  /** Bytes as they are, past the wrapper. */
  publishRaw(destination: string, value: Buffer, headers?: Readonly<Record<string, string>>): Promise<void>
  /** One message in a transaction, which is then committed or aborted. Only with the feature. */
  publishInTransaction(sealer: Sealer, destination: string, message: Outgoing, end: 'commit' | 'abort'): Promise<void>
  subscribe(destination: string, options: SubscribeOptions): Promise<Subscription>
  /** Messages that the group has not settled yet; to be asked when it has no subscriber. */
  remaining(destination: string, group: string): Promise<number>
  /** What the group's parking place holds now; looking takes nothing away. */
  parkedCopies(destination: string, group: string): Promise<readonly Received[]>
  close(): Promise<void>
}

export interface Transport {
  readonly name: string
  readonly features: Features
  readonly open: () => Promise<Harness>
}
