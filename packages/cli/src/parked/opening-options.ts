import { createOpener, loadIdentities, type Opener } from '@sealbus/core'
import type { Command } from 'commander'
import { readChannels } from '../channels-file.ts'
import { EXIT } from '../exit-codes.ts'
import { Refusal } from '../refusal.ts'

export interface OpeningOptions {
  readonly identities?: string
  readonly name?: string
  readonly channels?: string
  readonly realm?: string
}

export function addOpeningOptions(command: Command): Command {
  return command
    .option('--identities <file>', "the service's private JWK Set: try what opens now, and leave what does not")
    .option('--name <service>', 'the service as a recipient; with --identities')
    .option('--channels <file>', 'JSON, or a module that exports `channels`; with --identities')
    .option('--realm <name>', "the opener's realm, where it has one")
}

/** An opener as the service has it; undefined where no identities are given. */
export async function openerOf({ identities: file, name, channels: channelsFile, realm }: OpeningOptions): Promise<Opener | undefined> {
  if (file === undefined) return undefined
  if (name === undefined || channelsFile === undefined) throw new Refusal('--identities needs --name and --channels too', EXIT.usage)
  const channels = await readChannels(channelsFile)
  const identities = await loadIdentities(file, { reloadMs: false })
  return createOpener({ name, identities, channels, ...(realm !== undefined && { realm }) })
}
