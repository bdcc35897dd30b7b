import { randomBytes } from 'node:crypto'
import { defineChannels, type Sealer } from '@sealbus/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { remoteIdentities, type Services, startServices } from '../support/services.ts'
import type { Harness, Outgoing, Received, SubscribeOptions, Subscription, Transport } from './harness.ts'

const RECIPIENTS = ['billing', 'shipping', 'archive'] as const
const channels = defineChannels({ orders: { to: RECIPIENTS, match: [/^orders-/] } })
/** The same channel, as a sender that names another recipient has it. */
const channelsToAudit = defineChannels({ orders: { to: ['audit'], match: [/^orders-/] } })
const numbered = (count: number, prefix = ''): Outgoing[] => Array.from({ length: count }, (_, index) => ({ value: Buffer.from(`${prefix}${index}`) }))
const texts = (messages: readonly Received[]): string[] => messages.map(({ value }) => String(value))
const WAIT = { timeout: 20_000 }

/** One set of behaviours, the same on every transport. What a transport has not is not among its tests: a skipped test is one that could run. */
export function describeConformance({ name, features, open }: Transport): void {
  describe(`conformance: ${name}`, () => {
    let harness: Harness
    let services: Services
    let sealer: Sealer
    const subscriptions: Subscription[] = []

    beforeAll(async () => {
      services = await startServices(...RECIPIENTS, 'audit')
      sealer = await services.sealer(channels)
      harness = await open()
    })
    afterAll(async () => {
      await harness?.close()
      services?.close()
    })
    afterEach(async () => {
      await Promise.all(subscriptions.splice(0).map((each) => each.close()))
    })

    const subscribe = async (destination: string, service: string, options: Partial<SubscribeOptions> = {}): Promise<Subscription> => {
      const subscription = await harness.subscribe(destination, { opener: services.named(service).opener(channels), group: service, park: false, ...options })
      subscriptions.push(subscription)
      return subscription
    }
    const tampered = (): Buffer => {
      const jwe = JSON.parse(sealer.sealSync('x', { channel: 'orders', ...(features.records && { key: null }) }).bytes.toString()) as { ciphertext: string }
      return Buffer.from(JSON.stringify({ ...jwe, ciphertext: Buffer.from('y').toString('base64url') }))
    }

    it('round trip: binary, JSON with its content type, an empty body; plain nowhere, opened everywhere', async () => {
      const destination = await harness.destination('billing')
      const binary = randomBytes(300)
      await harness.publish(sealer, destination, { value: binary }, { value: Buffer.from('{"n":1}'), contentType: 'application/json' }, { value: Buffer.alloc(0) })
      const { received } = await subscribe(destination, 'billing')
      await expect.poll(() => received.length, WAIT).toBe(3)
      expect(received.map(({ value }) => value)).toEqual([binary, Buffer.from('{"n":1}'), Buffer.alloc(0)])
      expect(received.map(({ contentType }) => contentType)).toEqual([undefined, 'application/json', undefined])
      for (const { opened } of received) {
        expect(opened).toMatchObject({ channel: 'orders', kid: 'billing-1', sender: undefined })
        expect(opened?.envelope.toString()).toMatch(/^\{"protected":"/)
      }
      expect(new Set(received.map(({ opened }) => opened?.id)).size).toBe(3)
    })

    it('order: 1,000 messages arrive in the order in which they were published', async () => {
      const destination = await harness.destination('billing')
      const { received } = await subscribe(destination, 'billing')
      const messages = numbered(1_000)
      for (let start = 0; start < messages.length; start += 50) await harness.publish(sealer, destination, ...messages.slice(start, start + 50))
      await expect.poll(() => received.length, WAIT).toBe(1_000)
      expect(texts(received)).toEqual(texts(messages as unknown as Received[]))
    })

    it("headers: the caller's arrive as they were, and no other but the transport's own", async () => {
      const destination = await harness.destination('billing')
      await harness.publish(sealer, destination, { value: Buffer.from('x'), headers: { trace: 't-1', 'x-tenant': 'acme', 'ünïcode': 'wert' } })
      const { received } = await subscribe(destination, 'billing')
      await expect.poll(() => received.length, WAIT).toBe(1)
      expect(received[0]?.headers).toEqual({ trace: 't-1', 'x-tenant': 'acme', 'ünïcode': 'wert' })
    })

    if (features.records) it('record keys stay as they are, and a tombstone stays one, unmarked', async () => {
      const destination = await harness.destination('billing')
      await harness.publish(sealer, destination, { value: Buffer.from('x'), key: 'customer-7' }, { value: null, key: 'customer-7' }, { value: Buffer.from('y') })
      const { received } = await subscribe(destination, 'billing')
      await expect.poll(() => received.length, WAIT).toBe(3)
      expect(received.map(({ key, value }) => [key, value && String(value)])).toEqual([['customer-7', 'x'], ['customer-7', null], [undefined, 'y']])
      expect(received.map(({ opened }) => opened !== undefined)).toEqual([true, false, true])
    })

    if (features.transactions) it('transactions: what is committed arrives, what is aborted does not', async () => {
      const destination = await harness.destination('billing')
      await harness.publishInTransaction(sealer, destination, { value: Buffer.from('aborted') }, 'abort')
      await harness.publishInTransaction(sealer, destination, { value: Buffer.from('committed') }, 'commit')
      const { received } = await subscribe(destination, 'billing')
      await expect.poll(() => texts(received), WAIT).toEqual(['committed'])
    })

    it('several recipients: each opens with its own key', async () => {
      const destination = await harness.destination(...RECIPIENTS)
      await harness.publish(sealer, destination, ...numbered(5))
      for (const name of RECIPIENTS) {
        const { received } = await subscribe(destination, name)
        await expect.poll(() => texts(received), WAIT).toEqual(['0', '1', '2', '3', '4'])
        expect(received.map(({ opened }) => opened?.kid)).toEqual(Array.from({ length: 5 }, () => `${name}-1`))
      }
    })

    describe('not a recipient', () => {
      it('is parked where there is a parking place', async () => {
        const destination = await harness.destination('audit')
        await harness.publish(sealer, destination, ...numbered(2))
        const { received } = await subscribe(destination, 'audit', { park: true })
        await expect.poll(async () => (await harness.parkedCopies(destination, 'audit')).length, WAIT).toBe(2)
        expect(received).toEqual([])
      })

      it('stops where there is none', async () => {
        const destination = await harness.destination('audit')
        await harness.publish(sealer, destination, ...numbered(2))
        const subscription = await subscribe(destination, 'audit')
        await expect.poll(() => subscription.stopped, WAIT).toEqual(['ERR_SEALBUS_NOT_A_RECIPIENT'])
        expect([subscription.received, subscription.healthy()]).toEqual([[], false])
        await subscription.close()
        expect(await harness.remaining(destination, 'audit')).toBe(2)
      })

      it('is skipped by choice', async () => {
        const destination = await harness.destination('audit')
        const toAudit = await services.sealer(channelsToAudit)
        await harness.publish(sealer, destination, ...numbered(3))
        await harness.publish(toAudit, destination, { value: Buffer.from('for audit') })
        const subscription = await subscribe(destination, 'audit', { dispositions: { notARecipient: 'skip' } })
        await expect.poll(() => texts(subscription.received), WAIT).toEqual(['for audit'])
        expect([subscription.stopped, subscription.healthy()]).toEqual([[], true])
        await subscription.close()
        expect(await harness.remaining(destination, 'audit')).toBe(0)
      })
    })

    it('park: a changed message is parked byte for byte with its reason, and the next ones are handled', async () => {
      const destination = await harness.destination('billing')
      const bad = tampered()
      await harness.publish(sealer, destination, { value: Buffer.from('before') })
      await harness.publishRaw(destination, bad, { mark: 'kept' })
      await harness.publish(sealer, destination, { value: Buffer.from('after') })
      const subscription = await subscribe(destination, 'billing', { park: true })
      await expect.poll(() => texts(subscription.received), WAIT).toEqual(['before', 'after'])
      const [copy, ...more] = await harness.parkedCopies(destination, 'billing')
      expect(more).toEqual([])
      expect(copy?.value).toEqual(bad)
      expect(copy?.headers).toMatchObject({ mark: 'kept', 'sealbus-park-code': 'ERR_SEALBUS_DECRYPT_FAILED' })
      expect(copy?.headers['sealbus-park-id']).toBeTruthy()
      await subscription.close()
      expect(await harness.remaining(destination, 'billing')).toBe(0)
    })

    it('hold: while the key source is down nothing moves, is parked or lost; then everything is handled, in order', async () => {
      const destination = await harness.destination('billing')
      const source = remoteIdentities(services.named('billing'))
      source.available = false
      const subscription = await subscribe(destination, 'billing', { opener: services.named('billing').opener(channels, { identities: source }), park: true })
      await harness.publish(sealer, destination, ...numbered(20))
      await expect.poll(() => source.calls, WAIT).toBeGreaterThan(3)
      expect([subscription.received, subscription.healthy()]).toEqual([[], true])
      source.available = true
      await expect.poll(() => subscription.received.length, WAIT).toBe(20)
      expect(texts(subscription.received)).toEqual(texts(numbered(20) as unknown as Received[]))
      expect(await harness.parkedCopies(destination, 'billing')).toEqual([])
    })

    it('hold: a subscriber that closes in the middle leaves everything to the next one', async () => {
      const destination = await harness.destination('billing')
      const source = remoteIdentities(services.named('billing'))
      source.available = false
      await harness.publish(sealer, destination, ...numbered(5))
      const held = await subscribe(destination, 'billing', { opener: services.named('billing').opener(channels, { identities: source }) })
      await expect.poll(() => source.calls, WAIT).toBeGreaterThan(0)
      const start = Date.now()
      await held.close()
      expect(Date.now() - start).toBeLessThan(5_000)
      const { received } = await subscribe(destination, 'billing')
      await expect.poll(() => texts(received), WAIT).toEqual(['0', '1', '2', '3', '4'])
    })

    it('stop: it says so, is not healthy, and the message is still there for the next subscriber', async () => {
      const destination = await harness.destination('billing')
      await harness.publish(sealer, destination, { value: Buffer.from('before') })
      await harness.publishRaw(destination, tampered())
      await harness.publish(sealer, destination, { value: Buffer.from('after') })
      const subscription = await subscribe(destination, 'billing')
      await expect.poll(() => subscription.stopped, WAIT).toEqual(['ERR_SEALBUS_DECRYPT_FAILED'])
      expect([texts(subscription.received), subscription.healthy()]).toEqual([['before'], false])
      await subscription.close()
      expect(await harness.remaining(destination, 'billing')).toBe(2)
    })

    it('a plain message on a sealed channel is not delivered', async () => {
      const destination = await harness.destination('billing')
      await harness.publishRaw(destination, Buffer.from('{"forged":true}'))
      await harness.publish(sealer, destination, { value: Buffer.from('sealed') })
      const { received } = await subscribe(destination, 'billing', { park: true })
      await expect.poll(() => texts(received), WAIT).toEqual(['sealed'])
      const copies = await harness.parkedCopies(destination, 'billing')
      expect(copies.map(({ headers }) => headers['sealbus-park-code'])).toEqual(['ERR_SEALBUS_NOT_SEALED'])
    })

    it('retry: an opened message passes through a sealing publisher as it is, and opens at the retry destination', async () => {
      const [destination, retry] = [await harness.destination('billing'), await harness.destination('billing')]
      await harness.publish(sealer, destination, { value: Buffer.from('again'), contentType: 'text/plain' })
      const first = await subscribe(destination, 'billing', {
        onMessage: async ({ opened, contentType }) => {
          await harness.publish(sealer, retry, { value: opened?.envelope ?? null, ...(contentType !== undefined && { contentType }) })
        },
      })
      const second = await subscribe(retry, 'billing')
      await expect.poll(() => texts(second.received), WAIT).toEqual(['again'])
      expect(second.received[0]?.opened?.envelope).toEqual(first.received[0]?.opened?.envelope)
      expect(second.received[0]?.contentType).toBe('text/plain')
    })
  })
}
