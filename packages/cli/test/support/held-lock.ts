/** Changes a file slowly, and is told to end meanwhile. */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { locked } from '../../src/keys/lock.ts'

await locked(process.argv[2] ?? '', async () => {
  process.kill(process.pid, 'SIGTERM')
  await sleep(200)
  writeSync(1, 'finished')
})
await sleep(60_000)
