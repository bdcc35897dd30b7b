import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createJwksHandler, type IdentityChange, type LoadedIdentities, loadIdentities } from '@sealbus/core'
import { Command, InvalidArgumentError, Option } from 'commander'
import { printable } from '../printable.ts'
import { codeOf, Refusal, refusing } from '../refusal.ts'

interface ServeOptions {
  readonly host: string
  readonly port: number
  readonly path: string
  readonly maxAge: number
  readonly json?: true
}

/** What it says while it serves: a line for people, or with --json an object. */
type ServeEvent =
  | { readonly event: 'listening'; readonly url: string }
  | { readonly event: 'changed'; readonly changes: readonly { readonly kid: string; readonly from: IdentityChange['from'] | null; readonly to: IdentityChange['to'] | null }[] }
  | { readonly event: 'failed'; readonly code: string; readonly message: string }

export function serveCommand(): Command {
  return new Command('serve')
    .description('publish the active keys of a file over HTTP, and follow its changes')
    .argument('<file>', 'a private JWK Set')
    .option('--host <address>', 'where to listen', '127.0.0.1')
    .addOption(new Option('--port <n>', '0 takes a free one').default(8080).argParser(wholeNumber(65_535)))
    .addOption(new Option('--path <path>', 'of the JWK Set').default('/.well-known/jwks.json').argParser(parsePath))
    .addOption(new Option('--max-age <seconds>', 'what clients may cache').default(300).argParser(wholeNumber(86_400)))
    .option('--json', 'say what happens as JSON, a line each')
    .addHelpText('after', `
It speaks plain HTTP: put whatever ends TLS for the service before it. It serves until SIGINT or SIGTERM, and then
ends with 0. Exit codes: 0 ended by a signal, 1 the file is no good or the port is taken, 2 wrong arguments.`)
    .action(refusing(async (path: string, options: ServeOptions) => {
      const say = (event: ServeEvent): void => console.log(options.json ? JSON.stringify(event) : lineOf(event))
      // Whoever read its lines may leave; it goes on.
      process.stdout.on('error', () => {})
      using identities = await load(path, say)
      const server = serve(identities, options)
      await listening(server, options)
      say({ event: 'listening', url: urlOf(server, options) })
      await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
      server.close()
      server.closeAllConnections()
    }))
}

function load(path: string, say: (event: ServeEvent) => void): Promise<LoadedIdentities> {
  return loadIdentities(path, {
    onChange: (changes) => say({ event: 'changed', changes: changes.map(({ kid, from = null, to = null }) => ({ kid, from, to })) }),
    onFailure: ({ code, message }) => say({ event: 'failed', code, message }),
  })
}

function serve(identities: LoadedIdentities, { path, maxAge }: ServeOptions): Server {
  const handle = createJwksHandler(identities, { maxAgeSeconds: maxAge })
  return createServer((request, response) => {
    if (request.url?.split('?', 1)[0] === path) handle(request, response)
    else response.writeHead(404).end()
  })
}

async function listening(server: Server, { host, port }: ServeOptions): Promise<void> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    throw new Refusal(`it cannot listen on ${host}, port ${port} (${codeOf(error)})`)
  }
}

function urlOf(server: Server, { path }: ServeOptions): string {
  const { address, family, port } = server.address() as AddressInfo
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}${path}`
}

function lineOf(event: ServeEvent): string {
  switch (event.event) {
    case 'listening':
      return `Publishing at ${event.url}`
    case 'changed':
      return event.changes.map(({ kid, from, to }) => `${printable(kid)}: ${from ?? 'new'} → ${to ?? 'gone'}`).join('\n')
    case 'failed':
      return `The keys stay as they are, because: ${event.message}`
  }
}

function wholeNumber(most: number): (given: string) => number {
  return (given) => {
    const value = Number(given)
    if (!/^\d+$/.test(given) || value > most) throw new InvalidArgumentError(`It is a whole number from 0 to ${most}.`)
    return value
  }
}

function parsePath(given: string): string {
  if (!/^\/[\w./~-]*$/.test(given)) throw new InvalidArgumentError('It begins with / and has letters, digits and . _ ~ - only.')
  return given
}
