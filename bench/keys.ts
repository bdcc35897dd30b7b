import { generateKeyPairSync } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createJwksDirectory, createStaticDirectory, firstOf, type JwksDirectory, type RecipientDirectory } from '@sealbus/core'
import type { JWK } from 'jose'
import { medianRate, ratio, runRounds } from './rounds.ts'

export interface KeysResult {
  /** Lookups of a warm key per second, by kind of directory: what every message pays for each recipient. */
  readonly warmPerSecond: Readonly<Record<string, number>>
  readonly ratios: Readonly<Record<string, number>>
  /** Memory of the process for each cached recipient with one key, in bytes, by kind of key. */
  readonly bytesPerRecipient: Readonly<Record<string, number>>
  /** Requests that so many callers at once cost, when no key is cached, and what they waited. */
  readonly cold: Readonly<Record<string, number>>
}

const CALLERS = 10_000
const RECIPIENTS = 10_000
/** Lookups between two looks at the clock: one takes a tenth of a microsecond. */
const BATCH = 1_000

/** The directory: warm lookups, memory for each cached recipient, and what a cold start costs the endpoint. */
export async function benchKeys(sliceMs: number): Promise<KeysResult> {
  const rounds = await runRounds(await warmContestants(), sliceMs)
  const rate = (name: string): number => medianRate(rounds, name) * BATCH
  const bytesPerRecipient: Record<string, number> = {}
  for (const [kind, jwk] of Object.entries(KINDS)) bytesPerRecipient[kind] = await bytesEach(jwk())
  return {
    warmPerSecond: { 'JWK Sets by URL': rate('url'), 'one of 1,000 recipients': rate('many'), 'in a registry': rate('registry'), static: rate('static'), 'first of two': rate('firstOf') },
    ratios: { url_vs_static: ratio(rounds, 'url', 'static') },
    bytesPerRecipient,
    cold: await coldStart(),
  }
}

const KINDS = {
  'P-256': (): JWK => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
  X25519: (): JWK => generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }),
  'RSA-2048': (): JWK => generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }),
}

const answering = (document: object): typeof fetch => async () => new Response(JSON.stringify(document))
const set = (jwk: JWK): { keys: JWK[] } => ({ keys: [{ ...jwk, kid: 'key' }] })
const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `service-${index}`)

async function warmContestants(): Promise<Record<string, () => void>> {
  const jwk = KINDS['P-256']()
  const url = createJwksDirectory({ recipients: { billing: 'https://keys.example/' }, fetch: answering(set(jwk)) })
  const many = createJwksDirectory({ recipients: Object.fromEntries(names(1_000).map((name) => [name, 'https://keys.example/'])), fetch: answering(set(jwk)) })
  const registry = createJwksDirectory({ registry: 'https://keys.example/', fetch: answering({ recipients: { billing: set(jwk) } }) })
  const fixed = createStaticDirectory({ billing: jwk })
  await Promise.all([url.resolve('billing'), registry.resolve('billing'), ...names(1_000).map((name) => many.resolve(name))])
  const looking = (directory: RecipientDirectory, name: string) => (): void => {
    for (let count = 0; count < BATCH; count++) directory.peek(name)
  }
  const all = names(1_000)
  return {
    url: looking(url, 'billing'),
    many: (): void => {
      for (const name of all) many.peek(name)
    },
    registry: looking(registry, 'billing'),
    static: looking(fixed, 'billing'),
    firstOf: looking(firstOf(url, fixed), 'billing'),
  }
}

/** Resident memory, because most of a key is OpenSSL's, outside of the heap. The first thousand make room for what a fetch needs in passing. */
async function bytesEach(jwk: JWK): Promise<number> {
  const { gc } = globalThis
  if (!gc) throw new Error('run with --expose-gc')
  const all = names(RECIPIENTS + 1_000)
  const directory = createJwksDirectory({ recipients: Object.fromEntries(all.map((name) => [name, 'https://keys.example/'])), maxEntries: all.length, fetch: answering(set(jwk)) })
  kept.push(directory)
  const fill = async (from: number, to: number): Promise<number> => {
    for (const name of all.slice(from, to)) await directory.resolve(name)
    gc()
    return process.memoryUsage.rss()
  }
  const before = await fill(0, 1_000)
  return Math.round((await fill(1_000, all.length) - before) / RECIPIENTS)
}

/** Until the end, so that nothing is measured in memory that another has left. */
const kept: JwksDirectory[] = []

async function coldStart(): Promise<Record<string, number>> {
  const jwk = KINDS['P-256']()
  let [requests, down] = [0, false]
  const server = createServer((_request, response) => {
    requests++
    response.writeHead(down ? 503 : 200).end(JSON.stringify(set(jwk)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const open = (): JwksDirectory => createJwksDirectory({ recipients: { billing: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }, allowInsecureLoopback: true, retries: 0 })
  const call = (directory: JwksDirectory): Promise<unknown> => Promise.allSettled(Array.from({ length: CALLERS }, () => directory.resolve('billing')))
  using up = open()
  const start = performance.now()
  await call(up)
  const result = { callers: CALLERS, 'fetches, cold': requests, 'milliseconds for all of them': Math.round(performance.now() - start) }
  down = true
  using failing = open()
  await call(failing)
  await call(failing)
  server.closeAllConnections()
  server.close()
  return { ...result, 'fetches of twice as many, endpoint down': requests - result['fetches, cold'] }
}
