import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Stryker } from '@stryker-mutator/core'
import Table from 'cli-table3'
import { MUTANT_GROUPS } from '../packages/core/mutant-groups.ts'
import { ROOT } from './tarballs.ts'

const SOURCES = join('packages', 'core', 'src')
/** The share of the mutants that the tests have to notice, percent. */
const SCORE = 85

interface Count {
  noticed: number
  unnoticed: number
}

const percent = ({ noticed, unnoticed }: Count): number => (100 * noticed) / (noticed + unnoticed)

/** Mutates what is named, groups or files, or else everything. Returns the exit code. */
export async function mutateCore(named: readonly string[]): Promise<number> {
  const inGroups = Object.values(MUTANT_GROUPS).flatMap(({ sources }) => sources.map((each) => `${each}.ts`))
  const present = readdirSync(join(ROOT, SOURCES), { recursive: true, encoding: 'utf8' }).filter((each) => each.endsWith('.ts'))
  const misplaced = [...present.filter((each) => inGroups.filter((other) => other === each).length !== 1), ...inGroups.filter((each) => !present.includes(each))]
  const unknown = named.filter((each) => !(each in MUTANT_GROUPS) && !present.includes(each))
  if (misplaced.length + unknown.length > 0) {
    console.error(`${[...misplaced, ...unknown].join(', ')}: not a group, or not a file that is in one group of packages/core/mutant-groups.ts`)
    return 2
  }
  const counts = new Map<string, Count>()
  for (const [group, { sources, concurrency }] of Object.entries(MUTANT_GROUPS)) {
    const files = sources.map((each) => `${each}.ts`).filter((each) => named.length === 0 || named.includes(group) || named.includes(each))
    if (files.length > 0) counts.set(group, await mutate(group, files, concurrency))
  }
  const all: Count = { noticed: 0, unnoticed: 0 }
  const table = new Table({ head: ['group', 'mutants', 'survived', 'noticed'], style: { head: [], border: [] } })
  for (const [group, count] of counts) {
    all.noticed += count.noticed
    all.unnoticed += count.unnoticed
    table.push(row(group, count))
  }
  table.push(row('together', all))
  console.log(table.toString())
  return percent(all) >= SCORE ? 0 : 1
}

const row = (name: string, count: Count): string[] => [name, String(count.noticed + count.unnoticed), String(count.unnoticed), `${percent(count).toFixed(1)} %`]

async function mutate(group: string, files: readonly string[], concurrency: number | undefined): Promise<Count> {
  // Read by the configuration of the tests, in another process.
  process.env.MUTANT_GROUP = group
  const results = await new Stryker({ ...(concurrency && { concurrency }), mutate: files.map((file) => join(SOURCES, file)), jsonReporter: { fileName: join('.cache', `mutants-${group}.json`) } }).runMutationTest()
  const having = (...statuses: string[]): number => results.filter(({ status }) => statuses.includes(status)).length
  if (having('Pending', 'CompileError') > 0) throw new Error(`mutants of ${group} were not run`)
  // A mutant that keeps a file of tests from loading (RuntimeError) counts for neither.
  return { noticed: having('Killed', 'Timeout'), unnoticed: having('Survived', 'NoCoverage') }
}
