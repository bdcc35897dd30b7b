import { mergeConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import { MUTANT_GROUPS } from './mutant-groups.ts'
import config from './vitest.config.ts'

const tests = (MUTANT_GROUPS[process.env.MUTANT_GROUP ?? '']?.tests ?? []).map((name) => `test/${name}.test.ts`)

class NearestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => tests.findIndex((name) => moduleId.endsWith(`/${name}`))
    return files.toSorted((one, other) => place(one) - place(other))
  }
}

const merged = mergeConfig(config, { test: { sequence: { sequencer: NearestFirst } } })
// Merging would add to what is included.
export default { ...merged, test: { ...merged.test, include: tests } }
