/** `npm run test:mutants -- PACKAGE [FILE …]` mutates a package, or some of its files, and prints the survivors and the score. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './tarballs.ts'

const [name = 'core', ...files] = process.argv.slice(2)
const sources = join('packages', name, 'src')
if (!existsSync(join(ROOT, sources))) {
  console.error(`there is no package ${JSON.stringify(name)}`)
  process.exit(2)
}
const mutate = files.length > 0 ? ['--mutate', files.map((file) => join(sources, file)).join(',')] : []
const { status } = spawnSync(join(ROOT, 'node_modules/.bin/stryker'), ['run', ...mutate], { cwd: ROOT, stdio: 'inherit', env: { ...process.env, MUTATED_PACKAGE: name } })
process.exit(status ?? 1)
