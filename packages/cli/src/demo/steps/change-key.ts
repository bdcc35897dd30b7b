import type { Tampering } from '../brokers/broker.ts'
import { number } from '../../number.ts'
import { waitUntil } from '../patience.ts'
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
    screen.item(screen.tone('quiet', `${((performance.now() - began) / 1_000).toFixed(1)} s`), text)
  }
  const old = orders.keyFor('billing')
  const fresh = 'billing-2'

  await orders.send(Math.ceil(count / 4))
  event(`${number(orders.sent.length - first)} more orders for ${screen.tone('name', 'billing-1')}`)
  await keys.add(fresh, 'pending')
  event(`billing has a second private key, ${screen.tone('name', fresh)}, before anyone knows of it`)
  await keys.publishOnly(fresh)
  event(`billing publishes ${screen.tone('name', fresh)}, and keeps billing-1 to open what is on its way`)

  // The old key stays in use until the endpoint is asked again. Half of the orders are left for the new one.
  const meanwhile = orders.sent.length
  await waitUntil(async () => {
    if (orders.sent.length - first < count / 2) await orders.send(1)
    await orders.refreshKeys('billing')
    return orders.keyFor('billing') !== old
  }, { signal, everyMs: PACE_MS })
  event(`after ${number(orders.sent.length - meanwhile)} more for billing-1, orders reads billing's endpoint again: the next one is for ${screen.tone('name', orders.keyFor('billing') ?? 'nobody')}`)
  await orders.send(count - (orders.sent.length - first))
  await untilRead(stage, tampering)
  const openedWith = (kid: string): string => `${number(readers.billing.read.filter((each) => each.kid === kid).length)} with ${screen.tone('name', kid)}`
  event(`billing has opened all so far: ${openedWith('billing-1')}, ${openedWith(fresh)}`)
  screen.line()
  screen.say('Nothing was stopped or restarted. By itself, orders would have asked within five minutes; the demo asked at once, as an operator in a hurry would.')
}
