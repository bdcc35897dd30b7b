import { randomInt } from 'node:crypto'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  ssr: { resolve: { conditions: ['@sealbus/source', 'module', 'node', 'default'] } },
  resolve: { conditions: ['@sealbus/source', 'module', 'node', 'default'] },
  test: {
    include: ['fuzz/**/*.fuzz.ts'],
    pool: 'forks',
    // Threads of the pool that fill two cores: more would only slow the cases that are timed.
    maxWorkers: 2,
    testTimeout: 3_600_000,
    // One seed for the whole run, so that one number repeats it.
    env: { FUZZ_SEED: process.env['FUZZ_SEED'] ?? String(randomInt(2 ** 31)) },
  },
})
