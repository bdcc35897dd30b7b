import type { Tampering } from '../brokers/broker.ts'
import { viewEnvelope } from '../envelope-view.ts'
import type { Stage } from '../stage.ts'

/** Characters of the ciphertext that are shown. */
const SHOWN = 24

export async function tamper({ screen, broker }: Stage): Promise<Tampering> {
  screen.heading('3  Someone on the broker changes an order')
  const tampering = await broker.tamper()
  screen.say(`Nobody has read the orders yet, and an intruder gets at ${tampering.reference}. ${tampering.how}`)
  screen.line()
  const [before, after] = [tampering.before, tampering.after].map((bytes) => viewEnvelope(bytes).ciphertext.slice(0, SHOWN))
  screen.line(`  before  ${screen.tone('secret', `${before}…`)}`)
  screen.line(`  after   ${changed(before ?? '', after ?? '').map(({ text, differs }) => screen.tone(differs ? 'bad' : 'secret', text)).join('')}${screen.tone('secret', '…')}`)
  screen.line(`          ${changed(before ?? '', after ?? '').map(({ text, differs }) => (differs ? screen.tone('bad', '^'.repeat(text.length)) : ' '.repeat(text.length))).join('').trimEnd()}`)
  return tampering
}

/** The text in runs that are as before, or are not. */
function changed(before: string, after: string): { text: string; differs: boolean }[] {
  const runs: { text: string; differs: boolean }[] = []
  for (let index = 0; index < after.length; index++) {
    const character = after.charAt(index)
    const differs = character !== before[index]
    const last = runs.at(-1)
    if (last?.differs === differs) last.text += character
    else runs.push({ text: character, differs })
  }
  return runs
}
