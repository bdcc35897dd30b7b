import { runInNewContext } from 'node:vm'
import { beforeAll, beforeEach, describe, expect, it, type MockInstance, onTestFinished, vi } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { decodeEnvelope } from '../src/envelope.ts'
import type { Identity } from '../src/identity.ts'
import { createOpener } from '../src/open.ts'
import { createSealer } from '../src/seal.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { testDirectory, testIdentities, testKey, type TestKey } from './support/keys.ts'
import { codeOf, rejectionOf } from './support/thrown.ts'

/** What `npm run test:fuzz` has found, each as the smallest case that shows it. */

const channels = defineChannels({ orders: { to: ['billing'] } })
let key: TestKey
let bytes: Buffer
beforeAll(async () => {
  key = await testKey('P-256', 'billing-1')
  bytes = createSealer({ directory: testDirectory({ billing: key.recipientKey }), channels }).sealSync('x', { channel: 'orders' }).bytes
})

describe('an envelope of a content key that opened before', () => {
  it('is malformed, not out of range, when two of its fixed texts share a quote', () => {
    const opener = createOpener({ name: 'billing', identities: testIdentities(key.identity), channels })
    expect(opener.openSync(bytes, { channel: 'orders' }).plaintext.toString()).toBe('x')
    const broken = bytes.toString().replace(/","ciphertext":"[^"]*","tag":"/, '","ciphertext":","tag":"')
    expect(codeOf(() => opener.openSync(Buffer.from(broken), { channel: 'orders' }))).toBe('ERR_SEALBUS_MALFORMED')
  })
})

describe('an envelope of very many small JSON values', () => {
  const MIB = 1_048_576
  const repeated = (unit: (index: number) => string, bytes: number): string => {
    const parts: string[] = []
    for (let size = 0, index = 0; size < bytes; index++) {
      const part = unit(index)
      parts.push(part)
      size += part.length + 1
    }
    return parts.join(',')
  }

  // 32 MiB of these took 3 to 5 seconds, in which a consumer does nothing else; 8 MiB about one.
  it.each([
    ['members', `{"protected":"e30",${repeated((index) => `"a${index}":0`, 8 * MIB)}}`],
    ['nested arrays', `{"protected":"e30","recipients":[${repeated(() => '[[[[[]]]]]', 8 * MIB)}]}`],
  ])('is refused before it is read: %s', (_what, text) => {
    const envelope = Buffer.from(text)
    const started = performance.now()
    expect(codeOf(() => decodeEnvelope(envelope))).toBe('ERR_SEALBUS_MALFORMED')
    expect(performance.now() - started).toBeLessThan(300)
  })
})

describe('what is only looked at', () => {
  const values = Array.from({ length: 100_000 }, (_, index) => `"a${index}":0`).join(',')
  const encoded = (text: string): string => Buffer.from(text).toString('base64url')
  const mixed = defineChannels({ orders: { to: ['billing'], accept: 'sealed-or-plain' } })
  let parsed: MockInstance<typeof JSON.parse>
  /** The work that was done by the parser that has no bounds. */
  const parsedCharacters = (): number => parsed.mock.calls.reduce((sum, [text]) => sum + text.length, 0)
  beforeEach(() => {
    parsed = vi.spyOn(JSON, 'parse')
    onTestFinished(() => parsed.mockRestore())
  })

  // 32 MiB of the first took JSON.parse five seconds, before any limit was looked at.
  it.each([
    ['many values', `{ "protected":"e30","ciphertext":"",${values}}`],
    ['many values, and the names behind them', `{${values},"ciphertext":"","protected":"e30"}`],
    ['many arrays', `{"ciphertext":"","protected":${'['.repeat(50_000)}${']'.repeat(50_000)}}`],
    ['names in escapes', `{"\\u0070rotected":"e30","cipher\\u0074ext":"",${values}}`],
    ['a large header', `${encoded(`{"enc":"A256GCM",${values}}`)}.AA.AA.AA.AA`],
  ])('is sealed, and not parsed, where that would be much work: %s', (_what, text) => {
    const opener = createOpener({ name: 'billing', identities: testIdentities(key.identity), channels: mixed })
    const message = Buffer.from(text)
    expect(opener.isPlain(message, { channel: 'orders' })).toBe(false)
    expect(codeOf(() => opener.openSync(message, { channel: 'orders' }))).toBe('ERR_SEALBUS_MALFORMED')
    expect(codeOf(() => createSealer({ directory: testDirectory({ billing: key.recipientKey }), channels }).sealSync(message, { channel: 'orders' }))).toBe('ERR_SEALBUS_ALREADY_SEALED')
    expect(parsedCharacters()).toBeLessThan(100)
  })

  it.each([
    ['escapes, as Python writes them', `{"name":"Zo\\u00eb",${values}}`],
    ['an escaped letter', `{"name":"\\u0070",${values}}`],
    ['the names further inside', `{"items":[{"protected":"","ciphertext":""}],${values}}`],
  ])('is plain, and not parsed: %s', (_what, text) => {
    const opener = createOpener({ name: 'billing', identities: testIdentities(key.identity), channels: mixed })
    expect(opener.isPlain(Buffer.from(text), { channel: 'orders' })).toBe(true)
    expect(parsed).not.toHaveBeenCalled()
  })
})

describe('an RSA key whose exponent no library takes', () => {
  it.each([
    ['as long as the modulus', (n: string) => n],
    ['of 33 bits', () => Buffer.from([1, 0, 0, 0, 1]).toString('base64url')],
  ])('is no usable key: %s', async (_what, exponent) => {
    const { publicJwk } = await testKey('RSA', 'billing-1')
    // OpenSSL imports it, and fails at the first message.
    expect(codeOf(() => createStaticDirectory({ billing: { ...publicJwk, e: exponent(String(publicJwk.n)) } }))).toBe('ERR_SEALBUS_NO_USABLE_KEY')
  })
})

describe('an identity that answers with no bytes', () => {
  const openerThat = (unwrap: () => unknown): ReturnType<typeof createOpener> =>
    createOpener({ name: 'billing', identities: testIdentities({ ...key.identity, unwrap: unwrap as Identity['unwrap'] }), channels })

  it.each([['undefined', undefined], ['a string', 'key'], ['a number', 7], ['an object', {}]])('does not work: %s', async (_what, answer) => {
    expect(codeOf(() => openerThat(() => answer).openSync(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(await rejectionOf(openerThat(() => answer).open(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
    expect(await rejectionOf(openerThat(async () => answer).open(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEY_UNAVAILABLE')
  })

  it('may answer by a promise that is not of this realm', async () => {
    const answer = (): unknown => runInNewContext('Promise.resolve(null)')
    expect(codeOf(() => openerThat(answer).openSync(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_KEYS_NOT_READY')
    expect(await rejectionOf(openerThat(answer).open(bytes, { channel: 'orders' }))).toBe('ERR_SEALBUS_DECRYPT_FAILED')
  })
})
