import { Command } from 'commander'
import { EXIT } from '../exit-codes.ts'
import { printable } from '../printable.ts'
import { Refusal, refusing } from '../refusal.ts'
import { createScreen } from '../screen.ts'
import { reportOf, showReport } from './change-report.ts'
import { confirmed } from './confirmation.ts'
import { changeKeyFile, type KeyFile, readKeyFile } from './key-file.ts'
import { become, destroyableFrom, type KeyEntry, type KeyState, mayBecome } from './life-cycle.ts'
import { horizonOptions } from './list-command.ts'

interface ChangeOptions {
  readonly reason?: string
  readonly last?: true
  readonly json?: true
}

interface DestroyOptions extends ChangeOptions {
  readonly yes?: true
  readonly early?: true
  readonly retention?: number
  readonly maxStale: number
}

export const activateCommand = (): Command => changeCommand('activate', 'active', 'publish a pending key beside the active ones, or a retiring one again')
export const archiveCommand = (): Command => changeCommand('archive', 'archived', 'mark a retired key as kept for old logs only')
export const retireCommand = (): Command => changeCommand('retire', 'retiring', 'publish a key no longer; it goes on opening').option('--last', 'also when no other key is published: sealing for this service then stops')
export const revokeCommand = (): Command => changeCommand('revoke', 'revoked', 'give up a key that others may know: it is no longer published, and opens nothing').option('--reason <text>', 'kept with the key')

export function destroyCommand(): Command {
  return horizonOptions(new Command('destroy'))
    .description('remove the private half for good; its messages can never be opened again')
    .argument('<file>', 'a private JWK Set')
    .argument('<kid>', 'which key')
    .option('--yes', 'do not ask')
    .option('--early', 'also while messages that are sealed for it may be on their way')
    .option('--reason <text>', 'kept with the tombstone')
    .option('--json', 'print what was done as JSON')
    .action(refusing(async (path: string, kid: string, { yes, early, retention, maxStale, reason, json }: DestroyOptions) => {
      const now = new Date()
      const check = (file: KeyFile): KeyEntry => {
        const entry = changeable(file, kid, 'destroyed')
        const from = destroyableFrom(entry, { retentionMs: retention ?? 0, maxStaleMs: maxStale })
        if (!early && !from) throw new Refusal('it is not noted since when this key is no longer published, so messages for it may be on their way (--early destroys it all the same)')
        if (!early && from && from > now) throw new Refusal(`until ${from.toISOString()} messages that are sealed for this key may be on their way (--early destroys it all the same)`)
        return entry
      }
      // Asked before the lock is held, and looked at again with it.
      check(await readKeyFile(path))
      if (!yes) await ask(kid, retention === undefined)
      const change = await changeKeyFile(path, (file) => replaced(file, become(check(file), 'destroyed', { now, reason, ...thumbprintOf(file, kid) })))
      tell(path, change, json)
    }))
}

function changeCommand(name: string, to: KeyState, description: string): Command {
  return new Command(name)
    .description(description)
    .argument('<file>', 'a private JWK Set')
    .argument('<kid>', 'which key')
    .option('--json', 'print what was done as JSON')
    .action(refusing(async (path: string, kid: string, { reason, last, json }: ChangeOptions) => {
      const change = await changeKeyFile(path, (file) => {
        const entry = changeable(file, kid, to)
        if (to === 'retiring' && !last && file.entries.every((each) => each.state !== 'active' || each.kid === kid)) throw new Refusal('no other key is published: sealing for this service would stop. Rotate instead, or retire it with --last')
        return replaced(file, become(entry, to, { now: new Date(), reason }))
      })
      tell(path, change, json)
    }))
}

/** @throws Refusal for a key that is not there, or that may not become this */
function changeable({ entries }: KeyFile, kid: string, to: KeyState): KeyEntry {
  const entry = entries.find((each) => each.kid === kid)
  if (!entry) throw new Refusal(`the file has no key ${JSON.stringify(kid)}`)
  if (entry.state === to) throw new Refusal(`the key ${JSON.stringify(kid)} is ${to} already`)
  if (!mayBecome(entry.state, to)) throw new Refusal(`the key ${JSON.stringify(kid)} is ${entry.state}, and cannot become ${to}${entry.state === 'active' && to === 'destroyed' ? ': retire or revoke it first' : ''}`)
  return entry
}

const replaced = ({ entries }: KeyFile, entry: KeyEntry): readonly KeyEntry[] => entries.map((each) => (each.kid === entry.kid ? entry : each))

function thumbprintOf(file: KeyFile, kid: string): { thumbprint?: string } {
  const identity = file.identityOf(kid)
  return identity ? { thumbprint: identity.thumbprint } : {}
}

async function ask(kid: string, retentionUnknown: boolean): Promise<void> {
  if (!process.stdin.isTTY) throw new Refusal('to destroy a key is asked about, and nobody is here to answer: say --yes', EXIT.usage)
  const retention = retentionUnknown ? ' Without --retention it is not known whether any are kept.' : ''
  const question = `What was sealed for ${printable(kid)} can never be opened again.${retention} Copies and backups of the file still hold the key.`
  // The question is not part of the output.
  if (!(await confirmed(question, 'destroy', { input: process.stdin, output: process.stderr }))) throw new Refusal('nothing was destroyed')
}

function tell(path: string, change: { readonly before: KeyFile; readonly after: KeyFile }, json: true | undefined): void {
  const report = reportOf(path, change)
  if (json) console.log(JSON.stringify(report))
  else showReport(createScreen(process.stdout), report)
}
