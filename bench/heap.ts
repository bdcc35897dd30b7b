import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createSealer, createStaticDirectory, defineChannels, type RecipientDirectory } from '@sealbus/core'
import { LRUCache } from 'lru-cache'
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
    // As under a consumer, timers and collections get their turn.
    if (done % 1_000 === 0) await nextTurn()
    if (done % Math.ceil(count / STEPS) === 0) samples.push(used())
  }
  return samples
}

/** Every recipient is another list of names, so that each asks for a content-key session of its own; the directory holds a thousand keys. */
async function sealForMany(count: number, used: () => number): Promise<number[]> {
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const keys = new LRUCache<string, RecipientDirectory>({ max: 1_000, memoMethod: (name) => createStaticDirectory({ [name]: { ...jwk, kid: name } }) })
  const peek: RecipientDirectory['peek'] = (name) => keys.memo(name).peek(name)
  const directory: RecipientDirectory = { peek, resolve: (name) => keys.memo(name).resolve(name) }
  const sealer = createSealer({ directory, channels: defineChannels({ orders: { to: ({ key }) => [String(key)] } }) })
  const samples: number[] = []
  for (let done = 1; done <= count; done++) {
    sealer.sealSync('x', { channel: 'orders', key: `service-${done}` })
    if (done % 1_000 === 0) await nextTurn()
    if (done % Math.ceil(count / STEPS) === 0) samples.push(used())
  }
  return samples
}
