import { describe, expect, it } from 'vitest'
import type { ConsumptionReport } from '../chaos/kafka-consumer.ts'
import { createKafkaLedger } from '../chaos/kafka-ledger.ts'

const handled = (offset: number, number: number, id = `id-${number}`): ConsumptionReport => ({ kind: 'handled', partition: 0, offset, number, id })
const committed = (offset: number): ConsumptionReport => ({ kind: 'committed', partition: 0, offset })

describe('what the chaos test on Kafka counts', () => {
  it('is what may come again: handled, and not committed when the process ended', () => {
    const ledger = createKafkaLedger()
    for (const report of [handled(0, 1), handled(1, 2), committed(2), handled(2, 3), handled(3, 4)]) ledger.note(report)
    expect(ledger.uncommitted()).toBe(2)
    ledger.ended()
    for (const report of [{ kind: 'joined' } as const, handled(2, 3), handled(3, 4), handled(4, 5)]) ledger.note(report)
    expect(ledger.tally()).toMatchObject({ orders: 5, places: 5, redelivered: 2, redeliverable: 2, belowCommit: 0 })
  })

  it('is what may not: handled again below a commit that the broker had confirmed', () => {
    const ledger = createKafkaLedger()
    for (const report of [handled(0, 1), handled(1, 2), committed(2), { kind: 'joined' } as const, handled(1, 2)]) ledger.note(report)
    expect(ledger.tally()).toMatchObject({ redelivered: 1, redeliverable: 0, belowCommit: 1 })
  })

  it('tells the same bytes that the log has twice from an order that was sent twice', () => {
    const ledger = createKafkaLedger()
    for (const report of [handled(0, 1), handled(1, 1), handled(2, 1, 'another')]) ledger.note(report)
    expect(ledger.tally()).toMatchObject({ orders: 1, places: 3, redelivered: 0, appendedTwice: 1, sentTwice: 1 })
  })
})
