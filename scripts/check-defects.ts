/** `npm run check:defects`: what `npm run test:mutants` seeds still stands in the sources, each text once. A refactoring moves it unseen. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SEEDED } from './defects/seeded.ts'
import { ROOT } from './tarballs.ts'

for (const [name, defects] of Object.entries(SEEDED)) {
  for (const defect of defects) {
    const places = readFileSync(join(ROOT, 'packages', name, 'src', defect.file), 'utf8').split(defect.search).length - 1
    if (places === 1) continue
    console.error(`${name}: the text of "${defect.name}" is in ${defect.file} ${places} times`)
    process.exitCode = 1
  }
  console.log(`${name}: ${defects.length} defects`)
}
