import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Why a peer cannot run, or undefined when all of these are on the PATH. */
export function missingExecutables(...commands: readonly string[]): string | undefined {
  const missing = commands.filter((command) => !isOnPath(command))
  return missing.length === 0 ? undefined : `not on the PATH: ${missing.join(', ')}`
}

/** Whether a command runs and ends well. */
export function succeeds(command: string, ...args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** What a command prints; empty where it cannot run. */
export function output(command: string, ...args: readonly string[]): string {
  return spawnSync(command, args, { encoding: 'utf8' }).stdout ?? ''
}

function isOnPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => folder !== '' && isExecutable(join(folder, command)))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
