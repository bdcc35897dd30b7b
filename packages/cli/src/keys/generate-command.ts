import { Command, Option } from 'commander'
import { Refusal, refusing } from '../refusal.ts'
import { createScreen } from '../screen.ts'
import { reportOf, showReport } from './change-report.ts'
import { changeKeyFile, type KeyFile } from './key-file.ts'
import { type KeyOptions, withKeyOptions } from './key-options.ts'
import { viewOf } from './key-view.ts'
import { become, DEFAULT_HORIZON, type KeyEntry } from './life-cycle.ts'
import { newKey } from './new-key.ts'

interface GenerateOptions extends KeyOptions {
  readonly state?: 'pending' | 'active'
  readonly json?: true
}

export function generateCommand(): Command {
  return withKeyOptions(new Command('generate'))
    .description('make a key; the file is made with the first')
    .argument('<file>', 'a private JWK Set')
    .addOption(new Option('--state <state>', 'pending: it opens, and is not published yet (default: pending; active for the first key of a file)').choices(['pending', 'active']))
    .option('--json', 'print what was done as JSON')
    .action(refusing(async (path: string, { type, bits, kid, state, json }: GenerateOptions) => {
      const now = new Date()
      // Before the lock, because it may take seconds.
      const made = await newKey({ type, bits: Number(bits), kid, now })
      const change = await changeKeyFile(path, (file) => {
        const first = file.entries.every((each) => each.state === 'destroyed')
        return added(file, (state ?? (first ? 'active' : 'pending')) === 'active' ? become(made, 'active', { now }) : made)
      }, { create: true })
      const report = reportOf(path, change)
      if (json) {
        const key = change.after.entries.filter((each) => each.kid === made.kid).map((each) => viewOf(each, change.after, DEFAULT_HORIZON))[0]
        console.log(JSON.stringify({ ...report, key }))
        return
      }
      const screen = createScreen(process.stdout)
      showReport(screen, report)
      if (report.changes.some(({ to }) => to === 'pending')) screen.say(`Put the file on every instance of the service; then publish the new key: sealbus keys rotate ${path}`)
    }))
}

/** @throws Refusal for a kid that is there: also a destroyed key's, whose messages must not be taken for the new one's */
export function added({ entries }: KeyFile, key: KeyEntry): readonly KeyEntry[] {
  if (entries.some(({ kid }) => kid === key.kid)) throw new Refusal(`the file has a key ${JSON.stringify(key.kid)} already`)
  return [...entries, key]
}
