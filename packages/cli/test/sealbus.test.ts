import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { run, SEALBUS } from './support/child-process.ts'

describe('sealbus', () => {
  it('--version is the version of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
    expect(await run(SEALBUS, ['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('--help names the commands, and a command\'s own names its options and exit codes', async () => {
    const program = await run(SEALBUS, ['--help'])
    expect(program).toMatchObject({ code: 0, stderr: '' })
    for (const group of ['demo', 'keys', 'jwks']) expect(program.stdout).toMatch(new RegExp(`^ {2}${group} `, 'm'))
    const demo = await run(SEALBUS, ['demo', '--help'])
    expect(demo).toMatchObject({ code: 0, stderr: '' })
    for (const [group, commands] of [['keys', ['generate', 'list', 'activate', 'rotate', 'retire', 'archive', 'revoke', 'destroy', 'export-public']], ['jwks', ['serve', 'check']]] as const) {
      const help = await run(SEALBUS, [group, '--help'])
      expect(help).toMatchObject({ code: 0, stderr: '' })
      for (const command of commands) expect(help.stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'))
    }
    for (const text of ['--broker', '--kafka-brokers', 'SEALBUS_KAFKA_BROKERS', '--amqp-url', 'SEALBUS_AMQP_URL', '--messages', 'Exit codes']) expect(demo.stdout).toContain(text)
  })

  it.each([
    [[]],
    [['nothing-like-that']],
    [['demo', '--broker', 'nats']],
    [['demo', '--messages', '9']],
    [['demo', '--messages', '1e3']],
    [['demo', '--messages', '10001']],
    [['demo', '--kafka-brokers', 'no-port']],
    [['demo', '--nothing-like-that']],
    [['demo', 'more']],
    [['keys', 'generate']],
    [['keys', 'forget', 'keys.json']],
    [['keys', 'generate', 'keys.json', '--type', 'RSA1_5']],
    [['keys', 'generate', 'keys.json', '--type', 'RSA', '--bits', '1024']],
    [['keys', 'generate', 'keys.json', '--kid', '']],
    [['keys', 'generate', 'keys.json', '--kid', '-k']],
    [['keys', 'generate', 'keys.json', '--state', 'retiring']],
    [['keys', 'list', 'keys.json', '--retention', 'a week']],
    [['keys', 'retire', 'keys.json']],
    [['jwks', 'serve', 'keys.json', '--port', '65536']],
    [['jwks', 'serve', 'keys.json', '--path', 'keys']],
    [['jwks', 'check']],
  ])('%j is wrong usage: exit code 2, a line on stderr, nothing on stdout', async (args) => {
    const { code, stdout, stderr } = await run(SEALBUS, args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(args.length === 0 ? 'Usage: sealbus' : 'error: ')
    expect(stderr).not.toContain('    at ')
  })

  it.each([
    ['by option', ['demo', '--amqp-url', 'http://user:hunter2@127.0.0.1'], {}],
    ['by environment', ['demo'], { SEALBUS_AMQP_URL: 'user:hunter2@127.0.0.1' }],
  ])('an AMQP address of another kind, %s, is wrong usage, and its password is not repeated', async (_, args, env) => {
    const { code, stderr } = await run(SEALBUS, args, { env })
    expect(stderr).toContain('amqp://')
    expect(stderr).not.toContain('hunter2')
    expect(code).toBe(2)
  })
})
