import { tracingChannel } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import type { Identity } from '../src/identity.ts'
import { createOpener, type Opener } from '../src/open.ts'
import { createSealer, type Sealer } from '../src/seal.ts'
import { observe, set } from './support/directories.ts'
import { testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectionOf } from './support/thrown.ts'

const CANARY = 'canary-in-plaintext'
let billing: TestKey
beforeAll(async () => {
  billing = await testKey('P-256', 'billing-1')
})

const stops: (() => void)[] = []
afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

/** Event names and contexts of one channel, in order; contexts as they are at the time. */
function listen(name: 'seal' | 'open' | 'keys'): { event: string; context: Record<string, unknown> }[] {
  const heard: { event: string; context: Record<string, unknown> }[] = []
  const on = (event: string) => (context: object) => void heard.push({ event, context: { ...context } })
  const listeners = { start: on('start'), end: on('end'), asyncStart: on('asyncStart'), asyncEnd: on('asyncEnd'), error: on('error') }
  const channel = tracingChannel(`sealbus:${name}`)
  channel.subscribe(listeners)
  stops.push(() => channel.unsubscribe(listeners))
  return heard
}

function pair(unwrap: Identity['unwrap'] = (request) => billing.identity.unwrap(request)): { sealer: Sealer; opener: Opener } {
  const channels = defineChannels({ orders: { to: ['billing'] } })
  return {
    sealer: createSealer({ directory: testDirectory({ billing: billing.recipientKey }), channels }),
    opener: createOpener({ name: 'billing', identities: testIdentities({ ...billing.identity, unwrap }), channels }),
  }
}

describe('tracing', () => {
  it('tells of each message sealed and opened, and of each content key, with names, sizes and outcomes', () => {
    const [sealed, opened, keys] = [listen('seal'), listen('open'), listen('keys')]
    const { sealer, opener } = pair()
    const messages = ['1', '2'].map((id) => sealer.sealSync(CANARY, { channel: 'orders', id }).bytes)
    for (const bytes of messages) opener.openSync(bytes, { channel: 'orders' })
    expect(sealed.map(({ event }) => event)).toEqual(['start', 'end', 'start', 'end'])
    expect(sealed[0]?.context).toEqual({ channel: 'orders', payloadBytes: CANARY.length })
    expect(sealed[3]?.context).toEqual({ channel: 'orders', payloadBytes: CANARY.length, envelopeBytes: messages[1]?.length, id: '2', outcome: 'done' })
    expect(opened[3]?.context).toEqual({ channel: 'orders', envelopeBytes: messages[1]?.length, payloadBytes: CANARY.length, id: '2', kid: 'billing-1', outcome: 'done' })
    expect(keys.filter(({ event }) => event === 'end').map(({ context }) => context)).toEqual([
      { operation: 'wrap', name: 'orders', outcome: 'done' },
      { operation: 'unwrap', name: 'billing-1', outcome: 'done' },
    ])
    expect(inspect([sealed, opened, keys], { depth: 9 })).not.toContain(CANARY)
  })

  it('an async open ends twice: when the call returns, and when it is done', async () => {
    const [opened, keys] = [listen('open'), listen('keys')]
    const { sealer, opener } = pair(async (request) => billing.identity.unwrap(request))
    await opener.open(sealer.sealSync(CANARY, { channel: 'orders' }).bytes, { channel: 'orders' })
    for (const heard of [opened, keys.slice(2)]) expect(heard.map(({ event }) => event)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'])
    expect(opened[1]?.context).not.toHaveProperty('outcome')
    expect(opened[3]?.context).toMatchObject({ outcome: 'done', payloadBytes: CANARY.length })
  })

  it('a failure has its SealbusError; what a caller or a key source throws is not passed on', async () => {
    const [sealed, opened, keys] = [listen('seal'), listen('open'), listen('keys')]
    const { sealer, opener } = pair(async () => Promise.reject(new Error('token-123')))
    expect(codeOf(() => sealer.sealSync(CANARY, { channel: 'nowhere' }))).toBe('ERR_SEALBUS_UNDECLARED_CHANNEL')
    expect(sealed.map(({ event }) => event)).toEqual(['start', 'error', 'end'])
    expect(sealed[2]?.context).toMatchObject({ outcome: 'failed', error: { code: 'ERR_SEALBUS_UNDECLARED_CHANNEL' } })
    expect(await rejectionOf(opener.open(sealer.sealSync(CANARY, { channel: 'orders' }).bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(opened.map(({ event }) => event)).toEqual(['start', 'end', 'error', 'asyncStart', 'asyncEnd'])
    expect(keys.at(-1)?.context).toEqual({ operation: 'unwrap', name: 'billing-1', outcome: 'failed' })
    expect(inspect([sealed, opened, keys], { depth: 9 })).not.toMatch(/token-123|canary/)
  })

  it('a wrapped key that is not ours is a failed unwrap', () => {
    const keys = listen('keys')
    const { sealer, opener } = pair(() => null)
    expect(codeOf(() => opener.openSync(sealer.sealSync(CANARY, { channel: 'orders' }).bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
    expect(keys.at(-1)).toEqual({ event: 'end', context: { operation: 'unwrap', name: 'billing-1', outcome: 'failed' } })
  })

  it('an async open is traced with its channel and size from the start', async () => {
    const opened = listen('open')
    const { sealer, opener } = pair()
    const { bytes } = sealer.sealSync(CANARY, { channel: 'orders' })
    await opener.open(bytes, { channel: 'orders' })
    expect(opened[0]).toEqual({ event: 'start', context: { channel: 'orders', envelopeBytes: bytes.length } })
  })

  it('tells of each fetch of recipients\' keys, and why one failed', async () => {
    const keys = listen('keys')
    const { directory } = observe({ recipients: { billing: set(billing), shipping: 'https://keys.example/', audit: 'https://keys.example/audit' }, fetch: async (url) => new Response('token-123', { status: new Request(url).url.endsWith('audit') ? 404 : 503 }) })
    await directory.resolve('billing')
    for (const name of ['shipping', 'audit']) await rejectionOf(directory.resolve(name))
    expect(keys.filter(({ event }) => event === 'asyncEnd').map(({ context: { error, ...facts } }) => [facts, (error as { code?: string } | undefined)?.code])).toEqual([
      [{ operation: 'fetch', name: 'billing', outcome: 'done' }, undefined],
      [{ operation: 'fetch', name: 'shipping', outcome: 'failed' }, 'ERR_SEALBUS_DIRECTORY_UNAVAILABLE'],
      [{ operation: 'fetch', name: 'audit', outcome: 'failed' }, 'ERR_SEALBUS_UNKNOWN_RECIPIENT'],
    ])
    expect(keys.filter(({ event }) => event === 'start')).toHaveLength(3)
    expect(inspect(keys, { depth: 9 })).not.toContain('token-123')
  })
})
