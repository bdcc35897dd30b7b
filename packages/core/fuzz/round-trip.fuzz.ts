import fc from 'fast-check'
import { expect } from 'vitest'
import { type Channels, defineChannels } from '../src/channels.ts'
import { createOpener, type OpenedMessage, type Opener } from '../src/open.ts'
import { createSealer, type Sealer, type SealOptions } from '../src/seal.ts'
import { testDirectory, testIdentities } from '../test/support/keys.ts'
import { KEYS } from './corpus.ts'
import { fuzz } from './property.ts'

const HEADERS = ['trace', '__proto__', 'größe']
const channels: Channels = defineChannels({
  sole: { to: ['ec'] },
  'всем/全員': { to: ['ec', 'okp', 'rsa'], bind: { headers: HEADERS } },
  gzip: { to: ['okp', 'ec'], compress: 'gzip', bind: { key: false } },
  zstd: { to: ['rsa'], compress: 'zstd', bind: { headers: ['trace'] } },
})
const directory = testDirectory({ ec: KEYS.ec.recipientKey, okp: KEYS.okp.recipientKey, rsa: KEYS.rsa.recipientKey })
const RECIPIENTS: Readonly<Record<string, readonly (keyof typeof KEYS)[]>> = { sole: ['ec'], 'всем/全員': ['ec', 'okp', 'rsa'], gzip: ['okp', 'ec'], zstd: ['rsa'] }

let pairs = newPairs()

// oxlint-disable-next-line typescript/explicit-function-return-type -- the type says no more than its body
function newPairs() {
  const sealers: Sealer[] = [
    createSealer({ directory, channels }),
    createSealer({ directory, channels, enc: 'A128GCM', realm: 'production', session: { messages: 64 } }),
    createSealer({ directory, channels, contentKeys: 'per-message' }),
  ]
  const openers = new Map<string, Opener>()
  for (const [name, key] of Object.entries(KEYS)) openers.set(name, createOpener({ name, identities: testIdentities(key.identity), channels }))
  return { sealers, openers }
}

const word = (longest: number): fc.Arbitrary<string> => fc.string({ minLength: 1, maxLength: longest, size: 'medium', unit: 'grapheme' }).filter((each) => each.length <= longest)
const headerValue = fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)))
const header = fc.oneof(headerValue, fc.array(headerValue, { maxLength: 3 }))
const recordKey = fc.oneof(fc.constant(null), fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)))

/** Any few bytes, or many of a pattern: long random ones take longer to draw than to seal. */
const payload = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 64 }) },
  { weight: 1, arbitrary: fc.tuple(fc.nat({ max: 20_000 }), fc.uint8Array({ minLength: 1, maxLength: 16 })).map(([length, pattern]) => Buffer.alloc(length, pattern)) },
)

const message = fc.record({
  sealer: fc.nat({ max: 2 }),
  channel: fc.constantFrom(...channels.names),
  reader: fc.nat({ max: 3 }),
  payload,
  key: recordKey,
  id: fc.option(word(128), { nil: undefined }),
  contentEncoding: fc.option(word(128), { nil: undefined }),
  inReplyTo: fc.option(word(128), { nil: undefined }),
  contentType: fc.option(fc.oneof(fc.constantFrom('application/json', 'text/plain', 'application/a/b', 'image/svg+xml; charset=utf-8', 'application/'), fc.tuple(fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 })).map((halves) => halves.join('/'))), { nil: undefined }),
  headers: fc.tuple(header, header, header).map((values) => Object.fromEntries(HEADERS.map((name, index) => [name, values[index] ?? '']))),
})

fuzz('what is sealed opens to the same, for each recipient', {
  share: 0.02,
  values: message,
  run({ sealer, channel, reader, payload, key, id, contentEncoding, inReplyTo, contentType, headers }): OpenedMessage {
    const options: SealOptions = {
      channel,
      key,
      headers,
      ...(id !== undefined && { id }),
      ...(contentEncoding !== undefined && { contentEncoding }),
      ...(inReplyTo !== undefined && { inReplyTo }),
      ...(contentType !== undefined && { contentType }),
    }
    const sealed = pairs.sealers[sealer]?.sealSync(payload, options) ?? expect.fail('no sealer')
    const names = RECIPIENTS[channel] ?? []
    const opener = pairs.openers.get(names[reader % names.length] ?? '') ?? expect.fail('no opener')
    const message = opener.openSync(sealed.bytes, { channel, key, headers })
    expect(message.id).toBe(id ?? sealed.id)
    return message
  },
  check({ result, error }, { channel, payload, contentType, contentEncoding, inReplyTo }) {
    expect(error).toBeUndefined()
    expect(result?.plaintext.equals(Buffer.from(payload))).toBe(true)
    expect([result?.channel, result?.contentType, result?.contentEncoding, result?.inReplyTo]).toEqual([channel, contentType, contentEncoding, inReplyTo])
  },
  reaches: ['success'],
  reset() {
    pairs = newPairs()
  },
})

const other = fc.record({ key: recordKey, headers: fc.dictionary(fc.constantFrom(...HEADERS), fc.oneof(header, fc.constantFrom(undefined, null, 1, {}))), channel: fc.constantFrom(...channels.names) })
const bytesOf = (value: unknown): string => (Array.isArray(value) ? JSON.stringify(value.map(bytesOf)) : JSON.stringify([typeof value === 'string' || Buffer.isBuffer(value) ? Buffer.from(value).toString('hex') : typeof value]))
const sameHeader = (a: unknown, b: unknown): boolean => bytesOf(Array.isArray(a) ? a : [a]) === bytesOf(Array.isArray(b) ? b : [b])
const sameKey = (a: Buffer | string | null, b: Buffer | string | null): boolean => (a === null || b === null ? a === b : Buffer.from(a).equals(Buffer.from(b)))

fuzz('a message opens only under the record key, the headers and the channel that it was sealed with', {
  share: 0.05,
  values: fc.tuple(message, other, fc.integer({ min: 0, max: 7 })),
  run([{ channel, key, headers, payload }, found, changed]): OpenedMessage {
    const { bytes } = pairs.sealers[0]?.sealSync(payload, { channel, key, headers }) ?? expect.fail('no sealer')
    const [name = ''] = RECIPIENTS[channel] ?? []
    const opener = pairs.openers.get(name) ?? expect.fail('no opener')
    return opener.openSync(bytes, { channel: (changed & 1) === 0 ? channel : found.channel, key: (changed & 2) === 0 ? key : found.key, headers: (changed & 4) === 0 ? headers : found.headers })
  },
  check({ error }, [{ channel, key, headers }, found, changed]) {
    const bound = channels.get(channel).bindHeaders
    const same =
      ((changed & 1) === 0 || channel === found.channel) &&
      ((changed & 2) === 0 || !channels.get(channel).bindKey || sameKey(key, found.key)) &&
      ((changed & 4) === 0 || bound.every((name) => Object.hasOwn(found.headers, name) && sameHeader(headers[name], found.headers[name])))
    expect(error?.code ?? 'success').toBe(same ? 'success' : 'ERR_SEALBUS_CONTEXT_MISMATCH')
  },
  reaches: ['success', 'ERR_SEALBUS_CONTEXT_MISMATCH'],
  reset() {
    pairs = newPairs()
  },
})
