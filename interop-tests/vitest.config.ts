import { defineConfig } from 'vitest/config'

export default defineConfig({
  ssr: { resolve: { conditions: ['@sealbus/source', 'module', 'node', 'default'] } },
  resolve: { conditions: ['@sealbus/source', 'module', 'node', 'default'] },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 30_000,
    // A peer may have to be fetched and compiled first.
    hookTimeout: 180_000,
  },
})
