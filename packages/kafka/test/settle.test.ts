import { defineChannels, type Opener, SealbusError, type SealbusErrorCode } from '@sealbus/core'
import type { DispositionOptions } from '@sealbus/core/adapter'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { InnerConsumer, Place } from '../src/client-shape.ts'
import { createHolds, type Holds } from '../src/holds.ts'
import { createOpening, type OpenRecord } from '../src/opening.ts'
import { createParking, type ParkedMessage, type Parking } from '../src/parking.ts'
import { createSettler, type StoppedMessage } from '../src/settle.ts'
import type { Turn } from '../src/turn.ts'
import { FakeProducer, type Keys, makeKeys, notInMemory, record } from './support/fakes.ts'

const place: Place = { topic: 'orders', partition: 0 }
/** Not UTF-8, as what was changed on the way may be. */
const bad = record(5, Buffer.concat([Buffer.from('{"protected":"'), Buffer.from([0xff])]), { key: Buffer.from('k'), headers: { mark: Buffer.from('kept') } })

let keys: Keys
let holds: Holds
let producer: FakeProducer
let parking: Parking
let parked: ParkedMessage[]
let stopped: StoppedMessage[]
let turn: Turn & { over: boolean }
beforeEach(async () => {
  keys = await makeKeys()
  const inner: InnerConsumer = { run: async () => {}, pause: () => {}, resume: () => {}, seek: () => {}, stop: async () => {}, disconnect: async () => {} }
  holds = createHolds(inner)
  producer = new FakeProducer()
  parked = []
  stopped = []
  parking = createParking({ topic: 'parked', producer }, 'billing', (message) => void parked.push(message))
  turn = { over: false, signal: new AbortController().signal, ended: () => turn.over }
})
const opening = (opener: Partial<Opener>, options: { park?: boolean; dispositions?: DispositionOptions } = {}): OpenRecord =>
  createOpening({ ...keys.opener, ...(opener.open && { openSync: notInMemory }), ...opener }, holds, createSettler({
    holds,
    dispositions: options.dispositions ?? {},
    parking: options.park === false ? undefined : parking,
    onStopped: (message) => void stopped.push(message),
  }))
const failing = (code: SealbusErrorCode): Partial<Opener> => ({ open: () => Promise.reject(new SealbusError(code, 'why')) })
/** As kafkajs rejects: the broker's answer, wrapped. */
const tooLarge = Object.assign(new Error('wrapped'), { retriable: false, cause: Object.assign(new Error('too large'), { code: 10 }) })
const never: Partial<Opener> = { open: () => new Promise(() => {}) }

describe('open', () => {
  it('a record whose key is in memory opens without waiting', async () => {
    const open = opening({ openSync: (...given) => keys.opener.openSync(...given), open: () => expect.fail('the key source was asked') })
    const { bytes } = keys.sealer.sealSync('x', { channel: 'orders', key: null })
    expect(open(place, record(0, bytes), turn)).toMatchObject({ message: { value: Buffer.from('x') } })
  })

  it('a record opens under its own key, and with its own bound headers, only', async () => {
    const channels = defineChannels({ orders: { to: ['billing'], bind: { headers: ['tenant'] } } })
    const given = { key: Buffer.from('k'), headers: { tenant: Buffer.from('a') } }
    const { bytes } = keys.sealerFor(channels).sealSync('x', { channel: 'orders', ...given })
    const open = opening({})
    expect(await open(place, record(0, bytes, given), turn)).toMatchObject({ message: { value: Buffer.from('x') } })
    for (const [offset, changed] of [{ key: Buffer.from('l') }, { key: null }, { headers: { tenant: Buffer.from('b') } }, { headers: {} }].entries()) {
      expect(await open(place, record(offset + 1, bytes, { ...given, ...changed }), turn)).toBe('passed')
    }
    expect(parked.map(({ code }) => code)).toEqual(Array.from({ length: 4 }, () => 'ERR_SEALBUS_CONTEXT_MISMATCH'))
  })
})

