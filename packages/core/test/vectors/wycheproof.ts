import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Published vectors lie beside the repository; they are not part of it. */
const FOLDER = fileURLToPath(new URL('../../../../../shared/vectors/wycheproof/', import.meta.url))

/** Why there is nothing to run; undefined when there is. */
export const wycheproofMissing: string | undefined = existsSync(FOLDER) ? undefined : "Wycheproof's vectors are not in ../shared/vectors/wycheproof"

export interface Group<Test> {
  readonly comment?: string
  readonly [member: string]: unknown
  readonly tests: readonly Test[]
}

export interface Test {
  readonly tcId: number
  readonly comment?: string
  readonly flags?: readonly string[]
  readonly result: 'valid' | 'acceptable' | 'invalid'
}

export function wycheproof<Case extends Test>(file: string): readonly Group<Case>[] {
  return (JSON.parse(readFileSync(`${FOLDER}${file}`, 'utf8')) as { testGroups: readonly Group<Case>[] }).testGroups
}

export type Tally = Readonly<Record<string, string | number>>

/** Which tests ended in each way: their tcIds in order, runs of them as `1-9`; of those that came out right, how many. */
export function tally<Case extends Test>(groups: readonly Group<Case>[], outcome: (test: Case, group: Group<Case>) => string): Tally {
  const ids: Record<string, number[]> = {}
  for (const group of groups) for (const test of group.tests) (ids[outcome(test, group)] ??= []).push(test.tcId)
  return Object.fromEntries(Object.entries(ids).map(([ended, each]) => [ended, ended.endsWith(': right') ? each.length : runs(each.toSorted((a, b) => a - b))]))
}

function runs(ids: readonly number[]): string {
  const found: { first: number; last: number }[] = []
  for (const id of ids) {
    const run = found.at(-1)
    if (run && run.last === id - 1) run.last = id
    else found.push({ first: id, last: id })
  }
  return found.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`)).join(' ')
}

/** What a test expects, and what came of it: a wrong one has a name of its own. */
export function judged({ tcId, result }: Test, made: 'right' | 'refused' | 'wrong'): string {
  const asExpected = result === 'acceptable' ? made !== 'wrong' : made === (result === 'valid' ? 'right' : 'refused')
  return asExpected ? `${result}: ${made}` : `AGAINST EXPECTATION: ${tcId} is ${result}, and was ${made}`
}
