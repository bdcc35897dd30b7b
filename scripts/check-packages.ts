/** Checks the packed tarballs, and prints their sizes and dependency counts. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { packAll, ROOT } from './tarballs.ts'

const out = mkdtempSync(join(tmpdir(), 'sealbus-pack-'))
let failed = false

const run = (command: string, ...args: string[]): void => {
  const { status } = spawnSync(join(ROOT, 'node_modules/.bin', command), args, { stdio: 'inherit', cwd: ROOT })
  if (status !== 0) failed = true
}

try {
  const tarballs = packAll(out)
  for (const { folder, path } of tarballs) {
    run('publint', 'run', path, '--strict')
    // Commands have no types to resolve.
    if (folder !== 'cli') run('attw', path, '--profile', 'esm-only', '--no-emoji')
  }
  console.table(Object.fromEntries(tarballs.map(({ name, path, bytes, files, dependencies }) => [name, { tarball: basename(path), kilobytes: Math.round(bytes / 102.4) / 10, files, dependencies }])))
} finally {
  rmSync(out, { recursive: true, force: true })
}
if (failed) process.exit(1)
