import { viewEnvelope } from '../envelope-view.ts'
import { fold } from '../screen.ts'
import type { Stage } from '../stage.ts'

const SHARES = [3, 5]
const CIPHERTEXT_LINES = 3

export async function sendOrders({ screen, broker, orders }: Stage, count: number): Promise<void> {
  screen.heading(`2  The orders service sends ${count.toLocaleString('en')} orders`)
  screen.say('Its code is what it was: producer.send(), or channel.publish(). On the way out, Sealbus encrypts each order for billing and shipping. The first one, beside what became of it:')
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
  screen.say('Customer, item and card are not to be seen. Who it is for, the order number, sizes and times are: the broker needs some of that, and Sealbus does not hide it.')
}

const LABEL = 10
