import { defineConfig } from 'vitest/config'

export default defineConfig({
  ssr: { resolve: { conditions: ['@sealbus/source', 'module', 'node', 'default'] } },
  resolve: { conditions: ['@sealbus/source', 'module', 'node', 'default'] },
  test: { include: ['test/**/*.test.ts'], testTimeout: 60_000 },
})
