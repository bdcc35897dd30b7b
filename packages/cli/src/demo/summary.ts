import { number, type Outcome } from './outcome.ts'
import { wrap } from './screen.ts'
import type { Screen } from './screen.ts'

/** What happened, what was checked, and the figures. */
export function showSummary(screen: Screen, { checks, figures }: Outcome): void {
  screen.heading('What happened')
  for (const { claim, holds, found } of checks) {
    const [first, ...rest] = wrap(holds ? claim : `${claim} NO: ${found}.`, screen.columns - 4)
    screen.line(`  ${holds ? screen.tone('good', '✓') : screen.tone('bad', '✗')} ${holds ? first : screen.tone('bad', first ?? '')}`)
    for (const each of rest) screen.line(`    ${holds ? each : screen.tone('bad', each)}`)
  }
  screen.line()
  const { orders, stored, sessions, keyFetches, ordersPerSecond, plainBytes, wireBytes, seconds } = figures
  screen.table(
    ['Figure', '', 'What it is'],
    [
      ['Orders sent', number(orders), `${number(stored)} messages on the broker`],
      ['Content keys', number(sessions), 'each encrypts a bounded run of orders, then there is a new one'],
      ['Key fetches', number(keyFetches), "over HTTP, for all orders together"],
      ['Orders a second', number(ordersPerSecond), 'in the rush hour: encrypted, sent, read by two services'],
      ['Bytes an order', `${number(plainBytes)} → ${number(wireBytes)}`, `plain → on the wire: ${number(wireBytes - plainBytes)} more, whatever the size, and a third for base64`],
      ['Seconds', seconds.toFixed(1), 'for the whole demo'],
    ],
    [4, 3, 9],
  )
}
