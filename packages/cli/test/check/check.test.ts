import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestService, type JwksServer, startJwksServer, type TestService } from '@sealbus/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, run, SEALBUS } from '../support/child-process.ts'

describe('sealbus check', () => {
  let services: Record<'billing' | 'shipping' | 'audit', TestService>
  let server: JwksServer
  const folder = mkdtempSync(join(tmpdir(), 'sealbus-cli-'))

  const file = (name: string, content: unknown): string => {
    const path = join(folder, name)
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
    return path
  }
  const check = (channels: string, recipients: string, ...more: string[]): Promise<Ended> => run(SEALBUS, ['check', '--channels', channels, '--recipients', recipients, '--allow-insecure-loopback', ...more])
  const urls = (...names: (keyof typeof services)[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, server.url(name)]))

  beforeAll(async () => {
    services = { billing: await createTestService('billing'), shipping: await createTestService('shipping', { key: 'X25519' }), audit: await createTestService('audit') }
    server = await startJwksServer(Object.fromEntries(Object.values(services).map(({ name, identities }) => [name, identities])))
  })
  afterAll(async () => {
    rmSync(folder, { recursive: true })
    await server.close()
  })

  it('names the key of each recipient of each channel', async () => {
    const channels = file('channels.json', { orders: { to: ['billing', 'shipping'] }, invoices: { to: ['billing'], accept: 'sealed-or-plain' }, metrics: 'plaintext' })
    const { code, stdout, stderr } = await check(channels, file('recipients.json', urls('billing', 'shipping')))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^orders +billing +billing-1 +ECDH-ES\+A256KW +- +ok$/m)
    expect(stdout).toMatch(/^orders +shipping +shipping-1 +ECDH-ES\+A256KW +- +ok$/m)
    expect(stdout).toMatch(/^metrics .*plaintext, as declared$/m)
    const json = await check(channels, file('recipients.json', urls('billing', 'shipping')), '--json')
    const [identity] = services.billing.identities.list()
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: true,
      channels: [
        { channel: 'orders', state: 'sealed', accept: 'sealed', recipients: [{ recipient: 'billing', key: { kid: 'billing-1', alg: 'ECDH-ES+A256KW', thumbprint: identity?.thumbprint } }, { recipient: 'shipping' }] },
        { channel: 'invoices', accept: 'sealed-or-plain' },
        { channel: 'metrics', state: 'plaintext', recipients: [] },
      ],
    })
  })

  it('fails, and says why, where one recipient has no key: an endpoint that is down, a name that nobody has', async () => {
    server.fail('audit', 404)
    const channels = file('channels-2.json', { orders: { to: ['billing', 'audit', 'nobody'] } })
    const { code, stdout } = await check(channels, file('recipients-2.json', urls('billing', 'audit')))
    expect(code).toBe(1)
    expect(stdout).toMatch(/billing +billing-1 .* ok$/m)
    expect(stdout).toMatch(/audit +- +- +- +ERR_SEALBUS_UNKNOWN_RECIPIENT: /m)
    expect(stdout).toMatch(/nobody +- +- +- +ERR_SEALBUS_UNKNOWN_RECIPIENT: /m)
    server.restore('audit')
  })

  it('fails where an endpoint answers, and has nothing to seal for: no key at all, or only one of a kind that is not taken', async () => {
    const unusable = createServer((request, response) => {
      const keys = request.url === '/empty' ? [] : [{ kty: 'EC', crv: 'P-256', kid: 'signing', use: 'sig', x: 'A'.repeat(43), y: 'A'.repeat(43) }]
      response.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end(JSON.stringify({ keys }))
    })
    await new Promise<void>((resolve) => void unusable.listen(0, '127.0.0.1', resolve))
    const { port } = unusable.address() as AddressInfo
    const channels = file('channels-3.json', { orders: { to: ['billing', 'empty', 'signing'] } })
    const recipients = file('recipients-3.json', { ...urls('billing'), empty: `http://127.0.0.1:${port}/empty`, signing: `http://127.0.0.1:${port}/signing` })
    const { code, stdout } = await check(channels, recipients)
    expect(code).toBe(1)
    expect(stdout).toMatch(/billing +billing-1 .* ok$/m)
    for (const name of ['empty', 'signing']) expect(stdout).toMatch(new RegExp(`^orders +${name} +- +- +- +ERR_SEALBUS_NO_USABLE_KEY: `, 'm'))
    const json = await check(channels, recipients, '--json')
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, channels: [{ recipients: [{ recipient: 'billing' }, { recipient: 'empty', problem: { code: 'ERR_SEALBUS_NO_USABLE_KEY' } }, { recipient: 'signing', problem: { code: 'ERR_SEALBUS_NO_USABLE_KEY' } }] }] })
    unusable.close()
  })

  it('takes modules: the channels and the directory that the services have', async () => {
    const channels = file('channels.mjs', `import { defineChannels } from ${JSON.stringify(import.meta.resolve('@sealbus/core'))}
      export const channels = defineChannels({ orders: { to: ['billing'], match: [/^orders/] }, chosen: { to: ({ key }) => [String(key)] } })`)
    const directory = file('directory.mjs', `import { createStaticDirectory } from ${JSON.stringify(import.meta.resolve('@sealbus/core'))}
      export const directory = createStaticDirectory({ billing: ${JSON.stringify(services.billing.publicJwk())} })`)
    const { code, stdout } = await check(channels, directory)
    expect(stdout).toMatch(/^orders +billing +billing-1 .* ok$/m)
    expect(stdout).toMatch(/^chosen .*not checked/m)
    expect(code).toBe(0)
  })

  it.each([
    ['no such file', 'none.json', /cannot be read: ENOENT/],
    ['no JSON', 'broken.json', /is no JSON/],
    ['a list', 'list.json', /holds no declaration of channels/],
    ['a module without channels', 'empty.mjs', /does not export `channels`/],
    ['a module that does not load', 'bad.mjs', /cannot be loaded/],
  ])('%s: a line on stderr that quotes nothing, exit code 2', async (_, name, message) => {
    const contents: Record<string, string> = { 'broken.json': '{"secret-value":', 'list.json': '[]', 'empty.mjs': 'export const nothing = 1', 'bad.mjs': 'export const {' }
    const path = name in contents ? file(name, contents[name]) : join(folder, name)
    const { code, stdout, stderr } = await check(path, file('recipients.json', urls('billing')))
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain('secret-value')
    expect(stderr).not.toContain('    at ')
  })

  it('a misspelt member of a channel is refused, as in the services', async () => {
    const { code, stderr } = await check(file('misspelt.json', { orders: { to: ['billing'], acept: 'sealed' } }), file('recipients.json', urls('billing')))
    expect(code).toBe(1)
    expect(stderr).toContain('"acept" is not an option of a channel')
  })
})
