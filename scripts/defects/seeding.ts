import Table from 'cli-table3'
import type { Defect } from './defect.ts'
import { createSeededRun } from './seeded-run.ts'

/** Puts each defect in, by itself, and prints what became of its test; 1 when one was not noticed, or could not be put in. */
export async function seedAll(packageRoot: string, all: readonly Defect[], words: readonly string[]): Promise<0 | 1> {
  const defects = all.filter(({ name }) => words.every((word) => name.includes(word)))
  if (defects.length === 0) {
    console.error(`no defect has ${words.map((word) => JSON.stringify(word)).join(' and ')} in its name`)
    return 1
  }
  const run = createSeededRun(packageRoot)
  const unfit = await run.unfit(defects)
  const table = new Table({ head: ['defect', 'why it matters', 'in', 'test', 'result'], colWidths: [36, 40, 14, 60, 12], wordWrap: true, style: { head: [], border: [] } })
  let failed = 0
  for (const defect of defects) {
    const result = unfit.get(defect) ?? (await run.seed(defect))
    if (result !== 'red') failed++
    console.error(`${result === 'red' ? 'red     ' : 'SURVIVED'} ${defect.name}${result === 'red' ? '' : `: ${result}`}`)
    table.push([defect.name, defect.why, defect.file, `${defect.test[0]}: ${defect.test[1]}`, result === 'red' ? 'red' : `SURVIVED: ${result}`])
  }
  console.log(table.toString())
  console.log(failed === 0 ? `${defects.length} defects, each turned its test red` : `${failed} of ${defects.length} defects were not noticed`)
  return failed === 0 ? 0 : 1
}
