/**
 * `npm run test:mutants -- PACKAGE` shows whether the tests notice mistakes. The adapters are given defects that somebody
 * could make, each with the test that must turn red; words after the package choose among them. Core is mutated by Stryker,
 * group by group, or only the groups and files that are named; its survivors are listed, and its score has to be 85 %.
 */
import { join } from 'node:path'
import { SEEDED } from './defects/seeded.ts'
import { seedAll } from './defects/seeding.ts'
import { mutateCore } from './mutants-of-core.ts'
import { ROOT } from './tarballs.ts'

const [name = 'core', ...rest] = process.argv.slice(2)
const defects = SEEDED[name]
if (name === 'core') process.exitCode = await mutateCore(rest)
else if (defects) process.exitCode = await seedAll(join(ROOT, 'packages', name), defects, rest)
else {
  console.error(`there is nothing to change in ${JSON.stringify(name)}: name core, ${Object.keys(SEEDED).join(' or ')}`)
  process.exitCode = 2
}
