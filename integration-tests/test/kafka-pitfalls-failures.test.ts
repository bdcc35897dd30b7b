import { generateKeyPairSync, randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSealer, createStaticDirectory, defineChannels, type Identity, type IdentityStore, loadIdentities, type Opener, SealbusError } from '@sealbus/core'
import { consumerHealth, type ParkedMessage, sealKafka, type StoppedMessage } from '@sealbus/kafka'
import { Kafka, logLevel } from 'kafkajs'
import { expect, it } from 'vitest'
import { describeWithKafka, uniqueName } from '../support/brokers.ts'
import { canariesIn, createCanaries, shownOf } from '../support/canaries.ts'
import { eventsOf, tamper, useKafka, WAIT } from '../support/kafka-fixture.ts'

// The numbers are those of the list of pitfalls in docs/KAFKA.md.
const channels = defineChannels({
  orders: { to: ['billing'], match: [/^orders-/] },
  refunds: { to: ['billing'], match: ['refunds'] },
  others: { to: ['audit'], match: ['others'] },
})

/** What the opener of these tests takes, in bytes. */
const LARGEST = 1_000

describeWithKafka('Kafka pitfalls: messages that do not open', ({ bootstrap }) => {
  const fixture = useKafka(bootstrap, channels)
  const envelope = (value: string): Buffer => fixture.sealer.sealSync(value, { channel: 'orders', key: null }).bytes
  const values = (count: number, partition = 0, stem = ''): { value: string; partition: number }[] => Array.from({ length: count }, (_, index) => ({ value: `${stem}${index}`, partition }))
  /** One of each kind of message that does not open, and what it is called. */
  const unopenable = async (): Promise<{ bad: Buffer; key?: string; code: string }[]> => {
    const { sealer } = fixture
    const changed = (change: (protectedHeader: { msg: { v: number } }) => void): Buffer => {
      const jwe = JSON.parse(envelope('x').toString()) as { protected: string }
      const header = JSON.parse(Buffer.from(jwe.protected, 'base64url').toString()) as { msg: { v: number } }
      change(header)
      return Buffer.from(JSON.stringify({ ...jwe, protected: Buffer.from(JSON.stringify(header)).toString('base64url') }))
    }
    const strange = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
    const elsewhere = (kid: string): Buffer => createSealer({ directory: createStaticDirectory({ billing: { ...strange, kid } }), channels }).sealSync('x', { channel: 'orders', key: null }).bytes
    return [
      { bad: tamper(envelope('x')), code: 'ERR_SEALBUS_DECRYPT_FAILED' },
      { bad: envelope('x').subarray(0, 200), code: 'ERR_SEALBUS_MALFORMED' },
      { bad: Buffer.from('{"total":9}'), code: 'ERR_SEALBUS_NOT_SEALED' },
      { bad: sealer.sealSync('x', { channel: 'refunds', key: null }).bytes, code: 'ERR_SEALBUS_CONTEXT_MISMATCH' },
      { bad: sealer.sealSync('x', { channel: 'orders', key: 'mine' }).bytes, key: 'yours', code: 'ERR_SEALBUS_CONTEXT_MISMATCH' },
      { bad: sealer.sealSync('x', { channel: 'others', key: null }).bytes, code: 'ERR_SEALBUS_NOT_A_RECIPIENT' },
      { bad: changed(({ msg }) => void (msg.v = 2)), code: 'ERR_SEALBUS_UNSUPPORTED_VERSION' },
      { bad: changed((header) => void Object.assign(header, { alg: 'RSA1_5' })), code: 'ERR_SEALBUS_REFUSED' },
      { bad: elsewhere('not-here-yet'), code: 'ERR_SEALBUS_KEY_MISSING' },
      { bad: elsewhere('destroyed'), code: 'ERR_SEALBUS_KEY_DESTROYED' },
      { bad: elsewhere('revoked'), code: 'ERR_SEALBUS_KEY_REVOKED' },
      { bad: envelope('x'.repeat(LARGEST + 1)), code: 'ERR_SEALBUS_TOO_LARGE' },
    ]
  }
  /** An opener of `billing`, with the memory of a key that was destroyed, one that is revoked, and a bound for payloads. */
  const strictOpener = (): Opener => {
    const { identities } = fixture.services.named('billing')
    const revoked = identities.list().map((identity): Identity => ({ ...identity, kid: 'revoked', state: 'revoked' }))[0]
    const find: IdentityStore['find'] = (kid) => (kid === 'destroyed' ? { kid, destroyed: { at: new Date(0) } } : kid === 'revoked' ? revoked : identities.find(kid))
    return fixture.opener({ identities: { find, list: () => identities.list() }, maxPayloadBytes: LARGEST })
  }
  /** Each partition of a new topic has a good message, one of a kind that does not open, and another good one. */
  const topicOfEachKind = async (): Promise<{ topic: string; kinds: readonly { code: string; bad: Buffer }[] }> => {
    const kinds = await unopenable()
    const topic = await fixture.topic('orders', { partitions: kinds.length })
    for (const [partition, { bad, key }] of kinds.entries()) {
      await fixture.sealed.send({ topic, messages: [{ value: `before-${partition}`, partition }] })
      await fixture.raw.send({ topic, messages: [{ value: bad, partition, ...(key !== undefined && { key }) }] })
      await fixture.sealed.send({ topic, messages: [{ value: `after-${partition}`, partition }] })
    }
    return { topic, kinds }
  }

  it('pitfall 7: every kind of failure, parked: one copy each, the rest handled once, everything committed, no crash', async () => {
    const { consumer, raw, committed, ends } = fixture
    const { topic, kinds } = await topicOfEachKind()
    const parkTopic = await fixture.topic('parked')
    const [seen, parked, groupId] = [[] as string[], [] as ParkedMessage[], uniqueName('group')]
    const wrapped = await consumer({ topics: [topic], groupId, opener: strictOpener(), park: { topic: parkTopic, producer: raw }, onParked: (each) => void parked.push(each), dispositions: { keyMissingHoldMs: 0 } })
    const events = eventsOf(wrapped, 'CRASH', 'STOP')
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(kinds.map(() => '3'))
    expect(seen.toSorted()).toEqual(kinds.flatMap((_, index) => [`after-${index}`, `before-${index}`]).toSorted())
    expect(parked.toSorted((a, b) => a.partition - b.partition).map(({ partition, offset, code }) => [partition, offset, code])).toEqual(kinds.map(({ code }, partition) => [partition, '1', code]))
    expect([await ends(parkTopic), events, consumerHealth(wrapped)]).toEqual([[`${kinds.length}`], [], { healthy: true, halted: [] }])
    // It lives: what comes next is handled.
    await fixture.sealed.send({ topic, messages: [{ value: 'next', partition: 0 }] })
    await expect.poll(() => seen.at(-1), WAIT).toBe('next')
  })

  it('pitfall 7: every kind of failure, stopping: each partition stops at it, once, and the consumer lives on', async () => {
    const { consumer, committed, admin } = fixture
    const { topic, kinds } = await topicOfEachKind()
    const [seen, stopped, groupId] = [[] as string[], [] as StoppedMessage[], uniqueName('group')]
    const wrapped = await consumer({ topics: [topic], groupId, opener: strictOpener(), onStopped: (each) => void stopped.push(each), dispositions: { keyMissingHoldMs: 0 } })
    const events = eventsOf(wrapped, 'CRASH', 'STOP', 'REBALANCING')
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => stopped.length, WAIT).toBe(kinds.length)
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(kinds.map(() => '1'))
    // Several heartbeats and fetches later nothing has changed: no loop, no second call, no crash.
    await sleep(1_500)
    expect(stopped.toSorted((a, b) => a.partition - b.partition).map(({ offset, error }) => [offset, error.code])).toEqual(kinds.map(({ code }) => ['1', code]))
    expect([seen.toSorted(), events]).toEqual([kinds.map((_, index) => `before-${index}`).toSorted(), []])
    expect(await committed(groupId, topic)).toEqual(kinds.map(() => '1'))
    expect(consumerHealth(wrapped)).toMatchObject({ healthy: false, halted: kinds.map(() => ({ state: 'stopped', waitingFor: 'operator' })) })
    const { groups: [group] } = await admin.describeGroups([groupId])
    expect([group?.state, group?.members.length]).toEqual(['Stable', 1])
  })

  it('pitfall 7: skipped only where chosen, and only what is not for us by name, or was sealed for a destroyed key', async () => {
    const { consumer, committed } = fixture
    const { topic, kinds } = await topicOfEachKind()
    const groupId = uniqueName('group')
    const stopped: StoppedMessage[] = []
    const wrapped = await consumer({ topics: [topic], groupId, opener: strictOpener(), onStopped: (each) => void stopped.push(each), dispositions: { keyMissingHoldMs: 0, notARecipient: 'skip', keyDestroyed: 'skip' } })
    await wrapped.run({ eachMessage: async () => {} })
    const skipped = ['ERR_SEALBUS_NOT_A_RECIPIENT', 'ERR_SEALBUS_KEY_DESTROYED']
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(kinds.map(({ code }) => (skipped.includes(code) ? '3' : '1')))
    expect(stopped).toHaveLength(kinds.length - 2)
  })

  it('pitfall 8: 300 mutated envelopes: whatever they do to the opener, only typed errors come of it, and the consumer lives', async () => {
    const { consumer, raw, sealed, ends } = fixture
    const topic = await fixture.topic()
    const parkTopic = await fixture.topic('parked')
    const mutated = Array.from({ length: 300 }, (_, index) => {
      const bytes = Buffer.from(envelope('x'))
      if (index % 3 === 0) return bytes.subarray(0, randomInt(bytes.length))
      if (index % 3 === 1) bytes[randomInt(bytes.length)] = randomInt(256)
      else bytes.set(randomBytes(8), randomInt(bytes.length - 8))
      return bytes
    })
    await raw.send({ topic, messages: mutated.map((value) => ({ value })) })
    await sealed.send({ topic, messages: [{ value: 'the end' }] })
    const [seen, parked] = [[] as string[], [] as ParkedMessage[]]
    const wrapped = await consumer({ topics: [topic], park: { topic: parkTopic, producer: raw }, onParked: (each) => void parked.push(each), dispositions: { keyMissingHoldMs: 0 } })
    const events = eventsOf(wrapped, 'CRASH', 'STOP')
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen.at(-1), { timeout: 60_000 }).toBe('the end')
    // A mutation may leave an envelope as it was, by chance.
    expect(seen.slice(0, -1).every((value) => value === 'x')).toBe(true)
    expect([parked.length + seen.length, events]).toEqual([301, []])
    expect(await ends(parkTopic)).toEqual([`${parked.length}`])
    expect(parked.every(({ code }) => code.startsWith('ERR_SEALBUS_'))).toBe(true)
    const error = new SealbusError('ERR_SEALBUS_MALFORMED', 'x')
    expect(['retriable' in error, error instanceof TypeError, error instanceof RangeError]).toEqual([false, false, false])
  })

  it('pitfall 31: a key that arrives while its message is held: nothing is parked, and it is handled', async () => {
    const { consumer, raw, committed, opener, services } = fixture
    const topic = await fixture.topic('orders', { partitions: 2 })
    const parkTopic = await fixture.topic('parked')
    const next = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const later = await loadIdentities({ keys: [{ ...next.privateKey.export({ format: 'jwk' }), kid: 'billing-2' }] as never })
    const now = services.named('billing').identities
    let arrived = false
    const identities: IdentityStore = { find: (kid) => now.find(kid) ?? (arrived ? later.find(kid) : undefined), list: () => now.list() }
    const sealer = createSealer({ directory: createStaticDirectory({ billing: { ...next.publicKey.export({ format: 'jwk' }), kid: 'billing-2' } }), channels })
    await raw.send({ topic, messages: [{ value: sealer.sealSync('rotated', { channel: 'orders', key: null }).bytes, partition: 0 }, { value: envelope('other'), partition: 1 }] })
    const [seen, groupId] = [[] as string[], uniqueName('group')]
    const wrapped = await consumer({ topics: [topic], groupId, opener: opener({ identities }), park: { topic: parkTopic, producer: raw } })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => consumerHealth(wrapped).halted, WAIT).toMatchObject([{ partition: 0, offset: '0', code: 'ERR_SEALBUS_KEY_MISSING', waitingFor: 'key' }])
    await expect.poll(() => seen, WAIT).toEqual(['other'])
    arrived = true
    await expect.poll(() => seen, WAIT).toEqual(['other', 'rotated'])
    await expect.poll(() => committed(groupId, topic), WAIT).toEqual(['1', '1'])
    expect(await fixture.ends(parkTopic)).toEqual(['0'])
  })

  it('pitfall 31: a key source that is down: held, not parked, and handled in order when it is back', async () => {
    const { consumer, raw, sealed, remote } = fixture
    const topic = await fixture.topic()
    const parkTopic = await fixture.topic('parked')
    const { source, opener } = remote()
    source.available = false
    await sealed.send({ topic, messages: values(5) })
    const seen: string[] = []
    const wrapped = await consumer({ topics: [topic], opener, park: { topic: parkTopic, producer: raw } })
    await wrapped.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => source.calls, WAIT).toBeGreaterThan(3)
    expect([seen, consumerHealth(wrapped).halted.length]).toEqual([[], 1])
    source.available = true
    await expect.poll(() => seen, WAIT).toEqual(['0', '1', '2', '3', '4'])
    expect(await fixture.ends(parkTopic)).toEqual(['0'])
  })

  it('pitfall 34: no plaintext of what comes in errors, logs, instrumentation events, health or the headers of parked copies', async () => {
    const { raw, sealed, sealer } = fixture
    const canaries = createCanaries()
    const bytes = (channel: string, value = canaries.next()): Buffer => sealer.sealSync(value, { channel, key: null }).bytes
    const bad = [tamper(bytes('orders')), bytes('refunds'), bytes('others'), bytes('orders', canaries.next().repeat(20)), bytes('orders').subarray(0, -20), Buffer.from(canaries.next())]
    const topic = await fixture.topic('orders', { partitions: bad.length + 1 })
    const parkTopic = await fixture.topic('parked')
    for (const [partition, value] of bad.entries()) await raw.send({ topic, messages: [{ value, partition }] })
    await sealed.send({ topic, messages: [{ value: canaries.next(), partition: bad.length }] })

    const shown: unknown[] = []
    const kafka = new Kafka({ brokers: [...bootstrap], logLevel: logLevel.DEBUG, logCreator: () => (entry) => void shown.push(entry), retry: { initialRetryTime: 100 } })
    const [seen, stopped, parked] = [[] as string[], [] as StoppedMessage[], [] as ParkedMessage[]]
    for (const options of [{ onStopped: (each: StoppedMessage) => void stopped.push(each) }, { park: { topic: parkTopic, producer: raw }, onParked: (each: ParkedMessage) => void parked.push(each) }]) {
      const consumer = sealKafka(kafka, { opener: strictOpener(), ...options }).consumer({ groupId: uniqueName('group'), maxWaitTimeInMs: 100 })
      fixture.closeLater(() => consumer.disconnect())
      for (const event of Object.values(consumer.events)) consumer.on(event as never, (each: unknown) => void shown.push(each))
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      const from = seen.length
      await consumer.run({ eachMessage: async ({ message }) => {
        seen.push(String(message.value))
        if (seen.length === from + 1) throw new Error('handler')
      } })
      // After the handler's error the client starts anew, and some may stop or be parked again.
      const settled = 'park' in options ? parked : stopped
      await expect.poll(() => [seen.length, new Set(settled.map(({ partition }) => partition)).size], WAIT).toEqual([from + 2, bad.length])
      shown.push(consumerHealth(consumer))
    }
    expect(seen.every((value) => canariesIn(value, canaries).length > 0)).toBe(true)
    shown.push(...stopped, ...stopped.map(({ error }) => error), ...parked, ...(await fixture.stored(parkTopic, Number((await fixture.ends(parkTopic))[0]))).map(({ headers }) => Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${String(value)}`)))
    const text = shownOf(shown)
    expect(canariesIn(text, canaries)).toEqual([])
    expect(text.length).toBeGreaterThan(10_000)
  })
})
