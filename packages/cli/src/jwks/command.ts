import { Command } from 'commander'
import { checkCommand } from './check-command.ts'
import { serveCommand } from './serve-command.ts'

/** `sealbus jwks`: the public halves, published and as sealers see them. */
export function jwksCommand(): Command {
  const jwks = new Command('jwks').description("publish a service's public keys, and look at others' with a sealer's eyes")
  for (const command of [serveCommand(), checkCommand()]) jwks.addCommand(command)
  return jwks
}
