import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT: string = fileURLToPath(new URL('..', import.meta.url))

export interface Tarball {
  readonly name: string
  readonly folder: string
  readonly path: string
  readonly bytes: number
  readonly files: number
  readonly dependencies: number
}

/** Packs every public package into a folder: what users install, not what lies in the tree. */
export function packAll(destination: string): readonly Tarball[] {
  return readdirSync(join(ROOT, 'packages')).flatMap((folder) => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'packages', folder, 'package.json'), 'utf8')) as { name: string; private?: boolean; dependencies?: Record<string, string> }
    if (manifest.private) return []
    const printed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', destination], { cwd: join(ROOT, 'packages', folder), encoding: 'utf8' })
    // npm 11 and later name the packages; earlier ones list them.
    const [packed] = Object.values(JSON.parse(printed) as Record<string, { filename: string; size: number; entryCount: number }>)
    if (!packed) throw new Error(`${manifest.name} was not packed`)
    return [{ name: manifest.name, folder, path: join(destination, packed.filename), bytes: packed.size, files: packed.entryCount, dependencies: Object.keys(manifest.dependencies ?? {}).length }]
  })
}
