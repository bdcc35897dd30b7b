import { generateKeyPairSync } from 'node:crypto'
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { SealbusError } from '../src/errors.ts'
import { loadIdentities } from '../src/identities.ts'
import { checkListParked, type ListedCopy } from '../src/list-parked.ts'
import { createOpener, type Opener } from '../src/open.ts'
import { copyDigest, type ParkedCopy } from '../src/parked.ts'
import { createRedriveRun, type KeptCopy, type RedriveOptions, type RedriveRun, type RedriveRunOptions } from '../src/redrive.ts'
import { createSealer, type Sealer } from '../src/seal.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { codeOf, thrownBy } from './support/thrown.ts'

describe('a redrive run', () => {
  const channels = defineChannels({ orders: { to: ['billing'] }, mixed: { to: ['billing'], accept: 'sealed-or-plain' } })
  let opener: Opener
  let sealer: Sealer
  beforeAll(async () => {
    const identities = await loadIdentities({ keys: [{ ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid: 'billing-1' }] as never })
    opener = createOpener({ name: 'billing', identities, channels })
    const [identity] = identities.list()
    if (!identity) return expect.fail('no identity')
    sealer = createSealer({ directory: createStaticDirectory({ billing: identity.publicJwk }), channels })
  })

  let offset = 0
  const copy = (bytes: Buffer, facts: Partial<ParkedCopy> = {}): ParkedCopy => ({ id: `billing/orders/0/${offset++}`, code: 'ERR_SEALBUS_KEY_MISSING', by: 'billing', origin: 'orders/0/1', time: undefined, bytes, headers: {}, ...facts })
  const sealed = (text = 'x', facts?: Partial<ParkedCopy>): ParkedCopy => copy(sealer.sealSync(text, { channel: 'orders' }).bytes, facts)
  const begin = (options: Partial<RedriveOptions<unknown>> = {}, more: Partial<RedriveRunOptions> = {}): RedriveRun => createRedriveRun({ from: 'parked', by: 'billing', to: 'retry', ...options }, { carriedBy: undefined, ...more })
  const actionOf = async (run: RedriveRun, each: ParkedCopy | undefined): Promise<string> => (await run.judge(each)).action
  const deliver = async (run: RedriveRun, each: ParkedCopy): Promise<void> => {
    const verdict = await run.judge(each)
    if (verdict.action === 'deliver') run.delivered(verdict)
  }

  it('leaves everything in a dry run, and counts what it would deliver', async () => {
    const run = begin({ opener, channel: 'orders' })
    for (const each of [sealed(), sealed(), copy(Buffer.from('plain')), undefined, sealed('x', { by: 'another' })]) expect(await actionOf(run, each)).toBe('leave')
    expect(run.result()).toEqual({
      dryRun: true,
      ended: 'complete',
      seen: 5,
      delivered: 2,
      kept: 1,
      filtered: 0,
      duplicates: 0,
      earlier: 0,
      others: 2,
      groups: [
        { parkedWith: 'ERR_SEALBUS_KEY_MISSING', kids: ['billing-1'], outcome: 'delivered', reason: undefined, messages: 2 },
        { parkedWith: 'ERR_SEALBUS_KEY_MISSING', kids: [], outcome: 'kept', reason: 'ERR_SEALBUS_NOT_SEALED', messages: 1 },
      ],
    })
  })

  it('gives what opens with what opened it, and counts it when it has arrived', async () => {
    const run = begin({ dryRun: false, opener, channel: 'orders' })
    const verdict = await run.judge(sealed('text'))
    if (verdict.action !== 'deliver') return expect.fail(verdict.action)
    expect(verdict.opened?.plaintext.toString()).toBe('text')
    expect(run.result()).toMatchObject({ seen: 1, delivered: 0 })
    run.delivered(verdict)
    expect(run.result()).toMatchObject({ delivered: 1, kept: 0 })
  })

  it('opens on the channel of its options, with the key and headers of the copy', async () => {
    const bound = sealer.sealSync('x', { channel: 'orders', key: 'k' }).bytes
    const run = begin({ dryRun: false, opener }, { carriedBy: 'orders' })
    expect(await actionOf(run, copy(bound, { key: Buffer.from('k') }))).toBe('deliver')
    expect(await actionOf(run, copy(bound, { key: null }))).toBe('leave')
    expect(run.result().groups).toContainEqual(expect.objectContaining({ reason: 'ERR_SEALBUS_CONTEXT_MISMATCH' }))
    const mixed = begin({ dryRun: false, opener, channel: 'mixed' }, { carriedBy: 'orders' })
    expect(await actionOf(mixed, copy(Buffer.from('plain')))).toBe('deliver')
    expect(await actionOf(mixed, copy(Buffer.from('plain'), { contentType: 'application/jose+json' }))).toBe('leave')
  })

  it('delivers two copies of one message once, and again where the first was not handled', async () => {
    const run = begin({ dryRun: false })
    const first = sealed()
    const verdict = await run.judge(first)
    if (verdict.action !== 'deliver') return expect.fail(verdict.action)
    expect(await actionOf(run, { ...first, code: 'ERR_SEALBUS_MALFORMED' })).toBe('drop')
    const error = new Error('the handler failed')
    run.failed(verdict, error)
    expect(await actionOf(run, first)).toBe('deliver')
    expect(run.result()).toMatchObject({ duplicates: 1, kept: 1, groups: [{ outcome: 'kept', reason: 'handler', messages: 1 }] })
    const dry = begin()
    expect([await actionOf(dry, first), await actionOf(dry, first)]).toEqual(['leave', 'leave'])
    expect(dry.result()).toMatchObject({ delivered: 1, duplicates: 1 })
    const apart = begin({ dryRun: false }, { identify: () => undefined })
    expect([await actionOf(apart, first), await actionOf(apart, first)], 'where nothing tells them apart').toEqual(['deliver', 'deliver'])
  })

  it('leaves what an earlier run redrove', async () => {
    const run = begin({ dryRun: false })
    const first = sealed()
    run.redrivenBefore(copyDigest(first))
    expect(await actionOf(run, first)).toBe('leave')
    expect(await actionOf(run, sealed())).toBe('deliver')
    expect(run.result()).toMatchObject({ earlier: 1 })
  })

  it('filters by code, and by the origin up to a slash', async () => {
    const run = begin({ dryRun: false, codes: ['ERR_SEALBUS_KEY_MISSING'], origins: ['orders', 'shop/new'] })
    expect(await actionOf(run, sealed())).toBe('deliver')
    expect(await actionOf(run, sealed('x', { origin: 'orders' }))).toBe('deliver')
    expect(await actionOf(run, sealed('x', { origin: 'shop/new' }))).toBe('deliver')
    for (const origin of ['orders-eu/0/1', 'shop/newer', undefined]) expect(await actionOf(run, sealed('x', { origin }))).toBe('leave')
    expect(await actionOf(run, sealed('x', { code: 'ERR_SEALBUS_MALFORMED' }))).toBe('leave')
    expect(run.result()).toMatchObject({ filtered: 4 })
    run.result()
  })

  it('keeps what would return to its origin', async () => {
    const run = begin({ dryRun: false }, { wouldReturn: ({ origin }) => origin === 'retry/0/1' })
    expect(await actionOf(run, sealed('x', { origin: 'retry/0/1' }))).toBe('leave')
    expect(await actionOf(run, sealed())).toBe('deliver')
    expect(run.result()).toMatchObject({ kept: 1, groups: [{ reason: 'origin' }] })
  })

  it('is over at its limit, what is under way included, and when it is aborted', async () => {
    const run = begin({ dryRun: false, limit: 2 })
    await deliver(run, sealed())
    expect(run.over).toBeUndefined()
    const second = await run.judge(sealed())
    expect(run.over).toBe('limit')
    if (second.action === 'deliver') run.failed(second, new Error('x'))
    expect(run.over, 'one that failed leaves room for another').toBeUndefined()
    const controller = new AbortController()
    const aborted = begin({ signal: controller.signal })
    controller.abort()
    expect(aborted.over).toBe('aborted')
    expect(aborted.result().ended).toBe('aborted')
  })

  it('a message whose opening was ended by the signal is neither kept nor seen', async () => {
    const controller = new AbortController()
    const ending: Opener = { ...opener, open: async () => {
      controller.abort()
      throw new SealbusError('ERR_SEALBUS_KEY_UNAVAILABLE', 'aborted')
    } }
    const run = begin({ dryRun: false, opener: ending, channel: 'orders', signal: controller.signal })
    expect(await actionOf(run, sealed())).toBe('leave')
    expect(run.result()).toMatchObject({ ended: 'aborted', seen: 0, kept: 0 })
  })

  it('tells of what stays, and of its progress; what a listener throws is not in its way', async () => {
    const kept: unknown[] = []
    const progress = vi.fn<(each: unknown) => void>()
    const run = begin({ opener, channel: 'orders', onKept: (each) => void kept.push(each), onProgress: progress })
    await run.judge(copy(Buffer.from('plain'), { id: 'i' }))
    run.progress(7)
    expect(kept).toEqual([{ id: 'i', code: 'ERR_SEALBUS_KEY_MISSING', by: 'billing', origin: 'orders/0/1', time: undefined, error: expect.objectContaining({ code: 'ERR_SEALBUS_NOT_SEALED' }) }])
    expect(progress).toHaveBeenCalledWith({ seen: 1, total: 7, delivered: 0, kept: 1 })
  })

  it('a flood of keys does not fill its memory', async () => {
    const run = begin()
    const envelope = (kid: string): Buffer => {
      const header = Buffer.from(JSON.stringify({ enc: 'A256GCM', kid })).toString('base64url')
      return Buffer.from(`${header}.AAAA.${Buffer.alloc(12).toString('base64url')}.AAAA.${Buffer.alloc(16).toString('base64url')}`)
    }
    for (let n = 0; n < 1_200; n++) await run.judge(copy(envelope(`k${n}`)))
    const { groups } = run.result()
    expect(groups).toHaveLength(1_001)
    expect(groups.at(-1)).toMatchObject({ kids: ['…'], messages: 200 })
    await run.judge(copy(envelope('k0')))
    expect(run.result().groups[0]).toMatchObject({ kids: ['k0'], messages: 2 })
    const long = begin()
    await long.judge(copy(envelope('k'.repeat(5_000))))
    expect(long.result().groups[0]?.kids[0]).toHaveLength(128)
  })

  it('opens with all that it has of a copy, and with its signal', async () => {
    const opened = vi.spyOn(opener, 'open')
    const plain = vi.spyOn(opener, 'isPlain')
    onTestFinished(() => (opened.mockRestore(), plain.mockRestore()))
    const { signal } = new AbortController()
    const run = begin({ opener, channel: 'orders', signal })
    const bare = sealed()
    await run.judge({ ...bare, headers: { trace: '1' } })
    await run.judge({ ...bare, id: 'other', key: null, contentType: 'application/json' })
    expect(plain.mock.calls).toStrictEqual([[bare.bytes, { channel: 'orders' }], [bare.bytes, { channel: 'orders', contentType: 'application/json' }]])
    expect(opened.mock.calls).toStrictEqual([[bare.bytes, { channel: 'orders', headers: { trace: '1' }, signal }], [bare.bytes, { channel: 'orders', headers: {}, key: null, signal }]])
    await begin({ opener, channel: 'orders' }).judge(bare)
    expect(opened.mock.lastCall?.[1]).not.toHaveProperty('signal')
  })

  it('what opening fails with that is no error of ours is told, and has no code', async () => {
    const error = new TypeError('broken')
    const broken: Opener = { ...opener, open: async () => Promise.reject(error) }
    const onKept = vi.fn<(each: { error: unknown }) => void>()
    const run = begin({ opener: broken, channel: 'orders', onKept })
    await run.judge(sealed())
    expect(onKept.mock.lastCall?.[0].error).toBe(error)
    expect(run.result()).toMatchObject({ seen: 1, kept: 1, groups: [{ outcome: 'kept', reason: undefined, kids: ['billing-1'] }] })
  })

  it('tells of what its handler failed with, and of what would return to its origin', async () => {
    const told: KeptCopy[] = []
    const run = begin({ dryRun: false, onKept: (each) => void told.push(each) }, { wouldReturn: ({ id }) => id === 'back' })
    const verdict = await run.judge(sealed('x', { id: 'i' }))
    const error = new Error('the handler failed')
    if (verdict.action === 'deliver') run.failed(verdict, error)
    await run.judge(sealed('x', { id: 'back' }))
    expect(told).toEqual([
      { id: 'i', code: 'ERR_SEALBUS_KEY_MISSING', by: 'billing', origin: 'orders/0/1', time: undefined, error },
      { id: 'back', code: 'ERR_SEALBUS_KEY_MISSING', by: 'billing', origin: 'orders/0/1', time: undefined, error: expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' }) as unknown },
    ])
  })

  it('in a dry run the limit counts what would be delivered, and nobody need listen', async () => {
    const run = begin({ limit: 1 })
    expect(await actionOf(run, copy(Buffer.from('x'), { by: 'another' }))).toBe('leave')
    expect(run.over).toBeUndefined()
    await run.judge(sealed())
    run.progress(2)
    expect([run.over, run.result().ended]).toEqual(['limit', 'limit'])
  })

  it('copies that nothing tells apart are delivered, also where one failed', async () => {
    const run = begin({ dryRun: false }, { identify: () => undefined })
    const verdict = await run.judge(sealed())
    if (verdict.action === 'deliver') run.failed(verdict, new Error('x'))
    expect(run.result()).toMatchObject({ kept: 1, duplicates: 0, earlier: 0 })
  })

  it('is told which copies are one message, by their public parts where they have some', async () => {
    const identify = vi.fn<NonNullable<RedriveRunOptions['identify']>>(() => 'same')
    const run = begin({ dryRun: false }, { identify })
    expect([await actionOf(run, sealed()), await actionOf(run, copy(Buffer.from('plain')))]).toEqual(['deliver', 'drop'])
    expect(identify.mock.calls.map(([, parts]) => parts?.channel)).toEqual(['orders', undefined])
  })

  it('a result stays what it is', async () => {
    const run = begin()
    await run.judge(sealed())
    const { groups } = run.result()
    await run.judge(sealed())
    expect([groups[0]?.messages, run.result().groups[0]?.messages]).toEqual([1, 2])
  })

  it('without codes or origins to choose from nothing is chosen', async () => {
    for (const options of [{ codes: [] }, { origins: [] }]) expect(await actionOf(begin({ dryRun: false, ...options }), sealed())).toBe('leave')
  })

  it.each<[string, object, string]>([
    ['a parking place that is no name', { from: 7 }, '`from` is a name'],
    ['an empty name of who parked', { by: '' }, '`by` is a name'],
    ['a code beside a good one', { codes: ['ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_X'] }, '`codes` is a list'],
    ['an origin beside a good one', { origins: ['orders', 7] }, '`origins` is a list'],
    ['origins that are no list', { origins: 'orders' }, '`origins` is a list'],
    ['no parking place', { from: '' }, '`from` is a name'],
    ['nobody who parked', { by: undefined }, '`by` is a name'],
    ['an empty destination', { to: '' }, '`to` is a name or a function'],
    ['a destination of another kind', { to: 7 }, '`to` is a name or a function'],
    ['the parking place as destination', { to: 'parked' }, '`to` is another place'],
    ['a function without an opener', { to: () => {} }, '`to` is a function'],
    ['a misspelt option', { dryrun: false }, 'a redrive has no "dryrun"'],
    ['a dry run that is no boolean', { dryRun: 'false' }, '`dryRun` is a boolean'],
    ['a code that is none', { codes: ['ERR_SEALBUS_X'] }, '`codes` is a list'],
    ['codes that are no list', { codes: 'ERR_SEALBUS_MALFORMED' }, '`codes` is a list'],
    ['origins that are no names', { origins: [7] }, '`origins` is a list'],
    ['a limit of 0', { limit: 0 }, '`limit` is an integer'],
    ['a limit out of range', { limit: 1_000_000_001 }, '`limit` is an integer'],
  ])('refuses %s', (_, options, message) => {
    expect(thrownBy(() => begin(options as never))).toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION', message: expect.stringContaining(message) as string })
  })

  it('may do without a destination, which the broker may know, and have a function where it opens', () => {
    expect(() => begin({ to: undefined })).not.toThrow()
    expect(() => begin({ to: () => {}, opener, channel: 'orders' })).not.toThrow()
  })

  it('needs a channel to open on', () => {
    expect(codeOf(() => begin({ opener }))).toBe('ERR_SEALBUS_INVALID_OPTION')
    expect(codeOf(() => begin({ opener, channel: 'undeclared' }))).toBe('ERR_SEALBUS_UNDECLARED_CHANNEL')
    expect(codeOf(() => begin({ opener }, { carriedBy: 'undeclared' }))).toBe('ERR_SEALBUS_UNDECLARED_CHANNEL')
    expect(() => begin({}, { carriedBy: 'undeclared' }), 'nothing is opened without an opener').not.toThrow()
  })
})

describe('a list of parked copies', () => {
  const listed: ListedCopy = { id: 'i', code: 'ERR_SEALBUS_MALFORMED', by: 'billing', origin: undefined, time: undefined, bytes: Buffer.alloc(0), headers: {}, redriven: false }

  it('wants what it was asked for', () => {
    expect(checkListParked({ from: 'p' })).toMatchObject({ limit: 100 })
    expect(checkListParked({ from: 'p', limit: 10_000 }).limit).toBe(10_000)
    const wants = (options: object, copy: Partial<ListedCopy> = {}): boolean => checkListParked({ from: 'p', ...options }).wants({ ...listed, ...copy })
    expect([wants({}), wants({ by: 'billing', id: 'i' }), wants({ by: 'another' }), wants({ id: 'j' })]).toEqual([true, true, false, false])
    expect([wants({}, { redriven: true }), wants({ redriven: true }, { redriven: true }), wants({ redriven: true })]).toEqual([false, true, true])
  })

  it.each<[object, string]>([
    [{ from: '' }, '`from` is the name of a parking place'],
    [{ from: 7 }, '`from` is the name of a parking place'],
    [{ from: 'p', limit: 0 }, '`limit` is an integer from 1 to 10000'],
    [{ from: 'p', limit: 10_001 }, '`limit` is an integer from 1 to 10000'],
    [{ from: 'p', lmit: 1 }, 'a list of parked copies has no "lmit"'],
  ])('refuses %j: %s', (options, message) => {
    expect(thrownBy(() => checkListParked(options as never))).toMatchObject({ code: 'ERR_SEALBUS_INVALID_OPTION', message })
  })
})
