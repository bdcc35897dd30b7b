import base from './stryker.config.mjs'
export default { ...base, vitest: { configFile: 'packages/core/vitest.d1.config.ts', dir: 'packages/core', related: false }, dryRunTimeoutMinutes: 20, concurrency: 2, reporters: ['clear-text'], tempDirName: '.cache/stryker-d1' }
