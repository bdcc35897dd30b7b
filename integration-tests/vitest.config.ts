import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config'

const conditions = ['@sealbus/source', 'node', 'default']
const files = (...names: string[]): string[] => names.map((name) => `test/${name}.test.ts`)

/** Suites with brokers of their own, and those that follow keys through their life: minutes each, and the same wherever the brokers run. */
const LONG = files('kafka-cluster', 'kafka-exactly-once', 'plaintext', 'rabbitmq-recovery', 'rotation', 'endpoint')
/** It measures how long a partition waits, which others beside it would lengthen. */
const ALONE = files('outage')

type Options = TestProjectInlineConfiguration['test']

/** Suites of one kind. A higher order runs when a lower one has ended. */
const kind = (name: string, groupOrder: number, test: Options): TestProjectInlineConfiguration => ({
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: { name, setupFiles: ['support/kafkajs-noise.ts'], pool: 'forks', testTimeout: 60_000, expect: { poll: { timeout: 10_000 } }, hookTimeout: 120_000, sequence: { groupOrder }, ...test },
})

export default defineConfig({
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    globalSetup: ['global-setup.ts'],
    teardownTimeout: 30_000,
    projects: [
      // Two at once, as they wait more than they work; more would starve a small machine.
      kind('functional', 0, { include: files('*'), exclude: [...LONG, ...ALONE], maxWorkers: 2 }),
      kind('long', 0, { include: LONG, maxWorkers: 2 }),
      kind('alone', 1, { include: ALONE, maxWorkers: 1 }),
    ],
  },
})
