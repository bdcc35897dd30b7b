import { Command } from 'commander'
import { activateCommand, archiveCommand, destroyCommand, retireCommand, revokeCommand } from './change-commands.ts'
import { exportPublicCommand } from './export-command.ts'
import { generateCommand } from './generate-command.ts'
import { listCommand } from './list-command.ts'
import { rotateCommand } from './rotate-command.ts'

/** `sealbus keys`: a service's private keys in one file, which running services follow. */
export function keysCommand(): Command {
  const keys = new Command('keys')
    .description("make, publish, change and destroy a service's private keys")
    .addHelpText('after', `
FILE is a private JWK Set, as loadIdentities reads it; services follow it without a restart. It is replaced
as a whole, with mode 600. The order of a rotation: generate, put the file on every instance, rotate.
With --json, stdout is one JSON document. Exit codes: 0 done, 1 refused or not a good file, 2 wrong arguments.`)
  for (const command of [generateCommand(), listCommand(), activateCommand(), rotateCommand(), retireCommand(), archiveCommand(), revokeCommand(), destroyCommand(), exportPublicCommand()]) keys.addCommand(command)
  return keys
}
