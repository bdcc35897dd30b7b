import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
const run = promisify(execFile)

/** The libraries, fetched once for each content of the project file. */
export async function nimbusJars(source: string): Promise<string> {
  const pom = join(source, 'pom.xml')
  return join(await once('nimbus', [pom], (folder) => run('mvn', ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`])), '*')
}

/** The libraries and the compiled program, each made once for each content of its source. */
export async function nimbusClassPath(source: string): Promise<string> {
  const pom = join(source, 'pom.xml')
  const program = join(source, 'NimbusPeer.java')
  const jars = await nimbusJars(source)
  const classes = await once('nimbus-peer', [pom, program], (folder) => run('javac', ['-cp', jars, '-d', folder, program]))
  return [jars, classes].join(delimiter)
}

/** A folder in the cache, named after what it is made from; moved into place whole, so that none is ever half made. */
async function once(name: string, sources: readonly string[], make: (folder: string) => Promise<unknown>): Promise<string> {
  const digest = createHash('sha256')
  for (const each of sources) digest.update(await readFile(each))
  const folder = join(cache, `${name}-${digest.digest('hex').slice(0, 16)}`)
  if (existsSync(folder)) return folder
  await mkdir(cache, { recursive: true })
  const work = await mkdtemp(join(cache, `${name}-`))
  try {
    await make(work)
    // Whoever comes second leaves it at that.
    await rename(work, folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return folder
}