describe('park', () => {
  it('sends the message as it came, with its reason, to all in-sync replicas', async () => {
    const sent = vi.spyOn(producer, 'send')
    expect(await opening({})(place, bad, turn)).toBe('passed')
    expect(sent.mock.calls[0]?.[0]).toEqual({
      topic: 'parked',
      acks: -1,
      messages: [{
        key: bad.key,
        value: bad.value,
        headers: {
          mark: Buffer.from('kept'),
          'sealbus-park-id': 'billing/orders/0/5',
          'sealbus-park-code': 'ERR_SEALBUS_MALFORMED',
          'sealbus-park-by': 'billing',
          'sealbus-park-origin': 'orders/0/5',
          'sealbus-park-time': expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
        },
      }],
    })
    expect(parked).toEqual([{ ...place, offset: '5', code: 'ERR_SEALBUS_MALFORMED', id: 'billing/orders/0/5' }])
  })

  it('a slow parking place holds up its own partition only, and gets one copy', async () => {
    const acknowledged = Promise.withResolvers<void>()
    const send = producer.send.bind(producer)
    producer.send = async (given) => {
      await acknowledged.promise
      return send(given)
    }
    const open = opening({})
    const start = Date.now()
    expect(await open(place, bad, turn)).toBe('halted')
    expect(Date.now() - start).toBeLessThan(1_000)
    expect(holds.isPaused(place)).toBe(true)
    expect(parked).toEqual([])
    acknowledged.resolve()
    await expect.poll(() => holds.isPaused(place)).toBe(false)
    expect(await open(place, bad, turn)).toBe('passed')
    expect([producer.calls, parked.length, holds.list()]).toEqual([['send'], 1, []])
  })

  it('a batch that comes again is not copied again, until its place moved past the message', async () => {
    const open = opening({})
    for (let time = 0; time < 3; time++) expect(await open(place, bad, turn)).toBe('passed')
    expect([producer.calls.length, parked.length]).toEqual([1, 1])
    parking.forget(place, '4')
    await open(place, bad, turn)
    expect(producer.calls).toHaveLength(1)
    parking.forget(place, '5')
    await open(place, bad, turn)
    parking.forget(place)
    await open(place, bad, turn)
    parking.forgetAll()
    await open(place, bad, turn)
    expect(producer.calls).toHaveLength(4)
  })

  it('a copy that fails is tried again after a while', async () => {
    const send = vi.spyOn(producer, 'send').mockRejectedValueOnce(Object.assign(new TypeError('raw'), { retriable: false }))
    const open = opening({})
    expect(await open(place, bad, turn)).toBe('halted')
    expect(holds.list()).toMatchObject([{ offset: '5', state: 'holding', waitingFor: 'parking place' }])
    await expect.poll(() => holds.isPaused(place)).toBe(false)
    expect(await open(place, bad, turn)).toBe('passed')
    expect([send.mock.calls.length, parked.length]).toEqual([2, 1])
  })

  it.each<[string, () => Promise<never>]>([
    ['at once', () => Promise.reject(tooLarge)],
    ['late', async () => {
      await new Promise((resolve) => void setTimeout(resolve, 300))
      throw tooLarge
    }],
  ])('a copy that the broker will never take, as it says %s, stops the partition instead of being tried for ever', async (_title, send) => {
    const sent = vi.spyOn(producer, 'send').mockImplementation(send)
    const open = opening({})
    await open(place, bad, turn)
    await expect.poll(() => holds.isPaused(place) && holds.list()[0]?.state === 'holding').toBe(false)
    expect(await open(place, bad, turn)).toBe('halted')
    expect(holds.list()).toMatchObject([{ offset: '5', state: 'stopped', code: 'ERR_SEALBUS_TOO_LARGE' }])
    expect([sent.mock.calls.length, parked]).toEqual([1, []])
    expect(stopped.map(({ error }) => error.message)[0]).toContain('ERR_SEALBUS_MALFORMED')
    // Whoever seeks to it again has made room, perhaps.
    parking.forget(place)
    await open(place, bad, turn)
    expect(sent).toHaveBeenCalledTimes(2)
  })

  it('a producer that takes no `acks` per call is given none', async () => {
    const sent: object[] = []
    const other = { send: async (given: object) => void sent.push(given), sendBatch: () => expect.fail('one message') }
    await createParking({ topic: 'parked', producer: other }, 'billing').park(place, bad, 'ERR_SEALBUS_MALFORMED')
    expect(sent).toEqual([{ topic: 'parked', messages: [expect.objectContaining({ value: bad.value })] }])
  })

  it('a consumer that reads its own parking place stops there, instead of parking for ever', async () => {
    const looped = { topic: 'parked', partition: 0 }
    expect(await opening({ channels: { ...keys.opener.channels, at: () => keys.opener.channels.get('orders') } })(looped, bad, turn)).toBe('halted')
    expect(stopped).toMatchObject([{ topic: 'parked', offset: '5' }])
    expect(producer.calls).toEqual([])
  })
})

