import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { CheckReport } from '../../src/jwks/check-report.ts'
import { type Ended, run, SEALBUS } from '../support/child-process.ts'
import { folder } from '../support/folder.ts'
import { startServing } from '../support/serving.ts'

async function keyFile(...kids: string[]): Promise<string> {
  const file = join(await folder(), 'billing.private.jwks.json')
  for (const kid of kids) expect(await run(SEALBUS, ['keys', 'generate', file, '--kid', kid])).toMatchObject({ code: 0 })
  return file
}

const SOON = { timeout: 15_000, interval: 50 }
const kidsAt = async (url: string): Promise<string[]> => ((await (await fetch(url)).json()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)

describe('sealbus jwks serve', () => {
  it('publishes the active keys, follows what other runs do to the file, says so, and ends with 0', { timeout: 60_000 }, async () => {
    const file = await keyFile('one', 'two')
    const serving = await startServing([file, '--port', '0', '--json', '--max-age', '60'])
    expect(serving.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\.well-known\/jwks\.json$/)
    const response = await fetch(serving.url)
    expect([response.status, response.headers.get('content-type'), response.headers.get('cache-control')]).toEqual([200, 'application/jwk-set+json', 'public, max-age=60, stale-if-error=3600'])
    expect(await kidsAt(`${serving.url}?x=1`)).toEqual(['one'])
    expect((await fetch(new URL('/', serving.url))).status).toBe(404)
    expect(await run(SEALBUS, ['keys', 'rotate', file])).toMatchObject({ code: 0 })
    await expect.poll(() => kidsAt(serving.url), SOON).toEqual(['two'])
    const whole = readFileSync(file, 'utf8')
    writeFileSync(file, whole.slice(0, -40))
    await expect.poll(() => serving.lines.length, SOON).toBe(3)
    expect(await kidsAt(serving.url)).toEqual(['two'])
    expect(serving.lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { event: 'listening', url: serving.url },
      { event: 'changed', changes: [{ kid: 'one', from: 'active', to: 'retiring' }, { kid: 'two', from: 'pending', to: 'active' }] },
      { event: 'failed', code: 'ERR_SEALBUS_INVALID_KEY', message: 'identities: it is no JWK Set: there is no `keys` array' },
    ])
    const { d } = (JSON.parse(whole) as { keys: { d: string }[] }).keys[0] ?? { d: '' }
    expect(serving.lines.join('\n')).not.toContain(d)
    expect(await serving.stop('SIGTERM')).toBe(0)
  })

  it('says it in lines for people, on another path', async () => {
    const file = await keyFile('one')
    const serving = await startServing([file, '--port', '0', '--path', '/keys'])
    expect(serving.lines).toEqual([`Publishing at ${serving.url}`])
    expect(new URL(serving.url).pathname).toBe('/keys')
    expect(await kidsAt(serving.url)).toEqual(['one'])
    expect(await run(SEALBUS, ['keys', 'revoke', file, 'one'])).toMatchObject({ code: 0 })
    await expect.poll(() => serving.lines[1], SOON).toBe('one: active → revoked')
    expect(await kidsAt(serving.url)).toEqual([])
    expect(await serving.stop('SIGINT')).toBe(0)
  })

  it('does not start with a file that is no good, or on a port that is taken', async () => {
    const file = await keyFile('one')
    const serving = await startServing([file, '--port', '0'])
    const taken = await run(SEALBUS, ['jwks', 'serve', file, '--port', new URL(serving.url).port])
    expect(taken).toMatchObject({ code: 1, stdout: '' })
    expect(taken.stderr).toMatch(/^error: it cannot listen on 127\.0\.0\.1, port \d+ \(EADDRINUSE\)\n$/)
    expect(await run(SEALBUS, ['jwks', 'serve', `${file}.json`])).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^error: .*\(ENOENT\)\n$/) as string })
  })
})

