import { generateKeyPairSync } from 'node:crypto'
import { type Channels, createOpener, createSealer, createStaticDirectory, defineChannels, loadIdentities, type Opener, type RecipientDirectory, SealbusError, type Sealer } from '@sealbus/core'
import type { BatchPayload, DeliveredRecord, RunConfig, TopicPartitions, TopicRecords } from '../../src/client-shape.ts'

export const channels: Channels = defineChannels({ orders: { to: ['billing'], match: [/^orders/] }, other: { to: ['late'] }, nobody: { to: () => [] }, metrics: 'plaintext' })

export interface Keys {
  readonly sealer: Sealer
  readonly opener: Opener
  /** A sealer with other channels, whose recipients are the same. */
  sealerFor(channels: Channels): Sealer
  /** The recipient `late` has its key in memory only after this. */
  arrive(): void
}

export async function makeKeys(): Promise<Keys> {
  const identities = await loadIdentities({ keys: [{ ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid: 'k1' }] })
  const [identity] = identities.list()
  if (!identity) throw new Error('no identity')
  const known = createStaticDirectory({ billing: identity.publicJwk, late: identity.publicJwk })
  const arrival = Promise.withResolvers<void>()
  let arrived = false
  const directory: RecipientDirectory = {
    peek: (name) => (name === 'late' && !arrived ? undefined : known.peek(name)),
    async resolve(name, { signal } = {}) {
      if (name === 'late') await Promise.race([arrival.promise, new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))))])
      return known.resolve(name)
    },
  }
  return {
    sealer: createSealer({ directory, channels }),
    opener: createOpener({ name: 'billing', identities, channels }),
    sealerFor: (others) => createSealer({ directory, channels: others }),
    arrive(): void {
      arrived = true
      arrival.resolve()
    },
  }
}

/** An opener's `openSync` where every key is behind a source that is asked by `open`. */
export const notInMemory: Opener['openSync'] = () => {
  throw new SealbusError('ERR_SEALBUS_KEYS_NOT_READY', 'not in memory')
}

/** A producer that keeps what it is given. */
export class FakeProducer {
  readonly sent: TopicRecords[] = []
  readonly batches: object[] = []
  readonly calls: string[] = []
  readonly transactions: FakeProducer[] = []
  readonly events = {}
  send(record?: TopicRecords): Promise<unknown> {
    this.calls.push('send')
    if (record) this.sent.push(record)
    return Promise.resolve([{ topicName: record?.topic }])
  }
  sendBatch(batch: { topicMessages?: readonly TopicRecords[] }): Promise<unknown> {
    this.calls.push('sendBatch')
    this.batches.push(batch)
    this.sent.push(...(batch.topicMessages ?? []))
    return Promise.resolve([])
  }
  transaction(): Promise<FakeProducer> {
    const transaction = new FakeProducer()
    this.transactions.push(transaction)
    return Promise.resolve(transaction)
  }
  on(): this {
    return this
  }
  async connect(): Promise<this> {
    return this
  }
  async disconnect(): Promise<void> {
    this.calls.push('disconnect')
  }
  get bytes(): string {
    return JSON.stringify(this.sent, (_key, value: unknown) => (Buffer.isBuffer(value) ? value.toString('latin1') : value)) + this.sent.flatMap((each) => (Array.isArray(each.messages) ? each.messages : []).map(({ value }) => String(value))).join('\n')
  }
}

/** One partition, run as kafkajs runs it: a paused one is not fetched, and what is not resolved is fetched again. */
export class FakeConsumer {
  readonly log: DeliveredRecord[]
  readonly paused = new Set<string>()
  readonly events: Record<string, string> = { GROUP_JOIN: 'consumer.group_join', STOP: 'consumer.stop' }
  readonly #listeners = new Map<string, (event: unknown) => void>()
  committed = 0
  config: RunConfig | undefined
  #position = 0
  #running = false
  #loop: Promise<void> | undefined

  constructor(log: DeliveredRecord[]) {
    this.log = log
  }

  on(event: string, listener: (event: unknown) => void): void {
    this.#listeners.set(event, listener)
  }
  /** As the client's own instrumentation does. */
  emit(name: string, payload: object = {}): void {
    this.#listeners.get(this.events[name] ?? '')?.({ payload })
  }

  async run(config: RunConfig): Promise<void> {
    if (this.#running) return
    this.config = config
    this.#running = true
    this.#loop = this.#fetch()
  }

  async #fetch(): Promise<void> {
    while (this.#running) {
      if (this.paused.size === 0 && this.#position < this.log.length) await this.#deliver()
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  async #deliver(): Promise<void> {
    const messages = this.log.slice(this.#position)
    const batch = { topic: 'orders', partition: 0, messages, lastOffset: () => messages.at(-1)?.offset, firstOffset: () => messages[0]?.offset, isEmpty: () => messages.length === 0 }
    const payload: BatchPayload = {
      batch,
      resolveOffset: (offset) => void (this.#position = Number(offset) + 1),
      heartbeat: async () => {},
      pause: () => () => {},
      commitOffsetsIfNecessary: async () => {},
      isRunning: () => this.#running,
      isStale: () => false,
    }
    await this.config?.eachBatch?.(payload)
    if (this.config?.autoCommit !== false) this.committed = this.#position
  }

  pause(topicPartitions: readonly TopicPartitions[]): void {
    for (const { topic, partitions = [0] } of topicPartitions) for (const partition of partitions) this.paused.add(`${topic}/${partition}`)
  }
  resume(topicPartitions: readonly TopicPartitions[]): void {
    for (const { topic, partitions = [0] } of topicPartitions) for (const partition of partitions) this.paused.delete(`${topic}/${partition}`)
  }
  seek({ offset }: { topic: string; partition: number; offset: string }): void {
    this.#position = Number(offset)
  }
  async stop(): Promise<void> {
    this.#running = false
    await this.#loop
  }
  async disconnect(): Promise<void> {
    await this.stop()
  }
}

export const record = (offset: number, value: Buffer | null, more: Partial<DeliveredRecord> = {}): DeliveredRecord => ({ offset: `${offset}`, key: null, value, headers: {}, ...more })
