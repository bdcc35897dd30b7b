import { type ReaderName, type StoredMessage, type Tampering } from '../brokers/broker.ts'
import { viewEnvelope } from '../envelope-view.ts'
import type { Order } from '../order.ts'
import { waitUntil } from '../patience.ts'
import { fold } from '../screen.ts'
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
  await waitUntil(() => readers.audit.refusals.length >= stored.length, signal)

  const [room = 16] = screen.widths(SHARES)
  const [billing, shipping] = await Promise.all([parkedCodes(stage, 'billing'), parkedCodes(stage, 'shipping')])
  const seen = (name: 'billing' | 'shipping', parked: ReadonlyMap<string, string>, { reference, bytes }: StoredMessage): string => {
    const order = orderRead(stage, name, reference)
    const code = bytes.equals(tampering.after) ? parked.get(reference) : undefined
    if (code !== undefined) return refusal(stage, 'changed: parked', code, room)
    return order ? Object.values(order).map((each) => screen.tone('good', each)).join('\n') : screen.tone('bad', 'nothing')
  }
  const examples = [...stored.filter(({ reference }) => reference !== tampering.reference).slice(0, EXAMPLES), ...stored.filter(({ bytes }) => bytes.equals(tampering.after))]
  screen.table(
    ['The broker stores', 'Billing sees', 'Shipping sees', 'Audit sees'],
    examples.map((message) => [
      [screen.tone('quiet', message.reference), ...fold(viewEnvelope(message.bytes).ciphertext, room, 3).map((each) => screen.tone('secret', each))].join('\n'),
      seen('billing', billing, message),
      seen('shipping', shipping, message),
      refusal(stage, 'not for us: skip', readers.audit.refusals[0] ?? '', room),
    ]),
    SHARES,
  )
  screen.say('The changed order reached no handler. Billing and shipping each parked it, byte for byte and with its reason, and went on with the next. Audit skips what is not for it, because this audit chose to; parking or stopping are the other choices.')
}

async function parkedCodes({ broker }: Stage, service: ReaderName): Promise<ReadonlyMap<string, string>> {
  return new Map((await broker.parked(service)).map(({ reference, headers }) => [reference, headers['sealbus-park-code'] ?? '']))
}

function orderRead({ readers }: Stage, name: ReaderName, reference: string): Order | undefined {
  return readers[name].read.map(({ payload }) => JSON.parse(payload) as Order).find(({ order }) => order === reference)
}

function refusal({ screen }: Stage, words: string, code: string, room: number): string {
  return [screen.tone('bad', words), ...fold(code, room, 3).map((each) => screen.tone('quiet', each))].join('\n')
}