describe('hold and stop', () => {
  it('a key source that does not answer is waited for beside the batch; where there is an end to that, it stops', async () => {
    const open = opening(never, { dispositions: { unavailable: { stopAfterMs: 300 } } })
    expect(await open(place, bad, turn)).toBe('halted')
    expect(holds.list()).toMatchObject([{ state: 'holding', code: 'ERR_SEALBUS_KEY_UNAVAILABLE' }])
    await new Promise((resolve) => void setTimeout(resolve, 310))
    expect(await open(place, bad, turn)).toBe('halted')
    expect(stopped).toMatchObject([{ offset: '5', error: { code: 'ERR_SEALBUS_KEY_UNAVAILABLE' } }])
    expect(holds.list()).toMatchObject([{ state: 'stopped' }])
  })

  it('a missing key is waited for as long as `keyMissingHoldMs` says, and then its message is parked', async () => {
    const open = opening(failing('ERR_SEALBUS_KEY_MISSING'), { dispositions: { keyMissingHoldMs: 50, holdBackoffMs: { first: 1, longest: 1 } } })
    const start = Date.now()
    expect(await open(place, bad, turn)).toBe('halted')
    expect(holds.list()).toMatchObject([{ offset: '5', state: 'holding', waitingFor: 'key', code: 'ERR_SEALBUS_KEY_MISSING' }])
    // Few tries: of what all messages together may take, each spends a millisecond.
    await expect.poll(() => open(place, bad, turn), { interval: 20, timeout: 600 }).toBe('passed')
    expect(Date.now() - start).toBeGreaterThanOrEqual(50)
    expect(parked).toEqual([expect.objectContaining({ offset: '5', code: 'ERR_SEALBUS_KEY_MISSING' })])
    expect(holds.list()).toEqual([])
  })

  it('the time for missing keys is all messages of a consumer together: naming ever other keys does not buy more', async () => {
    const dispositions = { keyMissingHoldMs: 50, holdBackoffMs: { first: 20, longest: 20 } }
    const open = opening(failing('ERR_SEALBUS_KEY_MISSING'), { dispositions })
    const outcomes: unknown[] = []
    for (let partition = 0; partition < 8; partition++) outcomes.push(await open({ topic: 'orders', partition }, bad, turn))
    // Each hold takes 15 to 25 ms of it.
    expect([outcomes.slice(0, 2), outcomes.slice(4)]).toEqual([['halted', 'halted'], Array(4).fill('passed')])
    expect(await opening(failing('ERR_SEALBUS_KEY_MISSING'), { dispositions })({ topic: 'orders', partition: 8 }, bad, turn), 'another consumer').toBe('halted')
  })

  it('many partitions that wait for a slow source do not add up: the others feel less than a second', async () => {
    const open = opening(never)
    const start = Date.now()
    for (let partition = 0; partition < 20; partition++) expect(await open({ topic: 'orders', partition }, bad, turn)).toBe('halted')
    expect(Date.now() - start).toBeLessThan(1_000)
  })

  it.each<[string, Partial<Opener>, { park?: boolean }]>([
    ['a key outage', failing('ERR_SEALBUS_KEY_UNAVAILABLE'), {}],
    ['a message that stops', failing('ERR_SEALBUS_MALFORMED'), { park: false }],
    ['a source that does not answer', never, {}],
  ])('%s, found when the place was moved already, halts nothing', async (_title, opener, options) => {
    turn.over = true
    expect(await opening(opener, options)(place, bad, turn)).toBe('ended')
    expect([holds.list(), stopped, parked]).toEqual([[], [], []])
  })

  it.each([null, Buffer.from('plain')])('the hold of a message that is gone from the log ends with the next one, whatever it is', async (value) => {
    holds.hold(place, '4', { code: 'ERR_SEALBUS_KEY_UNAVAILABLE', waitingFor: 'key', retryInMs: 10 })
    const accepting: Partial<Opener> = { isPlain: () => true }
    expect(await opening(accepting)(place, record(6, value), turn)).toEqual({ message: record(6, value) })
    expect(holds.list()).toEqual([])
  })

  it('without `onStopped`, a stop beside a parking place is a warning of the process: it is never silent', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const settler = createSettler({ holds, dispositions: {}, parking, onStopped: undefined })
    expect(await settler.settle(place, bad, new SealbusError('ERR_SEALBUS_KEY_FORBIDDEN', 'why'), turn)).toBe('halted')
    expect(warned.mock.calls).toEqual([['message 5 stopped partition 0 of topic "orders": why', { type: 'SealbusWarning', code: 'ERR_SEALBUS_KEY_FORBIDDEN' }]])
    warned.mockRestore()
  })

  it("what the opener throws natively becomes a typed error, without the native one's text or cause", async () => {
    await opening({ open: () => Promise.reject(new TypeError('secret')) }, { park: false })(place, bad, turn)
    expect(stopped[0]?.error).toBeInstanceOf(SealbusError)
    expect(`${stopped[0]?.error.stack}${String(stopped[0]?.error.cause)}`).not.toContain('secret')
    expect(stopped[0]?.error).not.toHaveProperty('retriable')
  })
})
