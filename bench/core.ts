import { randomBytes } from 'node:crypto'
import { tracingChannel } from 'node:diagnostics_channel'
import { GeneralEncrypt, type GeneralJWE, generalDecrypt } from 'jose'
import { floorOfOpening, floorOfSealing, gcmDecrypt, gcmEncrypt } from './gcm.ts'
import { awsPeer, confluentPeer } from './peers.ts'
import { type Contestant, medianRate, type Rates, ratio, runRounds } from './rounds.ts'
import { createSetting, type Service, type Setting } from './services.ts'

export interface BenchResult {
  /** Operations per second: the median of the rounds, by contestant and payload size. */
  readonly rates: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly ratios: Readonly<Record<string, number>>
  /** What the envelope adds to 1 KiB of payload, in bytes, by number of recipients. */
  readonly addedBytes: Readonly<Record<string, number>>
}

const SIZES = { '100 B': 100, '1 KiB': 1_024, '64 KiB': 65_536, '1 MiB': 1_048_576 } as const
const RECIPIENTS = [1, 3, 10, 100]
/** Messages that an opener is given in turn, as a consumer meets them: each another buffer, IV and id. */
const DISTINCT_BYTES = 4_194_304
const MOST_DISTINCT = 512

/**
 * Seal and open at four sizes, for four numbers of recipients, beside bare AES-256-GCM, jose, and two libraries with
 * cached data keys. jose opens as documented, with its private key: it tries the entries in turn.
 */
export async function benchCore(sliceMs: number): Promise<BenchResult> {
  const setting = await createSetting(RECIPIENTS)
  const rounds = new Map<string, readonly Rates[]>()
  for (const [label, size] of Object.entries(SIZES)) rounds.set(label, await runRounds(await contestantsOf(setting, size), sliceMs))
  const at = (label: keyof typeof SIZES, a: string, b: string): number => ratio(rounds.get(label) ?? [], a, b)
  const payload = randomBytes(1_024)
  return {
    rates: Object.fromEntries(
      Object.keys([...rounds.values()][0]?.[0] ?? {}).map((name) => [name, Object.fromEntries([...rounds].map(([label, of]) => [label, medianRate(of, name)]))]),
    ),
    ratios: {
      seal1_vs_jose: at('1 KiB', 'seal 1', 'jose encrypt 1'),
      seal1_vs_confluent: at('1 KiB', 'seal 1', 'confluent encrypt'),
      seal1_vs_aws: at('1 KiB', 'seal 1', 'aws encrypt'),
      seal10_vs_jose: at('1 KiB', 'seal 10', 'jose encrypt 10'),
      seal10_cost_vs_seal1: at('1 KiB', 'seal 1', 'seal 10'),
      open1_vs_jose: at('1 KiB', 'open 1', 'jose decrypt 1'),
      open10_vs_jose: at('1 KiB', 'open 10', 'jose decrypt 10'),
      seal_vs_gcm_1k: at('1 KiB', 'seal 1', 'AES-256-GCM encrypt'),
      seal_vs_gcm_64k: at('64 KiB', 'seal 1', 'AES-256-GCM encrypt'),
      seal_vs_gcm_1m: at('1 MiB', 'seal 1', 'AES-256-GCM encrypt'),
      open_vs_gcm_1k: at('1 KiB', 'open 1', 'AES-256-GCM decrypt'),
      open_vs_gcm_64k: at('64 KiB', 'open 1', 'AES-256-GCM decrypt'),
      open_vs_gcm_1m: at('1 MiB', 'open 1', 'AES-256-GCM decrypt'),
      tracing_cost_vs_seal1: at('1 KiB', 'seal 1', 'tracing check'),
      permessage_vs_jose: at('1 KiB', 'seal 1 per message', 'jose encrypt 1'),
      // What no JWE can pass, in the place of ours: whether a goal is within reach on this machine.
      seal1_floor_vs_jose: at('1 KiB', 'floor of sealing', 'jose encrypt 1'),
      seal1_floor_vs_confluent: at('1 KiB', 'floor of sealing', 'confluent encrypt'),
      seal1_floor_vs_aws: at('1 KiB', 'floor of sealing', 'aws encrypt'),
      seal10_floor_vs_jose: at('1 KiB', 'floor of sealing', 'jose encrypt 10'),
      seal_floor_vs_gcm_64k: at('64 KiB', 'floor of sealing', 'AES-256-GCM encrypt'),
      seal_floor_vs_gcm_1m: at('1 MiB', 'floor of sealing', 'AES-256-GCM encrypt'),
      open1_floor_vs_jose: at('1 KiB', 'floor of opening', 'jose decrypt 1'),
      open_floor_vs_gcm_1k: at('1 KiB', 'floor of opening', 'AES-256-GCM decrypt'),
      ...Object.fromEntries(
        Object.entries({ '1k': '1 KiB', '64k': '64 KiB', '1m': '1 MiB' } as const).flatMap(([short, label]) => [
          [`seal_vs_floor_${short}`, at(label, 'seal 1', 'floor of sealing')],
          [`open_vs_floor_${short}`, at(label, 'open 1', 'floor of opening')],
        ]),
      ),
    },
    addedBytes: Object.fromEntries(RECIPIENTS.map((count) => [count, setting.sealer.sealSync(payload, { channel: `to-${count}` }).bytes.length - payload.length])),
  }
}

async function contestantsOf(setting: Setting, size: number): Promise<Record<string, Contestant>> {
  const payload = randomBytes(size)
  const { sealer, perMessage, recipients, reader, opener } = setting
  const contestants: Record<string, Contestant> = { 'AES-256-GCM encrypt': gcmEncrypt(payload), 'AES-256-GCM decrypt': gcmDecrypt(payload), 'floor of sealing': floorOfSealing(payload), 'floor of opening': floorOfOpening(payload) }
  for (const count of RECIPIENTS) {
    const channel = `to-${count}`
    contestants[`seal ${count}`] = () => sealer.sealSync(payload, { channel })
    const messages = Array.from({ length: Math.min(MOST_DISTINCT, Math.ceil(DISTINCT_BYTES / size)) }, () => sealer.sealSync(payload, { channel }).bytes)
    let next = 0
    contestants[`open ${count}`] = () => opener(count).openSync(messages[next++ % messages.length] ?? payload, { channel })
  }
  // What tracing costs while nobody listens.
  const tracing = tracingChannel('sealbus:seal')
  contestants['tracing check'] = () => tracing.hasSubscribers
  contestants['seal 1 per message'] = () => perMessage.sealSync(payload, { channel: 'to-1' })
  for (const count of RECIPIENTS.filter((each) => each <= 10)) {
    contestants[`jose encrypt ${count}`] = () => joseEncrypt(payload, recipients(count))
    const jwe = await joseEncrypt(payload, recipients(count))
    const { privateKey } = reader(count)
    contestants[`jose decrypt ${count}`] = () => generalDecrypt(jwe, privateKey)
  }
  const [aws, confluent] = [awsPeer(), confluentPeer()]
  contestants['aws encrypt'] = () => aws.encrypt(payload)
  contestants['confluent encrypt'] = () => confluent.encrypt(payload)
  return contestants
}

async function joseEncrypt(payload: Buffer, recipients: readonly Service[]): Promise<GeneralJWE> {
  const jwe = new GeneralEncrypt(payload).setProtectedHeader({ enc: 'A256GCM' })
  for (const { name, publicKey } of recipients) jwe.addRecipient(publicKey).setUnprotectedHeader({ alg: 'ECDH-ES+A256KW', kid: name })
  return jwe.encrypt()
}
