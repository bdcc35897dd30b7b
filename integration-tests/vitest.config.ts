import { defineConfig } from 'vitest/config'

export default defineConfig({
  ssr: { resolve: { conditions: ['@sealbus/source', 'node', 'default'] } },
  resolve: { conditions: ['@sealbus/source', 'node', 'default'] },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['global-setup.ts'],
    setupFiles: ['support/kafkajs-noise.ts'],
    pool: 'forks',
    // The suites start brokers of their own: two files at once would starve a small machine.
    fileParallelism: false,
    testTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
})
