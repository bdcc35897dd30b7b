import { setTimeout as sleep } from 'node:timers/promises'
import { defineChannels } from '@sealbus/core'
import { type DemoBroker, READERS } from './brokers/broker.ts'
import { startKeyEndpoint } from './key-endpoint.ts'
import { createOrdersService } from './orders-service.ts'
import { examine, type Outcome } from './outcome.ts'
import { createReadingService } from './reading-service.ts'
import type { Screen } from '../screen.ts'
import type { Stage } from './stage.ts'
import { changeKey } from './steps/change-key.ts'
import { publishKeys } from './steps/publish-keys.ts'
import { readOrders } from './steps/read-orders.ts'
import { rushHour } from './steps/rush-hour.ts'
import { sendOrders } from './steps/send-orders.ts'
import { tamper } from './steps/tamper.ts'
import { showSummary } from './summary.ts'

export interface StoryOptions {
  readonly screen: Screen
  readonly broker: DemoBroker
  /** Orders before the rush hour: half of them before the key changes. */
  readonly messages: number
  readonly signal: AbortSignal
}

/** Orders in the rush hour: enough to measure, and more than one content key serves. */
const RUSH = 2_000
/** For whoever watches, between two steps. The key change waits for as much less. */
const PAUSE_MS = 800

/** Tells the story from the first key to the summary. The broker is the caller's to close. */
export async function tellStory({ screen, broker, messages, signal }: StoryOptions): Promise<Outcome> {
  const began = performance.now()
  screen.line(screen.tone('title', 'Sealbus'))
  screen.line()
  screen.say('Orders are encrypted before they reach the broker, and only billing and shipping can read them.')
  screen.say(`The broker is ${broker.title}.`)
  // One declaration, shared by all services: who may read what.
  const channels = defineChannels({ orders: { to: ['billing', 'shipping'], match: broker.destinations } })
  const [billing, shipping, audit] = await Promise.all(READERS.map((name) => createReadingService(name, { channels, notARecipient: name === 'audit' ? 'skip' : 'park' })))
  if (!billing || !shipping || !audit) throw new TypeError('there are three readers')
  const endpoint = await startKeyEndpoint({ billing: billing.keys.identities, shipping: shipping.keys.identities })
  const orders = createOrdersService({ channels, broker, urls: { billing: endpoint.urlOf('billing'), shipping: endpoint.urlOf('shipping') } })
  const stage: Stage = { screen, broker, endpoint, orders, readers: { billing, shipping, audit }, signal }
  const pause = async (): Promise<void> => {
    signal.throwIfAborted()
    if (screen.interactive) await sleep(PAUSE_MS, undefined, { signal })
  }
  try {
    await broker.open()
    await publishKeys(stage)
    await pause()
    await sendOrders(stage, Math.floor(messages / 2))
    await pause()
    const tampering = await tamper(stage)
    await pause()
    await readOrders(stage, tampering)
    await pause()
    await changeKey(stage, Math.ceil(messages / 2), tampering)
    await pause()
    const rush = await rushHour(stage, RUSH, tampering)
    const outcome = await examine(stage, { began, tampering, rush })
    showSummary(screen, outcome)
    return outcome
  } finally {
    for (const each of [orders, endpoint]) each.close()
  }
}
