import { randomUUID } from 'node:crypto'
import type { ListedCopy, ListParkedOptions, ParkedFacts, RedriveOptions, RedriveResult } from '@sealbus/core/adapter'

/** A message as it was before it was parked. */
export interface Original {
  readonly bytes: Buffer
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What a parking place is given, or has: headers as they are on the wire. */
export interface Stored {
  readonly bytes: Buffer
  readonly headers: Readonly<Record<string, unknown>>
}

/** A message that a redrive's handler was given. */
export interface Handled {
  readonly text: string
  readonly id: string | undefined
  readonly headers: readonly string[]
  readonly parked: ParkedFacts
}

export interface Features {
  /** Whether copies stay in the parking place when they were redriven. */
  readonly log: boolean
  /** Whether two messages of the same bytes are told apart. */
  readonly offsets: boolean
}

/** One group or queue with its parking place, on any broker. */
export interface RedriveHarness {
  readonly features: Features
  /** The group or queue that parked. */
  readonly by: string
  readonly from: string
  /** The group's topic, or the queue. */
  readonly to: string
  /** Writes a copy into the parking place, as parking does; `headers` are added, or take the place of parking's own. */
  park(original: Original, code: string, headers?: Readonly<Record<string, unknown>>): Promise<void>
  /** Writes anything into the parking place. */
  write(stored: Stored): Promise<void>
  redrive(options: Partial<RedriveOptions<never>>): Promise<RedriveResult>
  /** The same, to a handler. */
  redriveTo(handler: (message: Handled) => unknown, options: Partial<RedriveOptions<never>>): Promise<RedriveResult>
  list(options?: Partial<ListParkedOptions>): Promise<readonly ListedCopy[]>
  /** What has arrived in the group's topic, or is in the queue. */
  arrived(): Promise<readonly Stored[]>
  close(): Promise<void>
}

/** A name that no other test or run has; the channels of these tests match it. */
export const redriveName = (): string => `redrive-${randomUUID()}`

export const textOf = (value: unknown): string => (Buffer.isBuffer(value) ? value.toString() : String(value))
