import { defineConfig } from 'vitest/config'

export default defineConfig({
  ssr: { resolve: { conditions: ['@sealbus/source', 'module', 'node', 'default'] } },
  resolve: { conditions: ['@sealbus/source', 'module', 'node', 'default'] },
  test: {
    include: ['chaos/**/*.test.ts'],
    setupFiles: ['support/kafkajs-noise.ts'],
    pool: 'forks',
    // Each starts a cluster of its own: two at once would starve a small machine.
    fileParallelism: false,
    // The summaries are what the command is for.
    disableConsoleIntercept: true,
    testTimeout: 30 * 60_000,
    hookTimeout: 180_000,
    teardownTimeout: 30_000,
  },
})
