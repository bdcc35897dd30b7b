/**
 * Runs a README's blocks in one process, in their order, as `node run.ts [FILE …] -- [LINE …]`: it ends well when they have
 * printed every line. Clients and hosts are replaced from outside; the blocks are as the README has them.
 */
import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import { registerHooks } from 'node:module'
import type { AddressInfo } from 'node:net'
import { createJwksHandler, loadIdentities } from '@sealbus/core'

const TIMEOUT_MS = 30_000
const CLIENTS = ['kafkajs', 'amqplib']

const args = process.argv.slice(2)
const files = args.slice(0, args.indexOf('--'))
const missing = args.slice(args.indexOf('--') + 1)

registerHooks({
  resolve(specifier, context, next) {
    const fromBlock = files.some((file) => context.parentURL?.endsWith(`/${file}`))
    const replaced = (fromBlock && CLIENTS.includes(specifier)) || specifier === 'undici'
    return replaced ? next(new URL(`./${specifier}.ts`, import.meta.url).href, context) : next(specifier, context)
  },
})

const listening = async (server: ReturnType<typeof createServer>): Promise<number> => {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

// shipping.example is served from here, billing.example by the block that publishes its keys.
const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
const shipping = await listening(createServer(createJwksHandler(await loadIdentities({ keys: [{ ...key, kid: 'shipping' }] }))))
const probe = createServer()
const billing = await listening(probe)
await new Promise((resolve) => probe.close(resolve))
process.env['PORT'] = String(billing)

const { fetch } = globalThis
globalThis.fetch = (input, init) => {
  const { hostname, pathname } = new URL(input instanceof Request ? input.url : input)
  const port = { 'billing.example': billing, 'shipping.example': shipping }[hostname]
  return port === undefined ? fetch(input, init) : fetch(`http://127.0.0.1:${port}${pathname}`, init)
}

const { log } = console
console.log = (...values: unknown[]): void => {
  const at = missing.indexOf(values.join(' '))
  if (at >= 0) missing.splice(at, 1)
  else log('not said by the README:', ...values)
}

for (const file of files) await import(`${process.cwd()}/${file}`)
for (const start = Date.now(); missing.length > 0 && Date.now() - start < TIMEOUT_MS; ) await new Promise((resolve) => setTimeout(resolve, 20))
for (const line of missing) log('was not printed:', line)
process.exit(missing.length === 0 ? 0 : 1)
