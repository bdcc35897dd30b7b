import { configDefaults, mergeConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'
import config from './vitest.config.ts'

/** Files that take longest: a mutant is killed at the first red test, so they come last. */
const SLOW = ['jwks/directory', 'wrap', 'vectors/own', 'known-forms', 'envelope', 'context', 'attacks']

const slowness = ({ moduleId }: TestSpecification): number => SLOW.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))

class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((one, other) => slowness(one) - slowness(other) || one.moduleId.localeCompare(other.moduleId))
  }
}

/** What the mutants of this package run against: its own tests, without other people's vectors and the long floods. */
export default mergeConfig(config, {
  test: { exclude: [...configDefaults.exclude, 'test/vectors/{jose,rfc,wycheproof}.test.ts', 'test/flood.test.ts', 'test/jwks/directory-load.test.ts'], sequence: { sequencer: QuickFirst } },
})
