/**
 * Compiles integration-tests/types/confluent.ts against the types that `@confluentinc/kafka-javascript` itself declares.
 * Its tarball is unpacked, not installed: installing builds a native module.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const PACKAGE = '@confluentinc/kafka-javascript@1.10.1'

const root = resolve(import.meta.dirname, '..')
const directory = mkdtempSync(join(tmpdir(), 'confluent-types-'))
try {
  const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', PACKAGE, '--json', '--ignore-scripts'], { cwd: directory, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })) as [{ filename: string }]
  execFileSync('tar', ['-xzf', filename, 'package/index.d.ts', 'package/types', 'package/package.json'], { cwd: directory })
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { paths: { '@confluentinc/kafka-javascript': [join(directory, 'package/index.d.ts')] }, typeRoots: [join(root, 'node_modules/@types')] },
    include: [],
    files: [join(root, 'integration-tests/types/confluent.ts')],
  }))
  const { status } = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', directory], { stdio: 'inherit' })
  if (status === 0) console.log(`the wrappers keep the types of ${PACKAGE}`)
  process.exitCode = status ?? 1
} finally {
  rmSync(directory, { recursive: true })
}
