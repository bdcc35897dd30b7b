import { createCipheriv, createDecipheriv, createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities } from '@sealbus/core'
import { GeneralEncrypt, type GeneralJWE, generalDecrypt, type JWK } from 'jose'

export interface BenchResult {
  /** Operations per second: the median of the rounds. */
  readonly rates: Readonly<Record<string, number>>
  /** Rates divided, round by round, and the median of that: machines drift, neighbours in time do not. */
  readonly ratios: Readonly<Record<string, number>>
  /** What the envelope adds to 1 KiB of payload, in bytes. */
  readonly addedBytes: Readonly<Record<string, number>>
}

type Contestant = () => unknown

const ROUNDS = 7
const PAYLOAD = randomBytes(1_024)
const HEADER_BYTES = 300
const DISTINCT = 512

/** Seal and open at 1 KiB beside jose and bare AES-256-GCM, all in one run, in turns of `sliceMs`. */
export async function benchCore(sliceMs: number): Promise<BenchResult> {
  const { contestants, addedBytes } = await makeContestants()
  const names = Object.keys(contestants)
  const rounds: Record<string, number>[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const rates: Record<string, number> = {}
    for (const name of names) rates[name] = await rate(contestants[name] ?? ((): void => {}), sliceMs)
    // The first round warms up.
    if (round > 0) rounds.push(rates)
  }
  const ratio = (a: string, b: string): number => round2(median(rounds.map((rates) => (rates[a] ?? 0) / (rates[b] ?? 1))))
  return {
    rates: Object.fromEntries(names.map((name) => [name, Math.round(median(rounds.map((rates) => rates[name] ?? 0)))])),
    ratios: {
      seal1_vs_jose: ratio('seal 1', 'jose encrypt 1'),
      seal10_vs_jose: ratio('seal 10', 'jose encrypt 10'),
      seal10_cost_vs_seal1: ratio('seal 1', 'seal 10'),
      open1_vs_jose: ratio('open 1', 'jose decrypt 1'),
      open10_vs_jose: ratio('open 10', 'jose decrypt 10'),
      seal_vs_gcm_1k: ratio('seal 1', 'AES-256-GCM encrypt'),
      open_vs_gcm_1k: ratio('open 1', 'AES-256-GCM decrypt'),
      permessage_vs_jose: ratio('seal 1 per message', 'jose encrypt 1'),
    },
    addedBytes,
  }
}

async function makeContestants(): Promise<{ contestants: Record<string, Contestant>; addedBytes: Record<string, number> }> {
  const names = Array.from({ length: 10 }, (_, index) => `service-${index}`)
  const pairs = names.map((name) => ({ name, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) }))
  const directory = createStaticDirectory(Object.fromEntries(pairs.map(({ name, publicKey }) => [name, { ...(publicKey.export({ format: 'jwk' }) as JWK), kid: name }])))
  // One service has one of the keys: with all of them here, the opener would look at more than one entry.
  const identities = await loadIdentities({ keys: pairs.slice(0, 1).map(({ name, privateKey }) => ({ ...(privateKey.export({ format: 'jwk' }) as JWK), kid: name })) })
  const channels = defineChannels({ one: { to: names.slice(0, 1) }, three: { to: names.slice(0, 3) }, ten: { to: names } })
  const sealer = createSealer({ directory, channels })
  const perMessage = createSealer({ directory, channels, contentKeys: 'per-message' })
  const opener = createOpener({ name: 'service-0', identities, channels })
  const seal = (channel: string): Buffer => sealer.sealSync(PAYLOAD, { channel }).bytes
  // A session's worth of messages in turn: each is another buffer, IV and id, as a consumer meets them.
  const turns = (channel: string): (() => Buffer) => {
    const messages = Array.from({ length: DISTINCT }, () => seal(channel))
    let next = 0
    return () => messages[next++ % DISTINCT] ?? PAYLOAD
  }
  const [sealedOne, sealedTen] = [turns('one'), turns('ten')]

  const joseEncrypt = async (count: number): Promise<GeneralJWE> => {
    const jwe = new GeneralEncrypt(PAYLOAD).setProtectedHeader({ enc: 'A256GCM' })
    for (const { name, publicKey } of pairs.slice(0, count)) jwe.addRecipient(publicKey).setUnprotectedHeader({ alg: 'ECDH-ES+A256KW', kid: name })
    return jwe.encrypt()
  }
  const [joseOne, joseTen] = [await joseEncrypt(1), await joseEncrypt(10)]
  const own = pairs[0]?.privateKey
  const joseDecrypt = (jwe: GeneralJWE): Promise<unknown> => generalDecrypt(jwe, (_header, token) => keyFor(token.header?.kid, own))

  return {
    contestants: {
      'AES-256-GCM encrypt': gcmEncrypt(),
      'seal 1': () => seal('one'),
      'seal 10': () => seal('ten'),
      'seal 1 per message': () => perMessage.sealSync(PAYLOAD, { channel: 'one' }),
      'jose encrypt 1': () => joseEncrypt(1),
      'jose encrypt 10': () => joseEncrypt(10),
      'AES-256-GCM decrypt': gcmDecrypt(),
      'open 1': () => opener.openSync(sealedOne(), { channel: 'one' }),
      'open 10': () => opener.openSync(sealedTen(), { channel: 'ten' }),
      'jose decrypt 1': () => joseDecrypt(joseOne),
      'jose decrypt 10': () => joseDecrypt(joseTen),
    },
    addedBytes: Object.fromEntries(['one', 'three', 'ten'].map((channel) => [channel, seal(channel).length - PAYLOAD.length])),
  }
}

/** jose's own way to skip entries of others cheaply. */
function keyFor(kid: string | undefined, own: KeyObject | undefined): KeyObject {
  if (kid !== 'service-0' || !own) throw new Error('not this entry')
  return own
}

function gcmEncrypt(): Contestant {
  const key = createSecretKey(randomBytes(32))
  const aad = randomBytes(HEADER_BYTES)
  return () => {
    const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12), { authTagLength: 16 })
    cipher.setAAD(aad)
    const ciphertext = cipher.update(PAYLOAD)
    cipher.final()
    return [ciphertext, cipher.getAuthTag()]
  }
}

function gcmDecrypt(): Contestant {
  const key = createSecretKey(randomBytes(32))
  const [aad, iv] = [randomBytes(HEADER_BYTES), randomBytes(12)]
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
  cipher.setAAD(aad)
  const ciphertext = cipher.update(PAYLOAD)
  cipher.final()
  const tag = cipher.getAuthTag()
  return () => {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
    decipher.setAAD(aad)
    decipher.setAuthTag(tag)
    const plaintext = decipher.update(ciphertext)
    decipher.final()
    return plaintext
  }
}

async function rate(contestant: Contestant, sliceMs: number): Promise<number> {
  const start = performance.now()
  let count = 0
  let elapsed = 0
  while (elapsed < sliceMs) {
    const result = contestant()
    if (result instanceof Promise) await result
    count++
    // Reading the clock costs; not every time for what takes microseconds.
    if (count % 16 === 0 || result instanceof Promise) elapsed = performance.now() - start
  }
  return (count / elapsed) * 1_000
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
const round2 = (value: number): number => Math.round(value * 100) / 100
