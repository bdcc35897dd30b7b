import { type Channels, defineChannels, isSealbusError, type Opener, type SealbusErrorCode } from '@sealbus/core'
import { PARK_HEADERS } from '@sealbus/core/adapter'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestServices, type TestServices } from '../../src/index.ts'
import { type Handled, type Original, type RedriveHarness, type Stored, textOf } from './redrive-harness.ts'

const PARKED_NAMES = Object.values(PARK_HEADERS)

/**
 * What redrive does, on any broker: one design for both. The brokers in memory and real ones run the same.
 */
export function describeRedrive(name: string, open: () => Promise<RedriveHarness>): void {
  describe(`redrive: ${name}`, () => {
    const channels: Channels = defineChannels({ orders: { to: ['billing'], match: [/^redrive-/] } })
    let services: TestServices
    let opener: Opener
    let harness: RedriveHarness

    beforeAll(async () => {
      services = await createTestServices(channels, ['billing', 'shipping'])
      opener = services.opener('billing')
    })
    beforeEach(async () => void (harness = await open()))
    afterEach(() => harness.close())

    const sealed = (text: string, to: string | readonly string[] = 'billing'): Original => {
      const { bytes, contentType } = services.sealFor(to, text)
      return { bytes, headers: { 'content-type': contentType, trace: text } }
    }
    const parkAll = async (texts: readonly string[], code: SealbusErrorCode = 'ERR_SEALBUS_KEY_MISSING'): Promise<Original[]> => {
      const originals = texts.map((text) => sealed(text))
      for (const original of originals) await harness.park(original, code)
      return originals
    }
    const traces = (stored: readonly Stored[]): string[] => stored.map(({ headers }) => textOf(headers['trace'])).toSorted()
    const listed = async (): Promise<string[]> => traces(await harness.list())
    const counts = (result: Awaited<ReturnType<RedriveHarness['redrive']>>): Record<string, number> => {
      const { delivered, kept, filtered, duplicates, earlier, others } = result
      return Object.fromEntries(Object.entries({ delivered, kept, filtered, duplicates, earlier, others }).filter(([, count]) => count > 0))
    }

    it('is a dry run by default: tells what would happen by code and key, and changes nothing', async () => {
      await parkAll(['1', '2'])
      await harness.park(sealed('3', 'shipping'), 'ERR_SEALBUS_NOT_A_RECIPIENT')
      await harness.park({ bytes: Buffer.from('plain'), headers: { trace: '4' } }, 'ERR_SEALBUS_NOT_SEALED')
      const result = await harness.redrive({ opener })
      expect(result).toMatchObject({ dryRun: true, ended: 'complete', seen: 4, delivered: 2, kept: 2 })
      const ordered = result.groups.toSorted((a, b) => (a.parkedWith < b.parkedWith ? -1 : 1))
      expect(ordered).toEqual([
        { parkedWith: 'ERR_SEALBUS_KEY_MISSING', kids: ['billing-1'], outcome: 'delivered', reason: undefined, messages: 2 },
        { parkedWith: 'ERR_SEALBUS_NOT_A_RECIPIENT', kids: ['shipping-1'], outcome: 'kept', reason: 'ERR_SEALBUS_NOT_A_RECIPIENT', messages: 1 },
        { parkedWith: 'ERR_SEALBUS_NOT_SEALED', kids: [], outcome: 'kept', reason: 'ERR_SEALBUS_NOT_SEALED', messages: 1 },
      ])
      expect(await harness.arrived()).toEqual([])
      expect(await listed()).toEqual(['1', '2', '3', '4'])
      expect(counts(await harness.redrive({})), 'without an opener it opens nothing').toEqual({ delivered: 4 })
    })

    it('delivers the original bytes and headers, and a second run finds nothing to do', async () => {
      const originals = await parkAll(['1', '2', '3'])
      expect(counts(await harness.redrive({ dryRun: false }))).toEqual({ delivered: 3 })
      const arrived = await harness.arrived()
      expect(arrived.map(({ bytes }) => bytes.toString()).toSorted()).toEqual(originals.map(({ bytes }) => bytes.toString()).toSorted())
      for (const { headers } of arrived) expect(Object.keys(headers).toSorted()).toEqual(['content-type', 'trace'])
      expect(await listed()).toEqual([])
      expect(counts(await harness.redrive({ dryRun: false }))).toEqual(harness.features.log ? { earlier: 3 } : {})
      expect(await harness.arrived()).toHaveLength(3)
    })

    it('with an opener, what still does not open stays parked until its cause is gone', async () => {
      await parkAll(['1', '2'])
      const kept: [string, unknown][] = []
      const stranger = services.opener('shipping')
      const onKept = ({ code, error }: { code: string; error: unknown }): void => void kept.push([code, isSealbusError(error) && error.code])
      expect(counts(await harness.redrive({ opener: stranger, dryRun: false, onKept }))).toEqual({ kept: 2 })
      expect(kept).toEqual(Array.from({ length: 2 }, () => ['ERR_SEALBUS_KEY_MISSING', 'ERR_SEALBUS_NOT_A_RECIPIENT']))
      expect(await harness.arrived()).toEqual([])
      expect(await listed()).toEqual(['1', '2'])
      expect(counts(await harness.redrive({ opener, dryRun: false }))).toEqual({ delivered: 2 })
      expect(traces(await harness.arrived())).toEqual(['1', '2'])
    })

    it('to a handler: gives it the opened message; one that it fails at stays parked', async () => {
      await parkAll(['good', 'bad', 'also good'])
      const handled: Handled[] = []
      const handler = (message: Handled): void => {
        if (message.text === 'bad') throw new Error('the handler failed')
        handled.push(message)
      }
      const result = await harness.redriveTo(handler, { opener, dryRun: false })
      expect(counts(result)).toEqual({ delivered: 2, kept: 1 })
      expect(result.groups.find(({ outcome }) => outcome === 'kept')).toMatchObject({ reason: 'handler', messages: 1 })
      expect(handled.map(({ text }) => text).toSorted()).toEqual(['also good', 'good'])
      for (const { id, headers, parked } of handled) {
        expect(id).toMatch(/^[\w-]{22}$/)
        expect(headers.filter((each) => PARKED_NAMES.some((added) => added === each))).toEqual([])
        expect(parked).toMatchObject({ code: 'ERR_SEALBUS_KEY_MISSING', by: harness.by, time: expect.any(Date) })
      }
      expect(await listed()).toEqual(['bad'])
      expect(counts(await harness.redriveTo((message) => void handled.push(message), { opener, dryRun: false }))).toMatchObject({ delivered: 1 })
      expect(handled.map(({ text }) => text).toSorted()).toEqual(['also good', 'bad', 'good'])
      expect(await harness.arrived(), 'a handler takes the place of the topic or queue').toEqual([])
    })

    it('a message that parks again during the run is left to the next', async () => {
      await parkAll(['1', '2', '3'])
      let rounds = 0
      const parkAgain = async ({ text }: Handled): Promise<void> => {
        rounds++
        await harness.park(sealed(`${text} again`), 'ERR_SEALBUS_DECRYPT_FAILED')
      }
      expect(counts(await harness.redriveTo(parkAgain, { opener, dryRun: false }))).toEqual({ delivered: 3 })
      expect(rounds).toBe(3)
      expect(await listed()).toEqual(['1 again', '2 again', '3 again'])
    })

    it('leaves alone what others parked, and what is no parked copy', async () => {
      await harness.park(sealed('theirs'), 'ERR_SEALBUS_KEY_MISSING', { [PARK_HEADERS.by]: 'another' })
      await harness.write({ bytes: Buffer.from('{}'), headers: { trace: 'no copy' } })
      await parkAll(['ours'])
      expect(counts(await harness.redrive({ dryRun: false }))).toEqual({ delivered: 1, others: harness.features.log ? expect.any(Number) : 2 })
      expect(traces(await harness.arrived())).toEqual(['ours'])
      expect(await listed()).toEqual(['theirs'])
      expect(await harness.list({ by: harness.by })).toEqual([])
    })

    it.each([
      ['two ids', { [PARK_HEADERS.id]: ['a', 'b'] }],
      ['two queues or groups', { [PARK_HEADERS.by]: ['a', 'b'] }],
      ['an empty id', { [PARK_HEADERS.id]: '' }],
      ['an id of megabytes', { [PARK_HEADERS.id]: 'x'.repeat(3_000) }],
      ['a code that is none', { [PARK_HEADERS.code]: 'ERR_SEALBUS_\u001b[2J' }],
    ])('does not take %s for a parked copy', async (_, headers) => {
      await harness.park(sealed('forged'), 'ERR_SEALBUS_KEY_MISSING', headers)
      await parkAll(['true'])
      expect(counts(await harness.redrive({ dryRun: false }))).toMatchObject({ delivered: 1 })
      expect(traces(await harness.arrived())).toEqual(['true'])
    })

    it('goes where it is told, whatever the origin in the headers says', async () => {
      await harness.park(sealed('1'), 'ERR_SEALBUS_KEY_MISSING', { [PARK_HEADERS.origin]: `${harness.from}/0/0` })
      await harness.park(sealed('2'), 'ERR_SEALBUS_KEY_MISSING', { [PARK_HEADERS.origin]: '', [PARK_HEADERS.time]: 'yesterday' })
      expect(counts(await harness.redrive({ dryRun: false }))).toEqual({ delivered: 2 })
      expect(traces(await harness.arrived())).toEqual(['1', '2'])
    })

    it('delivers two copies of one message once, within a run and across runs that know of it', async () => {
      const twice = sealed('twice')
      const facts = { [PARK_HEADERS.id]: 'the same', [PARK_HEADERS.origin]: 'orders/0/77' }
      for (let copy = 0; copy < 2; copy++) await harness.park(twice, 'ERR_SEALBUS_KEY_MISSING', facts)
      expect(counts(await harness.redrive({ opener }))).toEqual({ delivered: 1, duplicates: 1 })
      expect(counts(await harness.redrive({ dryRun: false }))).toEqual({ delivered: 1, duplicates: 1 })
      expect(traces(await harness.arrived())).toEqual(['twice'])
      expect(await listed()).toEqual([])
      if (!harness.features.log) return
      await harness.park(twice, 'ERR_SEALBUS_KEY_MISSING', facts)
      expect(counts(await harness.redrive({ dryRun: false }))).toEqual({ earlier: 3 })
    })

    it('a copy with the id of another, and other bytes or headers, takes nothing from it', async () => {
      const facts = { [PARK_HEADERS.id]: 'the same' }
      await harness.park(sealed('forged'), 'ERR_SEALBUS_KEY_MISSING', facts)
      expect(counts(await harness.redrive({ dryRun: false }))).toEqual({ delivered: 1 })
      const { bytes } = sealed('true')
      await harness.park({ bytes, headers: { trace: 'headers of another' } }, 'ERR_SEALBUS_KEY_MISSING', facts)
      await harness.park({ bytes, headers: { trace: 'true' } }, 'ERR_SEALBUS_KEY_MISSING', facts)
      expect((await harness.redrive({ dryRun: false })).delivered).toBe(2)
      expect(traces(await harness.arrived())).toEqual(['forged', 'headers of another', 'true'])
    })

    it('two plain messages of the same bytes are two messages', async () => {
      const plain = { bytes: Buffer.from('{"total":9}'), headers: { trace: 'plain' } }
      for (let copy = 0; copy < 2; copy++) await harness.park(plain, 'ERR_SEALBUS_NOT_SEALED')
      expect(counts(await harness.redrive({ dryRun: false }))).toEqual({ delivered: 2 })
      expect(traces(await harness.arrived())).toEqual(['plain', 'plain'])
    })

    it('filters by code and by origin', async () => {
      await parkAll(['missing'])
      await parkAll(['failed'], 'ERR_SEALBUS_DECRYPT_FAILED')
      await harness.park(sealed('elsewhere'), 'ERR_SEALBUS_KEY_MISSING', { [PARK_HEADERS.origin]: 'orders-eu/0/1' })
      expect(counts(await harness.redrive({ dryRun: false, codes: ['ERR_SEALBUS_KEY_MISSING'], origins: ['orders'] }))).toEqual({ delivered: 1, filtered: 2 })
      expect(traces(await harness.arrived())).toEqual(['missing'])
      expect(await listed()).toEqual(['elsewhere', 'failed'])
    })

    it('a limit ends it, and the next run goes on: each message once', async () => {
      const texts = Array.from({ length: 7 }, (_, index) => `${index}`)
      await parkAll(texts)
      const run = (): ReturnType<RedriveHarness['redrive']> => harness.redrive({ dryRun: false, limit: 3 })
      expect(await run()).toMatchObject({ ended: 'limit', delivered: 3 })
      expect(await listed()).toHaveLength(4)
      expect(await run()).toMatchObject({ ended: 'limit', delivered: 3 })
      expect(await run()).toMatchObject({ ended: 'complete', delivered: 1 })
      expect(traces(await harness.arrived())).toEqual(texts)
    })

    it('an aborted run ends after the message under way, and the next goes on', async () => {
      await parkAll(['1', '2', '3'])
      const controller = new AbortController()
      const seen: string[] = []
      const handler = ({ text }: Handled): void => {
        seen.push(text)
        controller.abort()
      }
      expect(await harness.redriveTo(handler, { opener, dryRun: false, signal: controller.signal })).toMatchObject({ ended: 'aborted', delivered: 1 })
      expect(await listed()).toHaveLength(2)
      expect(await harness.redriveTo((message) => void seen.push(message.text), { opener, dryRun: false })).toMatchObject({ ended: 'complete', delivered: 2 })
      expect(seen.toSorted()).toEqual(['1', '2', '3'])
      expect(await harness.redrive({ signal: AbortSignal.abort() })).toMatchObject({ ended: 'aborted', seen: 0 })
    })

    it('tells its progress, up to what was there when it began', async () => {
      await parkAll(['1', '2', '3'])
      const seen: number[] = []
      let total = 0
      await harness.redrive({ dryRun: false, onProgress: (progress) => {
        seen.push(progress.seen)
        total = progress.total
      } })
      expect(seen.at(-1)).toBe(3)
      expect(total).toBe(3)
    })

    it('lists with the id, limits, and finds one by its id', async () => {
      await parkAll(['1', '2', '3'])
      const all = await harness.list()
      expect(all.map(({ code, by, redriven }) => [code, by, redriven])).toEqual(all.map(() => ['ERR_SEALBUS_KEY_MISSING', harness.by, false]))
      const [first] = all
      expect((await harness.list({ id: first?.id ?? '' })).map(({ id, bytes }) => [id, bytes])).toEqual([[first?.id, first?.bytes]])
      expect(await harness.list({ limit: 2 })).toHaveLength(2)
      expect(await harness.list({ id: 'none' })).toEqual([])
      expect(await listed(), 'listing takes nothing out').toEqual(['1', '2', '3'])
    })

    it('says which of the redriven copies are still there', async () => {
      await parkAll(['1'])
      await harness.redrive({ dryRun: false })
      expect((await harness.list({ redriven: true })).map(({ redriven }) => redriven)).toEqual(harness.features.log ? [true] : [])
    })

    it.each([
      ['an option that is none', { dryrun: false }],
      ['no name of a group or queue', { by: '' }],
      ['a code that is none', { codes: ['ERR_SEALBUS_TYPO'] }],
      ['a limit of nothing', { limit: 0 }],
      ['no boolean', { dryRun: 'no' }],
      ['the parking place as destination', { to: 'from' }],
    ])('refuses %s', async (_, given) => {
      const options = 'to' in given ? { to: harness.from } : given
      await expect(harness.redrive(options as never)).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
    })

    it('a function needs an opener, and an undeclared destination is refused', async () => {
      await expect(harness.redriveTo(() => {}, { dryRun: false })).rejects.toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION' })
      await expect(harness.redrive({ opener, channel: 'undeclared' })).rejects.toMatchObject({ code: 'ERR_SEALBUS_UNDECLARED_CHANNEL' })
    })
  })
}
