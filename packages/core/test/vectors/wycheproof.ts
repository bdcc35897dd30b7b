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

/** How many tests ended in each way. */
export function tally<Case extends Test>(groups: readonly Group<Case>[], outcome: (test: Case, group: Group<Case>) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const group of groups) {
    for (const test of group.tests) {
      const ended = outcome(test, group)
      counts[ended] = (counts[ended] ?? 0) + 1
    }
  }
  return counts
}

/** What a test expects, and what came of it: a wrong one is named, so that it shows in the counts. */
export function judged({ tcId, result }: Test, made: 'right' | 'refused' | 'wrong'): string {
  const asExpected = result === 'acceptable' ? made !== 'wrong' : made === (result === 'valid' ? 'right' : 'refused')
  return asExpected ? `${result}: ${made}` : `AGAINST EXPECTATION: ${tcId} is ${result}, and was ${made}`
}
