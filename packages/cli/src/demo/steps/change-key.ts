import { setTimeout as sleep } from 'node:timers/promises'
import type { Tampering } from '../brokers/broker.ts'
import { type Stage, untilRead } from '../stage.ts'

/** One order each, while the new key spreads. */
const PACE_MS = 100

/** Billing gets a new key while `count` orders are on their way. */
export async function changeKey(stage: Stage, count: number, tampering: Tampering): Promise<void> {
  const { screen, orders, readers, signal } = stage
  const { keys } = readers.billing
  screen.heading('5  Billing changes its key, and orders keep coming')
  const began = performance.now()
  const first = orders.sent.length
  const event = (text: string): void => {
    screen.line(`  ${screen.tone('quiet', `${((performance.now() - began) / 1_000).toFixed(1).padStart(4)} s`)}  ${text}`)
  }
  const old = orders.keyFor('billing')
  const fresh = 'billing-2'

  await orders.send(Math.ceil(count / 4))
  event(`${orders.sent.length - first} more orders, still for ${screen.tone('name', 'billing-1')}`)
  await keys.add(fresh, 'pending')
  event(`billing has a second private key, ${screen.tone('name', fresh)}: it could open with it already`)
  await keys.publishOnly(fresh)
  event(`billing publishes ${screen.tone('name', fresh)}, and keeps billing-1 for what is still on its way`)

  // The first key stays in use until the endpoint is asked again. Half of the orders are left for the new one.
  for (let left = Math.floor(count / 4); orders.keyFor('billing') === old; left--) {
    if (left > 0) await orders.send(1)
    await orders.refreshKeys('billing')
    if (orders.keyFor('billing') === old) await sleep(PACE_MS, undefined, { signal })
  }
  event(`orders has read billing's endpoint again: the next order is for ${screen.tone('name', orders.keyFor('billing') ?? 'nobody')}`)
  await orders.send(count - (orders.sent.length - first))
  await untilRead(stage, tampering)
  event(`billing and shipping have read all ${(orders.sent.length - first).toLocaleString('en')} of them`)
  screen.line()
  screen.say('Nothing was stopped or restarted. By itself, orders would have asked within five minutes; the demo asked at once, as an operator in a hurry would.')
}
