import type { ConsumptionReport } from './kafka-consumer.ts'

/** What one service has handled, and what its client's contract lets it handle twice. */
export interface KafkaTally {
  /** Orders, each counted once. */
  readonly orders: number
  /** Places (partition and offset), each counted once. */
  readonly places: number
  /** Handled again at the same place. */
  readonly redelivered: number
  /** How many of these there may be: what was handled and not committed whenever places were read anew. */
  readonly redeliverable: number
  /** Handled at another place too, with the id that it had: the log has the same bytes twice. */
  readonly appendedTwice: number
  /** Handled at another place too, with another id: the producing service sent it again. */
  readonly sentTwice: number
  /** Handled below an offset whose commit the broker had confirmed: the contract forbids it. */
  readonly belowCommit: number
  readonly controls: number
}

export interface KafkaLedger {
  /** Takes one report of the service's process, in order. */
  note(report: ConsumptionReport): void
  /** The process has ended, and the next one reads its places from the broker. */
  ended(): void
  tally(): KafkaTally
  /** Handled and not yet committed. */
  uncommitted(): number
  readonly failures: readonly string[]
  /** Why kafkajs gave up, and whether it started anew by itself. */
  readonly crashes: readonly string[]
}

export function createKafkaLedger(): KafkaLedger {
  const idOf = new Map<number, string>()
  const places = new Set<string>()
  /** By partition: the next offset to be handled, since places were read. */
  const next = new Map<number, number>()
  const committed = new Map<number, number>()
  const failures: string[] = []
  const crashes: string[] = []
  const counts = { redelivered: 0, redeliverable: 0, appendedTwice: 0, sentTwice: 0, belowCommit: 0, controls: 0 }

  const uncommitted = (): number => [...next].reduce((sum, [partition, offset]) => sum + Math.max(0, offset - (committed.get(partition) ?? 0)), 0)

  const readAnew = (): void => {
    counts.redeliverable += uncommitted()
    next.clear()
  }

  const handle = ({ partition, offset, number, id }: Extract<ConsumptionReport, { kind: 'handled' }>): void => {
    const place = `${partition}/${offset}`
    if (offset < (committed.get(partition) ?? 0)) counts.belowCommit++
    if (places.has(place)) counts.redelivered++
    else if (idOf.get(number) === id) counts.appendedTwice++
    else if (idOf.has(number)) counts.sentTwice++
    else idOf.set(number, id)
    places.add(place)
    next.set(partition, offset + 1)
  }

  return {
    note(report): void {
      switch (report.kind) {
        case 'handled':
          return handle(report)
        case 'committed':
          return void committed.set(report.partition, Math.max(report.offset, committed.get(report.partition) ?? 0))
        case 'joined':
          return readAnew()
        case 'control':
          return void counts.controls++
        case 'crashed':
          return void crashes.push(`${report.restart ? 'starts anew by itself' : 'ends'}: ${report.reason}`)
        case 'failed':
          failures.push(report.reason)
      }
    },
    ended: readAnew,
    tally: () => ({ orders: idOf.size, places: places.size, ...counts }),
    uncommitted,
    failures,
    crashes,
  }
}
