#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { checkCommand } from './check/command.ts'
import { demoCommand } from './demo/command.ts'
import { EXIT } from './exit-codes.ts'
import { jwksCommand } from './jwks/command.ts'
import { keysCommand } from './keys/command.ts'
import { parkedCommand } from './parked/command.ts'

const { version, description } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string; description: string }

const program = new Command('sealbus')
  .description(description)
  .version(version)
  .showHelpAfterError('(try sealbus --help)')
  // Before the commands: they copy it.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? EXIT.ok : EXIT.usage))

/** Each group of commands is a folder, whose command.ts makes it. */
for (const command of [demoCommand(), keysCommand(), jwksCommand(), checkCommand(), parkedCommand()]) program.addCommand(inheriting(program, command))

await program.parseAsync()

/** Settings are copied when a command is made below another; these were made by themselves. */
function inheriting(parent: Command, command: Command): Command {
  command.copyInheritedSettings(parent)
  for (const each of command.commands) inheriting(command, each)
  return command
}
