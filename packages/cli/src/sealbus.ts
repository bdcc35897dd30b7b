#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { demoCommand } from './demo/command.ts'
import { EXIT } from './exit-codes.ts'

const { version, description } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string; description: string }

const program = new Command('sealbus')
  .description(description)
  .version(version)
  .showHelpAfterError('(try sealbus --help)')
  // Before the commands: they copy it.
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? EXIT.ok : EXIT.usage))

for (const command of [demoCommand()]) program.addCommand(command.copyInheritedSettings(program))

await program.parseAsync()
