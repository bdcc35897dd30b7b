import { number } from '../number.ts'
import type { Outcome } from './outcome.ts'
import type { Screen } from '../screen.ts'

/** What happened, whether it was as it should be, and the figures. */
export function showSummary(screen: Screen, { checks, figures }: Outcome): void {
  screen.heading('What happened')
  for (const { claim, holds, found } of checks) {
    if (holds) screen.item(screen.tone('good', '✓'), claim)
    else screen.item(screen.tone('bad', '✗'), `${claim} ${screen.tone('bad', 'NOT SO:')} ${found}.`)
  }
  screen.line()
  const { orders, stored, sessions, keyFetches, rushOrdersPerSecond, plainBytes, wireBytes, seconds } = figures
  // Base64 takes four characters for three bytes.
  const fixed = wireBytes - (plainBytes * 4) / 3
  screen.table({
    head: ['', 'Figure', 'What it is'],
    shares: [4, 3, 10],
    dense: true,
    rows: [
      ['Orders sent', number(orders), `in ${number(stored)} messages on the broker`],
      ['Content keys', number(sessions), 'new ones by count, time and key change; the public-key work is done once for each'],
      ['Key fetches', number(keyFetches), 'over HTTP, for all orders together'],
      ['Orders/second', number(rushOrdersPerSecond), 'in the rush hour: encrypted, sent, and read twice'],
      ['Bytes/order', `${number(plainBytes)} → ${number(wireBytes)}`, `plain → on the wire: a third for base64, and ${number(fixed)} fixed`],
      ['Seconds', seconds.toFixed(1), 'the whole demo'],
    ],
  })
  const failed = checks.filter(({ holds }) => !holds).length
  screen.line()
  screen.say(failed === 0 ? 'Every line above was checked, in what the broker stores and in what the services were given.' : screen.tone('bad', `${failed} of ${checks.length} checks failed.`))
}
