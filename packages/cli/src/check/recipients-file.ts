import { createJwksDirectory, type JwksDirectoryOptions, type RecipientDirectory } from '@sealbus/core'
import { EXIT } from '../exit-codes.ts'
import { isObject, readModuleFile } from '../module-file.ts'
import { Refusal } from '../refusal.ts'

/** The directory that a file describes, or a module makes. Its keys are read now, whatever a snapshot may hold. */
export async function openDirectory(path: string, allowInsecureLoopback: boolean): Promise<RecipientDirectory> {
  const { name, value } = await readModuleFile(path, ['directory', 'recipients', 'default'])
  if (isObject(value) && typeof value['resolve'] === 'function' && typeof value['peek'] === 'function') return value as unknown as RecipientDirectory
  if (name === 'directory' || !(isObject(value) || typeof value === 'function')) throw new Refusal(`${path} names no recipients`, EXIT.usage)
  return createJwksDirectory({ recipients: value as NonNullable<JwksDirectoryOptions['recipients']>, allowInsecureLoopback })
}
