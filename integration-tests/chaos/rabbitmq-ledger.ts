import type { DeliveryReport } from './rabbitmq-consumer.ts'

/** What one service has handled, and what came again. */
export interface RabbitTally {
  /** Orders, each counted once. */
  readonly orders: number
  /** Deliveries that the broker marked as redelivered, whether or not they were handled before. */
  readonly marked: number
  /** Handled again with the id that it had: its acknowledgement was lost. */
  readonly redelivered: number
  /** Of these, not marked as redelivered by the broker: the contract forbids it. */
  readonly unmarked: number
  /** Handled again with another id: it had not been confirmed, and was published again. */
  readonly publishedTwice: number
  /** Channels that it consumed on, one after the other. */
  readonly sessions: number
  readonly cancelled: number
}

export interface RabbitLedger {
  note(report: DeliveryReport): void
  tally(): RabbitTally
  readonly failures: readonly string[]
}

export function createRabbitLedger(): RabbitLedger {
  const idsOf = new Map<number, Set<string>>()
  const failures: string[] = []
  const counts = { marked: 0, redelivered: 0, unmarked: 0, publishedTwice: 0, sessions: 0, cancelled: 0 }

  const handle = ({ number, id, redelivered }: Extract<DeliveryReport, { kind: 'handled' }>): void => {
    if (redelivered) counts.marked++
    const known = idsOf.get(number) ?? new Set<string>()
    if (known.has(id)) {
      counts.redelivered++
      if (!redelivered) counts.unmarked++
    } else if (known.size > 0) counts.publishedTwice++
    idsOf.set(number, known.add(id))
  }

  return {
    note(report): void {
      switch (report.kind) {
        case 'handled':
          return handle(report)
        case 'joined':
          return void counts.sessions++
        case 'cancelled':
          return void counts.cancelled++
        case 'failed':
          failures.push(report.reason)
      }
    },
    tally: () => ({ orders: idsOf.size, ...counts }),
    failures,
  }
}
