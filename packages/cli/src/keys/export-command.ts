import { Command } from 'commander'
import { refusing } from '../refusal.ts'
import { readKeyFile } from './key-file.ts'

export function exportPublicCommand(): Command {
  return new Command('export-public')
    .description('print what is published: the public halves of the active keys, as a JWK Set')
    .argument('<file>', 'a private JWK Set')
    .option('--json', 'the same, in one line')
    .action(refusing(async (path: string, { json }: { readonly json?: true }) => {
      const { published } = await readKeyFile(path)
      console.log(json ? published : JSON.stringify(JSON.parse(published), undefined, 2))
    }))
}
