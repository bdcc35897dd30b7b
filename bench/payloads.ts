import { randomBytes, randomUUID } from 'node:crypto'

export interface Payload {
  readonly key: string
  readonly value: Buffer
}

export interface Payloads {
  batch(): Payload[]
  one(): Payload
}

export const BATCH = 100
/** More than the processor's caches hold, as with an application that makes each message anew. */
const DISTINCT = 64 * BATCH

/** Payloads in turn, each another buffer. */
export function createPayloads(make: () => Buffer): Payloads {
  const payloads = Array.from({ length: DISTINCT }, (): Payload => ({ key: randomUUID(), value: make() }))
  let next = 0
  const batch = (): Payload[] => {
    const start = next
    next = (next + BATCH) % DISTINCT
    return payloads.slice(start, start + BATCH)
  }
  return { batch, one: () => batch()[0] as Payload }
}

/** 1 KiB that no compression makes smaller. */
export const kibibyte = (): Buffer => randomBytes(1_024)

/** About 1 KiB of what services tell each other. */
export function order(): Buffer {
  const lines = Array.from({ length: 6 }, (_, line) => ({ line, sku: `SKU-${randomBytes(3).toString('hex')}`, quantity: 1 + (line % 3), unitPrice: { amount: 1_999 + line, currency: 'EUR' }, taxRate: 0.19, status: 'ALLOCATED' }))
  return Buffer.from(JSON.stringify({ type: 'order.placed', version: 2, id: randomUUID(), customer: { id: randomUUID(), segment: 'RETURNING', country: 'DE' }, placedAt: new Date().toISOString(), shipping: { method: 'STANDARD', address: { street: 'Long Street 1', city: 'Hamburg', postalCode: '20095' } }, lines }))
}
