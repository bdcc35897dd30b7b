import { Command } from 'commander'
import { Refusal, refusing } from '../refusal.ts'
import { createScreen } from '../screen.ts'
import { reportOf, showReport } from './change-report.ts'
import { added } from './generate-command.ts'
import { changeKeyFile } from './key-file.ts'
import { type KeyOptions, withKeyOptions } from './key-options.ts'
import { become, nextKey } from './life-cycle.ts'
import { newKey } from './new-key.ts'

interface RotateOptions extends KeyOptions {
  readonly now?: true
  readonly json?: true
}

export function rotateCommand(): Command {
  return withKeyOptions(new Command('rotate'))
    .description('publish the newest pending key, and retire the active ones')
    .argument('<file>', 'a private JWK Set')
    .option('--now', 'make a new key and publish it at once, although instances that do not have this file yet hold its messages; --type, --bits and --kid are for it')
    .option('--json', 'print what was done as JSON')
    .action(refusing(async (path: string, { type, bits, kid, now: atOnce, json }: RotateOptions) => {
      const now = new Date()
      const made = atOnce ? await newKey({ type, bits: Number(bits), kid, now }) : undefined
      const change = await changeKeyFile(path, (file) => {
        const entries = made ? added(file, made) : file.entries
        const next = made ?? nextKey(entries)
        if (!next) throw new Refusal(`no key is pending. Make one with: sealbus keys generate ${path}; put the file on every instance of the service, then rotate`)
        return entries.map((each) => (each.kid === next.kid ? become(each, 'active', { now }) : each.state === 'active' ? become(each, 'retiring', { now }) : each))
      })
      const report = reportOf(path, change)
      if (json) console.log(JSON.stringify(report))
      else showReport(createScreen(process.stdout), report)
    }))
}
