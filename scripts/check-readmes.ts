/**
 * Compiles and runs the code of every README, and its commands that make keys, from the packed tarballs, in an empty project. Brokers are in the process,
 * or those of SEALBUS_KAFKA_BROKERS and SEALBUS_AMQP_URL.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeBlocks, keyCommands } from './readme/code-blocks.ts'
import { packAll, ROOT } from './tarballs.ts'

const project = mkdtempSync(join(tmpdir(), 'sealbus-readme-'))
const tsc = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--module', 'nodenext', '--target', 'es2024', '--allowImportingTsExtensions', '--types', 'node']
let failed = false

const run = (what: string, cwd: string, command: string, ...args: string[]): void => {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit' })
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${what}`)
  if (status !== 0) failed = true
}

try {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'integration-tests/package.json'), 'utf8')) as { devDependencies: Record<string, string> }
  const tarballs = packAll(project)
  const clients = ['kafkajs', 'amqplib'].map((name) => `${name}@${devDependencies[name]}`)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ type: 'module', private: true }))
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline', ...tarballs.map(({ path }) => path), ...clients, '@types/node@24'], { cwd: project, stdio: 'inherit' })

  for (const readme of ['README.md', ...tarballs.map(({ folder }) => `packages/${folder}/README.md`)]) {
    const markdown = readFileSync(join(ROOT, readme), 'utf8')
    const [blocks, commands] = [codeBlocks(markdown), keyCommands(markdown)]
    if (blocks.length === 0 && commands.length === 0) continue
    const folder = join(project, readme.replaceAll('/', '-'))
    mkdirSync(folder)
    for (const args of commands) run(`${readme}: sealbus ${args.join(' ')}`, folder, process.execPath, join(project, 'node_modules/sealbus/bin/sealbus.js'), ...args)
    if (blocks.length === 0) continue
    for (const { file, code } of blocks) writeFileSync(join(folder, file), code)
    run(`${readme}: types of ${blocks.length} blocks`, folder, join(ROOT, 'node_modules/.bin/tsc'), ...tsc, ...blocks.map(({ file }) => file))
    const runner = join(folder, 'runner')
    cpSync(join(ROOT, 'scripts/readme'), runner, { recursive: true })
    const prints = blocks.flatMap((block) => block.prints)
    run(`${readme}: runs and prints ${prints.length} lines`, folder, process.execPath, join(runner, 'run.ts'), ...blocks.filter(({ imported }) => !imported).map(({ file }) => file), '--', ...prints)
  }
} finally {
  rmSync(project, { recursive: true, force: true })
}
if (failed) process.exit(1)
