import { hash } from 'node:crypto'
import { PARK_CODE, type StoredMessage, type Tampering } from '../brokers/broker.ts'
import { viewEnvelope } from '../envelope-view.ts'
import { number } from '../../number.ts'
import type { Order } from '../order.ts'
import { waitUntil } from '../patience.ts'
import { fold, foldCode } from '../../screen.ts'
import { type Stage, untilRead } from '../stage.ts'

const SHARES = [1, 1, 1, 1]

/** How many orders are shown besides the changed one. */
const EXAMPLES = 2

export async function readOrders(stage: Stage, tampering: Tampering): Promise<void> {
  const { screen, broker, readers, signal } = stage
  screen.heading('4  Billing, shipping and audit read')
  screen.say('All three are connected to the broker and get every message. Billing and shipping have private keys that the orders were encrypted for. Audit has one, too, but the orders are not for it.')
  await Promise.all(Object.values(readers).map((reader) => reader.start(broker)))
  const stored = await broker.stored()
  await untilRead(stage, tampering)
  await waitUntil(async () => readers.audit.refusals.length >= stored.length && (await broker.parked('billing')).length > 0 && (await broker.parked('shipping')).length > 0, { signal, everyMs: 50 })

  const parked = { billing: await broker.parked('billing'), shipping: await broker.parked('shipping') }
  const [room = 16] = screen.widths(SHARES)
  const seen = (name: Recipient, { reference, bytes }: StoredMessage): string => {
    if (bytes.equals(tampering.after)) return refusal(stage, 'changed: parked', parked[name][0]?.headers[PARK_CODE] ?? 'not yet', room)
    const order = orderRead(stage, name, reference)
    return order ? Object.values(order).map((each) => screen.tone('good', each)).join('\n') : screen.tone('bad', 'nothing')
  }
  const examples = [...stored.filter(({ reference }) => reference !== tampering.reference).slice(0, EXAMPLES), ...stored.filter(({ bytes }) => bytes.equals(tampering.after))]
  screen.line()
  screen.table({
    head: ['Broker stores', 'Billing sees', 'Shipping sees', 'Audit sees'],
    shares: SHARES,
    rows: examples.map((message) => [
      [screen.tone('quiet', message.reference), ...fold(viewEnvelope(message.bytes).ciphertext, room, 3).map((each) => screen.tone('secret', each))].join('\n'),
      seen('billing', message),
      seen('shipping', message),
      refusal(stage, 'not for us: skip', readers.audit.refusals[0] ?? '', room),
    ]),
  })
  screen.line()
  screen.say('The changed order reached no handler. Billing and shipping each parked it with its reason, and went on with the next. Not a byte of it is lost, for whoever looks into it:')
  screen.line()
  screen.line(`  changed on the broker  ${fingerprint(tampering.after)}`)
  for (const name of ['billing', 'shipping'] as const) screen.line(`  ${`parked by ${name}`.padEnd(21)}  ${parked[name].map(({ bytes }) => fingerprint(bytes)).join(', ')}`)
  screen.line()
  screen.say('Audit skips what is not for it, because this audit chose to. It could also park it, or stop.')
}

type Recipient = 'billing' | 'shipping'

function orderRead({ readers }: Stage, name: Recipient, reference: string): Order | undefined {
  return readers[name].read.map(({ payload }) => JSON.parse(payload) as Order).find(({ order }) => order === reference)
}

function refusal({ screen }: Stage, words: string, code: string, room: number): string {
  return [screen.tone('bad', words), ...foldCode(code, room).map((each) => screen.tone('quiet', each))].join('\n')
}

const fingerprint = (bytes: Buffer): string => `${number(bytes.length)} bytes, SHA-256 ${hash('sha256', bytes, 'hex').slice(0, 16)}…`
