import { type Command, InvalidArgumentError, Option } from 'commander'
import { KEY_TYPES, type KeyType, RSA_SIZES } from './new-key.ts'

export interface KeyOptions {
  readonly type: KeyType
  readonly bits: string
  readonly kid?: string
}

/** The options of the commands that make a key. */
export function withKeyOptions(command: Command): Command {
  return command
    .addOption(new Option('--type <type>', 'what kind of key: a curve for ECDH-ES+A256KW, or RSA for RSA-OAEP-256').choices([...KEY_TYPES]).default('P-256'))
    .addOption(new Option('--bits <n>', 'of an RSA key').choices([...RSA_SIZES]).default('2048'))
    .addOption(new Option('--kid <kid>', 'its name, 1 to 256 characters (default: its RFC 7638 thumbprint)').argParser(parseKid))
}

function parseKid(given: string): string {
  if (!/^[^-\p{C}][^\p{C}]{0,255}$/u.test(given)) throw new InvalidArgumentError('It has 1 to 256 characters that can be shown, and does not begin with -.')
  return given
}
