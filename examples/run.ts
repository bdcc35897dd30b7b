/** `npm run example -- NAME` runs one; without a name, all that need no broker, as CI does. The integration tests run the others. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Each with the broker that it needs, which is found through an environment variable. */
const EXAMPLES: Record<string, string | undefined> = {
  'key-agent': undefined,
  'nestjs-rabbitmq': 'AMQP_URL',
  'golevelup-rabbitmq': 'AMQP_URL',
  'nestjs-kafka': 'KAFKA_BROKERS',
}

const named = process.argv.slice(2)
const names = named.length > 0 ? named : Object.keys(EXAMPLES)
for (const name of names) {
  const file = join(import.meta.dirname, name, 'run.ts')
  if (!Object.hasOwn(EXAMPLES, name) || !existsSync(file)) {
    console.error(`there is no example ${JSON.stringify(name)}: ${Object.keys(EXAMPLES).join(', ')}`)
    process.exit(2)
  }
  const broker = EXAMPLES[name]
  if (broker !== undefined && named.length === 0 && !process.env[broker]) {
    console.log(`== ${name}: not run, because it needs a broker at ${broker}`)
    continue
  }
  console.log(`== ${name}`)
  const { status } = spawnSync(process.execPath, [...process.execArgv, file], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
