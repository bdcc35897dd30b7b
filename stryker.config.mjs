/** Which package is mutated: `npm run test:mutants -- core`. */
const name = process.env.MUTATED_PACKAGE ?? 'core'

export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: `packages/${name}/vitest.mutants.config.ts`, dir: `packages/${name}`, related: false },
  mutate: [`packages/${name}/src/**/*.ts`],
  ignorePatterns: ['/.cache', '/.turbo', '/integration-tests', '/interop-tests', '/bench', '/examples', '**/dist'],
  reporters: ['clear-text', 'json'],
  // Which tests cover what is not worth a page per test.
  clearTextReporter: { reportTests: false, logTests: false, allowColor: false },
  jsonReporter: { fileName: `.cache/mutants-${name}.json` },
  // Core is held to its score; in the other packages the survivors are what one reads.
  thresholds: { high: 95, low: 85, break: name === 'core' ? 85 : null },
  coverageAnalysis: 'perTest',
  tempDirName: '.cache/stryker',
  // Stryker rewrites it with a TypeScript that has an API; this one has none, and the rewriting is not needed.
  tsconfigFile: 'none',
  timeoutMS: 10_000,
  // All tests once, watched: minutes, and more on a busy machine.
  dryRunTimeoutMinutes: 30,
}
