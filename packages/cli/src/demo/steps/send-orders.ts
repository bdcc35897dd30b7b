import { viewEnvelope } from '../envelope-view.ts'
import { number } from '../../number.ts'
import { fold } from '../../screen.ts'
import type { Stage } from '../stage.ts'

const SHARES = [3, 5]
const CIPHERTEXT_LINES = 3

export async function sendOrders({ screen, broker, orders }: Stage, count: number): Promise<void> {
  screen.heading(`2  The orders service sends ${number(count)} orders`)
  screen.say('Its code is what it was: producer.send(), or channel.publish(). On the way out, Sealbus encrypts each order for billing and shipping. This is the first one, and what became of it:')
  await orders.send(count)
  const [[stored], [sent]] = [await broker.stored(), orders.sent]
  if (!stored || !sent) return
  const { header, kids, ciphertext } = viewEnvelope(stored.bytes)
  const [, room = 40] = screen.widths(SHARES)
  const labelled = (label: string, lines: readonly string[]): string[] => lines.map((each, index) => `${screen.tone('quiet', (index === 0 ? label : '').padEnd(LABEL))}${each}`)
  screen.line()
  screen.table({
    head: ['What orders sends', 'What the broker stores'],
    shares: SHARES,
    rows: [[
      Object.entries(sent.order).map(([name, value]) => `${screen.tone('quiet', name.padEnd(LABEL))}${screen.tone('strong', value)}`).join('\n'),
      [
        ...labelled('order', [stored.reference]),
        ...labelled('for', [header.to.join(', ')]),
        ...labelled('keys', [kids.join(', ')]),
        ...labelled('how', [`${header.alg}, ${header.enc}`]),
        ...labelled('content', fold(ciphertext, room - LABEL, CIPHERTEXT_LINES).map((each) => screen.tone('secret', each))),
      ].join('\n'),
    ]],
  })
  screen.line()
  screen.say('Nobody on the broker can read customer, item or card. The order number, who may read it, sizes and times stay visible: Sealbus does not hide those.')
}

const LABEL = 10
