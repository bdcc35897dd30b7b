import { printable } from '../printable.ts'
import { fold, type Screen } from '../screen.ts'
import type { CheckReport } from './check-report.ts'

const SHARES = [22, 9, 8, 31]
const TONES = { 'chosen': 'good', 'usable': 'strong', 'not yet': 'quiet', 'expired': 'quiet', 'refused': 'bad' } as const

export function showCheck(screen: Screen, report: CheckReport): void {
  const { status, ms, bytes, headers, freshMs, keys, findings, chosen } = report
  if (status !== null) screen.line(`Answered ${status} in ${ms} ms${bytes === null ? '' : `, ${bytes} bytes`}`)
  for (const [name, value] of Object.entries(headers)) screen.line(`  ${name}: ${printable(value)}`)
  if (freshMs !== null) screen.line(`  A directory takes it as fresh for ${freshMs / 1_000} s.`)
  if (keys.length > 0) {
    const [kidWidth = 22] = screen.widths(SHARES)
    const rows = keys.map(({ kid, type, verdict, reason }) => [
      fold(printable(kid ?? ''), kidWidth, 3).join('\n'),
      type ?? '',
      screen.tone(TONES[verdict], verdict),
      reason,
    ])
    screen.line()
    screen.table({ head: ['kid', 'key', '', 'why'], rows, shares: SHARES, dense: rows.length > 8 })
  }
  if (status !== null) screen.line()
  for (const { severity, text } of findings) screen.item(severity === 'error' ? screen.tone('bad', '✗') : screen.tone('secret', '!'), printable(text))
  if (chosen !== null) screen.item(screen.tone('good', '✓'), `A sealer seals for ${printable(chosen)}.`)
}
