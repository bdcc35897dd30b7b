import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** The path of `command`, or undefined when the PATH does not have it. */
export function findExecutable(command: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, command)).find(isExecutable)
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
