import { type ChannelDeclarations, type Channels, defineChannels } from '@sealbus/core'
import { EXIT } from './exit-codes.ts'
import { isObject, readModuleFile } from './module-file.ts'
import { Refusal } from './refusal.ts'

/** The declaration of channels in a file: JSON, or a module that exports `channels`, as `defineChannels` takes or gives them. */
export async function readChannels(path: string): Promise<Channels> {
  const { value } = await readModuleFile(path, ['channels', 'default'])
  if (!isObject(value)) throw new Refusal(`${path} holds no declaration of channels`, EXIT.usage)
  if (typeof value['at'] === 'function' && typeof value['get'] === 'function') return value as unknown as Channels
  return defineChannels(value as ChannelDeclarations)
}
