import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A folder of this test's own, which goes with it. */
export async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sealbus-cli-'))
  onTestFinished(() => rm(path, { recursive: true }))
  return path
}
