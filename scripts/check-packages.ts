/** Packs every public package, and checks the tarballs: what users install, not what lies in the tree. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
}

const root = fileURLToPath(new URL('..', import.meta.url))
const out = mkdtempSync(join(tmpdir(), 'sealbus-pack-'))
let failed = false

const run = (command: string, ...args: string[]): void => {
  const { status } = spawnSync(join(root, 'node_modules/.bin', command), args, { stdio: 'inherit', cwd: root })
  if (status !== 0) failed = true
}

try {
  const rows: Record<string, { tarball: string; kilobytes: number; files: number; dependencies: number }> = {}
  for (const folder of readdirSync(join(root, 'packages'))) {
    const manifest = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as Manifest
    if (manifest.private) continue
    const packed = JSON.parse(execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', out], { cwd: join(root, 'packages', folder), encoding: 'utf8' })) as unknown
    // npm 11 and later name the packages; earlier ones list them.
    const [info] = Object.values(packed as Record<string, { filename: string; size: number; entryCount: number }>)
    if (!info) throw new Error(`${manifest.name} was not packed`)
    const tarball = join(out, info.filename)
    run('publint', 'run', tarball, '--strict')
    // Commands have no types to resolve.
    if (folder !== 'cli') run('attw', tarball, '--profile', 'esm-only', '--no-emoji')
    rows[manifest.name] = { tarball: info.filename, kilobytes: Math.round(info.size / 102.4) / 10, files: info.entryCount, dependencies: Object.keys(manifest.dependencies ?? {}).length }
  }
  console.table(rows)
} finally {
  rmSync(out, { recursive: true, force: true })
}
if (failed) process.exit(1)
