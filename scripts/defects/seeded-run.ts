import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startVitest } from 'vitest/node'
import type { Defect } from './defect.ts'

/** `red`: the named test failed. Anything else is as bad as a survivor, and says why. */
export type Outcome = 'red' | 'green' | 'no such test' | 'not loaded by the test' | 'nothing runs with it'

export interface SeededRun {
  /** Defects whose text is not in its file, or more than once; defects whose test is not there or is red without them. */
  unfit(defects: readonly Defect[]): Promise<ReadonlyMap<Defect, string>>
  seed(defect: Defect): Promise<Outcome>
}

/** Runs a package's own tests, with a defect put into one source as it is loaded: the files themselves are never touched. */
export function createSeededRun(packageRoot: string): SeededRun {
  const pathOf = ({ file }: Defect): string => join(packageRoot, 'src', file)

  /** The states of the tests with this title, and whether the defect was loaded. */
  const run = async (tests: readonly Defect['test'][], defect?: Defect): Promise<{ states: (test: Defect['test']) => readonly string[]; loaded: boolean }> => {
    let loaded = false
    const seeding = {
      name: 'sealbus-seeded-defect',
      enforce: 'pre' as const,
      transform(code: string, id: string): string | undefined {
        if (!defect || id.split('?')[0] !== pathOf(defect)) return undefined
        loaded = true
        return code.replace(defect.search, () => defect.replace)
      },
    }
    const titles = tests.map(([, title]) => title.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`))
    const vitest = await startVitest(
      [...new Set(tests.map(([file]) => join(packageRoot, 'test', file)))],
      { root: packageRoot, watch: false, testNamePattern: `(${titles.join('|')})$`, reporters: [{}], fsModuleCache: false },
      { plugins: [seeding] },
    )
    const modules = vitest.state.getTestModules()
    await vitest.close()
    // Vitest means a red test to fail the process; here it is what is hoped for.
    process.exitCode = 0
    return {
      loaded,
      states: ([file, title]) =>
        modules
          .filter(({ moduleId }) => moduleId === join(packageRoot, 'test', file))
          .flatMap(({ children }) => [...children.allTests()])
          .filter(({ name }) => name === title)
          .map((test) => test.result().state),
    }
  }

  return {
    async unfit(defects): Promise<ReadonlyMap<Defect, string>> {
      const reasons = new Map<Defect, string>()
      const { states } = await run(defects.map(({ test }) => test))
      for (const defect of defects) {
        const places = readFileSync(pathOf(defect), 'utf8').split(defect.search).length - 1
        const results = states(defect.test)
        if (places !== 1) reasons.set(defect, `its text is in ${defect.file} ${places} times`)
        else if (results.length !== 1) reasons.set(defect, `${results.length} tests have the title`)
        else if (results[0] !== 'passed') reasons.set(defect, 'its test is red without it')
      }
      return reasons
    },
    async seed(defect): Promise<Outcome> {
      const { states, loaded } = await run([defect.test], defect)
      if (!loaded) return 'not loaded by the test'
      const [state] = states(defect.test)
      if (state === undefined) return 'nothing runs with it'
      return state === 'failed' ? 'red' : 'green'
    },
  }
}
