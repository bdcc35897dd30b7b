/**
 * `npm run test:mutants -- PACKAGE` shows whether the tests notice mistakes. The adapters are given defects that somebody
 * could make, each with the test that must turn red; words after the package choose among them. Other packages, or some
 * of their files, are mutated by Stryker, which prints the survivors and the score.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { SEEDED } from './defects/seeded.ts'
import { seedAll } from './defects/seeding.ts'
import { ROOT } from './tarballs.ts'

const [name = 'core', ...rest] = process.argv.slice(2)
const sources = join('packages', name, 'src')
if (!existsSync(join(ROOT, sources))) {
  console.error(`there is no package ${JSON.stringify(name)}`)
  process.exit(2)
}
const defects = SEEDED[name]
process.exitCode = defects ? await seedAll(join(ROOT, 'packages', name), defects, rest) : mutate(name, sources, rest)

function mutate(name: string, sources: string, files: readonly string[]): number {
  const only = files.length > 0 ? ['--mutate', files.map((file) => join(sources, file)).join(',')] : []
  const { status } = spawnSync(join(ROOT, 'node_modules/.bin/stryker'), ['run', ...only], { cwd: ROOT, stdio: 'inherit', env: { ...process.env, MUTATED_PACKAGE: name } })
  return status ?? 1
}
