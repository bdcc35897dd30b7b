import { randomBytes } from 'node:crypto'
import { generateKeyPairSync } from 'node:crypto'
import { createSealer, createStaticDirectory, defineChannels } from '@sealbus/core'
import type { JWK } from 'jose'
import { createSetting } from './services.ts'

export interface HeapResult {
  /** Megabytes in use after a collection, at equal distances of the run. */
  readonly messages: readonly number[]
  readonly recipients: readonly number[]
}

const STEPS = 10

/** Seals and opens so many messages, and then seals for so many recipients in turn; the heap is to stay as it is. */
export async function benchHeap(messages: number, recipients: number): Promise<HeapResult> {
  const { gc } = globalThis
  if (!gc) throw new Error('run with --expose-gc')
  const used = (): number => {
    gc()
    return Math.round(process.memoryUsage().heapUsed / 104_857.6) / 10
  }
  return { messages: await sealAndOpen(messages, used), recipients: await sealForMany(recipients, used) }
}

async function sealAndOpen(count: number, used: () => number): Promise<number[]> {
  const { sealer, opener } = await createSetting([1])
  const payload = randomBytes(100)
  const samples: number[] = []
  for (let done = 1; done <= count; done++) {
    opener(1).openSync(sealer.sealSync(payload, { channel: 'to-1' }).bytes, { channel: 'to-1' })
    if (done % Math.ceil(count / STEPS) === 0) samples.push(used())
  }
  return samples
}

/** Every recipient is another list of names, so that each asks for a content-key session of its own. */
async function sealForMany(count: number, used: () => number): Promise<number[]> {
  const names = Array.from({ length: count }, (_, index) => `service-${index}`)
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = publicKey.export({ format: 'jwk' }) as JWK
  const directory = createStaticDirectory(Object.fromEntries(names.map((name) => [name, { ...key, kid: name }])))
  const channels = defineChannels({ orders: { to: ({ key: name }) => [String(name)] } })
  const sealer = createSealer({ directory, channels })
  const samples: number[] = []
  for (const [index, name] of names.entries()) {
    sealer.sealSync('x', { channel: 'orders', key: name })
    if ((index + 1) % Math.ceil(count / STEPS) === 0) samples.push(used())
  }
  return samples
}
