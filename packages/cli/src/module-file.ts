import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { EXIT } from './exit-codes.ts'
import { codeOf, Refusal } from './refusal.ts'

/**
 * What a file holds: of a JSON file its value, of a module the first of these exports that it has. A module is run, so it
 * is as trusted as this program.
 */
export async function readModuleFile(path: string, exports: readonly string[]): Promise<{ readonly name: string | undefined; readonly value: unknown }> {
  if (path.endsWith('.json')) return { name: undefined, value: await readJsonFile(path) }
  let module: Readonly<Record<string, unknown>>
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as Readonly<Record<string, unknown>>
  } catch (error) {
    throw new Refusal(`${path} cannot be loaded: ${error instanceof Error ? error.message : codeOf(error)}`, EXIT.usage)
  }
  const name = exports.find((each) => Object.hasOwn(module, each))
  if (name === undefined) throw new Refusal(`${path} does not export ${exports.map((each) => `\`${each}\``).join(' or ')}`, EXIT.usage)
  return { name, value: module[name] }
}

/** @throws Refusal, which quotes nothing of the file */
export async function readJsonFile(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new Refusal(`${path} cannot be read: ${codeOf(error)}`, EXIT.usage)
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new Refusal(`${path} is no JSON`, EXIT.usage)
  }
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
