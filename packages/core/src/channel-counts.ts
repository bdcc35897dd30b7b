/** How many messages of a channel were sealed, and how many plain, since the sealer or opener was made. */
export interface ChannelCounts {
  readonly sealed: number
  readonly plain: number
  /** When the last plain one came or went; undefined while there was none. */
  readonly lastPlain: Date | undefined
}

/** An opener's. */
export interface OpenedCounts extends ChannelCounts {
  /** How many openings succeeded: a message that is delivered again is opened again. */
  readonly opened: number
}

type Counter = { -readonly [Name in Exclude<keyof OpenedCounts, 'lastPlain'>]: number } & { lastPlainMs: number }

/** Counters by channel: one look-up and one addition a message. */
export interface Tally {
  of(channel: string): Counter
  read(): Readonly<Record<string, OpenedCounts>>
}

export function createTally(): Tally {
  const counters = new Map<string, Counter>()
  return {
    of(channel): Counter {
      const known = counters.get(channel)
      if (known) return known
      const counter = { sealed: 0, plain: 0, opened: 0, lastPlainMs: 0 }
      counters.set(channel, counter)
      return counter
    },
    read: () =>
      Object.fromEntries([...counters].map(([channel, { lastPlainMs, ...counts }]) => [channel, { ...counts, lastPlain: lastPlainMs === 0 ? undefined : new Date(lastPlainMs) }])),
  }
}
