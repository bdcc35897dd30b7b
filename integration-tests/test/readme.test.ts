import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { describeWithKafka, describeWithRabbit } from '../support/brokers.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

/** The code of every README, from the packed tarballs, as the check runs it; but on real brokers. */
describeWithKafka('READMEs', ({ bootstrap }) => {
  describeWithRabbit('on both brokers', ({ url }) => {
    it('compile, run, and print what they say', async () => {
      await run('npm', ['run', 'build'], { cwd: ROOT })
      const { stdout } = await run(process.execPath, ['scripts/check-readmes.ts'], { cwd: ROOT, env: { ...process.env, SEALBUS_KAFKA_BROKERS: bootstrap.join(','), SEALBUS_AMQP_URL: url } })
      expect(stdout).toMatch(/^ok {5}README\.md: runs and prints 4 lines$/m)
    }, 180_000)
  })
})
