/** `npm run example -- NAME` runs one; without a name, all of them, as CI does. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const EXAMPLES = ['key-agent']

const names = process.argv.length > 2 ? process.argv.slice(2) : EXAMPLES
for (const name of names) {
  const file = join(import.meta.dirname, name, 'run.ts')
  if (!EXAMPLES.includes(name) || !existsSync(file)) {
    console.error(`there is no example ${JSON.stringify(name)}: ${EXAMPLES.join(', ')}`)
    process.exit(2)
  }
  console.log(`== ${name}`)
  const { status } = spawnSync(process.execPath, [...process.execArgv, file], { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}