describe('sealbus jwks check', () => {
  const check = (url: string, ...args: string[]): Promise<Ended> => run(SEALBUS, ['jwks', 'check', url, '--allow-insecure-loopback', ...args])

  async function endpoint(listener: RequestListener): Promise<string> {
    const server = createServer(listener).listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`
  }

  it('of a good endpoint: what was answered, which key a sealer chooses and why; exit code 0', async () => {
    const serving = await startServing([await keyFile('one', 'two'), '--port', '0'])
    const { code, stdout, stderr } = await check(serving.url)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^Answered 200 in \d+ ms, \d+ bytes\n/)
    for (const text of ['  content-type: application/jwk-set+json\n', '  cache-control: public, max-age=300, stale-if-error=3600\n', '  etag: "', 'fresh for 300 s', '✓  A sealer seals for one.']) expect(stdout).toContain(text)
    expect(stdout.split('\n').find((line) => line.includes('│ one '))?.split('│').map((cell) => cell.trim())).toEqual(['', 'one', 'P-256', 'chosen', 'the only usable key', ''])
    const json = await check(serving.url, '--json', '--strict')
    expect(json).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({ url: serving.url, status: 200, chosen: 'one', findings: [], keys: [{ kid: 'one', verdict: 'chosen' }] } satisfies Partial<Omit<CheckReport, 'keys'>> & { keys: object[] })
  })

  it('of a set with a private key: exit code 1, and the key is not printed', async () => {
    const file = await keyFile('one', 'two')
    const { keys: [one, two] } = JSON.parse(readFileSync(file, 'utf8')) as { keys: [{ d: string }, { d: string }] }
    const { d, ...publicTwo } = two
    const url = await endpoint((_request, response) => void response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [one, publicTwo] })))
    for (const args of [[], ['--json']]) {
      const { code, stdout } = await check(url, ...args)
      expect(code).toBe(1)
      expect(stdout).toContain('private members')
      for (const secret of [one.d, d]) expect(stdout).not.toContain(secret)
    }
  })

  it('of one with warnings only: exit code 0, and 1 with --strict', async () => {
    const file = await keyFile('one')
    const { stdout: published } = await run(SEALBUS, ['keys', 'export-public', file, '--json'])
    const url = await endpoint((_request, response) => void response.end(published))
    const lax = await check(url)
    expect(lax).toMatchObject({ code: 0 })
    expect(lax.stdout).toContain('!  it has neither ETag nor Last-Modified')
    expect(await check(url, '--strict')).toMatchObject({ code: 1 })
  })

  it('with pins: another key is refused, as a directory with these pins does', async () => {
    const file = await keyFile('one')
    const serving = await startServing([file, '--port', '0'])
    const { keys: [one] } = JSON.parse((await run(SEALBUS, ['keys', 'list', file, '--json'])).stdout) as { keys: [{ thumbprint: string }] }
    expect(await check(serving.url, '--pin', 'A'.repeat(43), '--pin', one.thumbprint)).toMatchObject({ code: 0 })
    const refused = await check(serving.url, '--pin', 'A'.repeat(43), '--json')
    expect(refused).toMatchObject({ code: 1 })
    expect(JSON.parse(refused.stdout)).toMatchObject({ chosen: null, keys: [{ kid: 'one', verdict: 'refused' }] })
    expect(await check(serving.url, '--pin', 'none')).toMatchObject({ code: 2, stderr: expect.stringMatching(/^error: `pins` /) as string })
  })

  it('of one that redirects: where to, without its query; exit code 1', async () => {
    const url = await endpoint((_request, response) => void response.writeHead(302, { location: '/elsewhere?token=hunter2' }).end())
    const { code, stdout } = await check(url)
    expect(code).toBe(1)
    expect(stdout).toContain(`points to ${new URL('/elsewhere', url).href}:`)
    expect(stdout).not.toContain('hunter2')
  })

  it('of one that does not answer, or not in time: exit code 3', async () => {
    const silent = await endpoint(() => {})
    expect(await check(silent, '--timeout', '1s')).toMatchObject({ code: 3, stdout: expect.stringContaining('✗  it timed out after 1000 ms') as string })
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    expect(await check(`http://127.0.0.1:${port}/`)).toMatchObject({ code: 3, stdout: '  ✗  it cannot be reached (ECONNREFUSED)\n' })
  })

  it('of a URL that no directory takes: exit code 2, and no password is repeated', async () => {
    for (const url of ['https://user:hunter2@billing.example/', 'http://billing.example/', 'billing.example', 'https://billing.example/#keys']) {
      const { code, stdout, stderr } = await run(SEALBUS, ['jwks', 'check', url])
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      expect(stderr).toMatch(/^error: its URL /)
      expect(stderr).not.toContain('hunter2')
    }
  })
})
