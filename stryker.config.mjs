/** How core is mutated: `npm run test:mutants -- core` gives it one group of sources after the other. */
export default {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'packages/core/vitest.mutants.config.ts', dir: 'packages/core', related: false },
  ignorePatterns: ['/.cache', '/.turbo', '/integration-tests', '/interop-tests', '/bench', '/examples', '**/dist'],
  // An hour or two want to be followed.
  reporters: [process.stdout.isTTY ? 'progress' : 'progress-append-only', 'clear-text', 'json'],
  // Which tests cover what is not worth a page per test.
  clearTextReporter: { reportTests: false, logTests: false, allowColor: false },
  coverageAnalysis: 'perTest',
  tempDirName: '.cache/stryker',
  // Stryker rewrites it with a TypeScript that has an API; this one has none, and the rewriting is not needed.
  tsconfigFile: 'none',
  timeoutMS: 10_000,
  // All tests once, watched: minutes, and more on a busy machine.
  dryRunTimeoutMinutes: 30,
}
