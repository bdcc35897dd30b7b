import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findExecutable } from './executables.ts'
import { startOwned } from './owned-processes.ts'

const VERSION = '4.3.1'
const folder = fileURLToPath(new URL(`../../.cache/kafka-${VERSION}`, import.meta.url))

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>sealbus</groupId><artifactId>kafka</artifactId><version>0</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
  </dependencies>
</project>
`

/** Why Kafka cannot run on this machine, or undefined when it can. */
export function kafkaMissing(): string | undefined {
  const needed = existsSync(folder) ? ['java'] : ['java', 'mvn']
  const missing = needed.filter((command) => findExecutable(command) === undefined)
  return missing.length === 0 ? undefined : `not on the PATH: ${missing.join(', ')}`
}

/** Kafka's jars as a Java class path; fetched from Maven Central once, then kept in `.cache`. */
export async function kafkaClassPath(): Promise<string> {
  if (!existsSync(folder)) await fetchJars()
  return join(folder, '*')
}

async function fetchJars(): Promise<void> {
  await mkdir(dirname(folder), { recursive: true })
  const work = await mkdtemp(`${folder}-`)
  try {
    await writeFile(join(work, 'pom.xml'), pom)
    const args = ['-q', '-B', 'dependency:copy-dependencies', '-DincludeScope=runtime', '-DoutputDirectory=jars']
    const maven = startOwned('mvn', args, { cwd: work, log: join(work, 'maven.log') })
    if ((await maven.exited) !== 0) throw new Error(`Maven could not fetch Kafka ${VERSION}:\n${maven.lastWords()}`)
    // One step, so that other processes see all the jars or none. Whoever comes second leaves it at that.
    await rename(join(work, 'jars'), folder).catch((error: unknown) => {
      if (!existsSync(folder)) throw error
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
