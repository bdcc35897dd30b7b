import { PARK_CODE, type StoredMessage } from './brokers/broker.ts'
import { viewEnvelope } from './envelope-view.ts'
import { number } from '../number.ts'
import { waitUntil } from './patience.ts'
import { readableMessages } from './plaintext-search.ts'
import type { ReadingService } from './reading-service.ts'
import type { Measured, Stage } from './stage.ts'

/** Something that the demo claims, and looked at before it said so. */
export interface Check {
  readonly claim: string
  readonly holds: boolean
  /** What was found, for a claim that does not hold. */
  readonly found: string
}

export interface Figures {
  readonly orders: number
  readonly stored: number
  readonly sessions: number
  readonly keyFetches: number
  readonly seconds: number
  readonly rushOrdersPerSecond: number
  /** Of one order, on average. */
  readonly plainBytes: number
  readonly wireBytes: number
}

/** What the whole run comes to. */
export interface Outcome {
  readonly checks: readonly Check[]
  readonly figures: Figures
}

/** Looks at what was sent, what the broker has, and what each service was given: is the story true? */
export async function examine({ broker, orders, readers, endpoint, signal }: Stage, { tampering, rush, began }: Measured): Promise<Outcome> {
  const { billing, shipping, audit } = readers
  const stored = await broker.stored()
  await waitUntil(() => audit.refusals.length >= stored.length, { signal })
  const parkedByBilling = await broker.parked('billing')
  const parkedByShipping = await broker.parked('shipping')
  const readable = orders.sent.filter(({ reference }) => !(tampering.replaced && reference === tampering.reference)).map(({ payload }) => payload)
  const withOldKey = billing.read.filter(({ kid }) => kid === 'billing-1').length
  const withNewKey = billing.read.filter(({ kid }) => kid === 'billing-2').length
  const views = stored.map(({ bytes }) => viewEnvelope(bytes))

  return {
    checks: [
      readOnce(billing, readable),
      readOnce(shipping, readable),
      {
        claim: `Billing opened ${number(withOldKey)} with its old key and ${number(withNewKey)} with its new one: nothing was lost between.`,
        holds: withOldKey > 0 && withNewKey > 0 && withOldKey + withNewKey === readable.length,
        found: `${number(readable.length)} were to be opened, with both`,
      },
      parkedOnce('Billing', parkedByBilling, tampering.after),
      parkedOnce('Shipping', parkedByShipping, tampering.after),
      {
        claim: `Audit was given all ${number(stored.length)} messages, and could open none.`,
        holds: audit.read.length === 0 && audit.refusals.length === stored.length,
        found: `it opened ${number(audit.read.length)} and was refused ${number(audit.refusals.length)}`,
      },
      nothingToRead([...stored, ...parkedByBilling, ...parkedByShipping], orders.sent.flatMap(({ order: { customer, item, card } }) => [customer, item, card])),
    ],
    figures: {
      orders: orders.sent.length,
      stored: stored.length,
      sessions: new Set(views.map(({ wrappedKey }) => wrappedKey)).size,
      keyFetches: endpoint.fetches.length,
      seconds: (performance.now() - began) / 1_000,
      rushOrdersPerSecond: rush.orders / rush.seconds,
      plainBytes: mean(orders.sent.map(({ payload }) => Buffer.byteLength(payload))),
      wireBytes: mean(stored.map(({ bytes }) => bytes.length)),
    },
  }
}

function readOnce({ name, read }: ReadingService, expected: readonly string[]): Check {
  const times = new Map<string, number>()
  for (const { payload } of read) times.set(payload, (times.get(payload) ?? 0) + 1)
  const missing = expected.filter((payload) => !times.has(payload)).length
  const repeated = [...times.values()].filter((count) => count > 1).length
  const known = new Set(expected)
  const unexpected = read.filter(({ payload }) => !known.has(payload)).length
  return {
    claim: `${capitalized(name)} read ${number(expected.length)} orders, each exactly once and as it was sent.`,
    holds: missing === 0 && repeated === 0 && unexpected === 0,
    found: `${number(missing)} missing, ${number(repeated)} more than once, ${number(unexpected)} not as sent`,
  }
}

function parkedOnce(service: string, parked: readonly StoredMessage[], changed: Buffer): Check {
  const [copy, ...more] = parked
  const code = copy?.headers[PARK_CODE]
  return {
    claim: `${service} parked the changed order, byte for byte, as ERR_SEALBUS_DECRYPT_FAILED.`,
    holds: copy !== undefined && more.length === 0 && copy.bytes.equals(changed) && code === 'ERR_SEALBUS_DECRYPT_FAILED',
    found: copy ? `${number(parked.length)} parked, the first as ${code}, ${copy.bytes.equals(changed) ? 'identical' : 'not identical'}` : 'nothing was parked',
  }
}

function nothingToRead(stored: readonly StoredMessage[], secrets: readonly string[]): Check {
  const open = readableMessages(stored, secrets)
  return {
    claim: `No customer, item or card number is to be found in the ${number(stored.length)} messages that the broker stores.`,
    holds: open === 0,
    found: `${number(open)} of them can be read`,
  }
}

const capitalized = (name: string): string => `${name.charAt(0).toUpperCase()}${name.slice(1)}`
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
