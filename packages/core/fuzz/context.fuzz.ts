import fc from 'fast-check'
import { expect } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { createOpener, type OpenedMessage } from '../src/open.ts'
import { testIdentities } from '../test/support/keys.ts'
import { KEYS } from './corpus.ts'
import { forge, keyMembers, knownContentKey } from './forgery.ts'
import { fuzz } from './property.ts'

const known = knownContentKey('A256GCM', [KEYS.ec])
const members = keyMembers(known)
const PAYLOAD = Buffer.from('x')

const channels = defineChannels({ orders: { to: ['ec'], bind: { key: false } } })
const newOpener = (): ReturnType<typeof createOpener> => createOpener({ name: 'ec', identities: testIdentities(KEYS.ec.identity), channels })
let opener = newOpener()

/** A value for a member, and whether the format admits it there. */
interface Admitted {
  readonly value: unknown
  readonly admitted: boolean
}

const admitted = (values: fc.Arbitrary<unknown>): fc.Arbitrary<Admitted> => values.map((value) => ({ value, admitted: true }))
const refused = (values: fc.Arbitrary<unknown>): fc.Arbitrary<Admitted> => values.map((value) => ({ value, admitted: false }))
const absent: fc.Arbitrary<Admitted> = fc.constant({ value: undefined, admitted: true })
const mostly = (good: fc.Arbitrary<Admitted>, bad: fc.Arbitrary<Admitted>): fc.Arbitrary<Admitted> => fc.oneof({ weight: 24, arbitrary: good }, { weight: 1, arbitrary: bad })

const noText = fc.constantFrom(null, true, 0, 1.5, [], ['a'], {}, '')
const text = (longest: number): fc.Arbitrary<string> => fc.oneof(fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }), fc.constantFrom('a'.repeat(longest), '__proto__', '\u0000', '"\\')).filter((each) => each.length <= longest)
const name = (longest: number): [good: fc.Arbitrary<Admitted>, bad: fc.Arbitrary<Admitted>] => [admitted(text(longest)), refused(fc.oneof(noText, fc.constant('a'.repeat(longest + 1))))]
const optional = (good: fc.Arbitrary<Admitted>, bad: fc.Arbitrary<Admitted>): fc.Arbitrary<Admitted> => mostly(fc.oneof(absent, good), bad)
const base64url = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString('base64url'))

/** docs/FORMAT.md's table of `msg`, but for the channel, as generators: an oracle that shares nothing with the decoder. */
const msg = fc.record({
  v: mostly(admitted(fc.constant(1)), refused(fc.constantFrom('1', null, 1.5, [1], {}))),
  id: mostly(...name(128)),
  iat: mostly(admitted(fc.integer({ min: 0, max: 8.64e12 })), refused(fc.constantFrom(-1, 0.5, 8.64e12 + 1, '0', null, 1e300))),
  to: mostly(
    admitted(fc.array(text(300), { minLength: 1, maxLength: 100, size: 'small' })),
    refused(fc.constantFrom([], 'ec', null, [''], [1], ['ec', null], Array.from({ length: 101 }, () => 'ec'))),
  ),
  key: optional(admitted(fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('base64url'))), refused(fc.constantFrom(null, '', 'AAAA', 7, `${'A'.repeat(43)}=`))),
  ce: optional(...name(128)),
  re: optional(...name(128)),
  realm: optional(...name(255)),
  z: optional(absent, refused(fc.constantFrom('deflate', 'GZIP', '', null, 1, 'constructor'))),
  hdr: optional(
    admitted(fc.dictionary(fc.string({ maxLength: 8 }), fc.array(base64url, { maxLength: 3 }), { maxKeys: 4, noNullPrototype: true })),
    refused(fc.constantFrom(null, [], 'a', { a: 'AA' }, { a: ['='] }, { a: [1] }, { a: ['AB'] })),
  ),
  more: fc.oneof(absent, admitted(fc.constantFrom(null, 1, 'x', [1], { a: 1 }))),
})

fuzz('an authentic context is taken exactly when the format admits it', {
  share: 0.1,
  values: msg,
  run(given): OpenedMessage {
    const context = Object.fromEntries(Object.entries(given).map(([member, { value }]) => [member, value]))
    return opener.openSync(forge(known, JSON.stringify({ ...members, msg: { ...context, ch: 'orders' } }), PAYLOAD), { channel: 'orders' })
  },
  check({ result, error }, given) {
    const faults = Object.entries(given).filter(([, { admitted: good }]) => !good)
    if (result === undefined) {
      expect(faults, error.message).not.toEqual([])
      expect(error.code).toBe('ERR_SEALBUS_MALFORMED')
      return
    }
    expect(faults).toEqual([])
    expect(result).toMatchObject({ id: given.id.value, channel: 'orders' })
    expect([result.contentEncoding, result.inReplyTo, result.time?.getTime()]).toEqual([given.ce.value, given.re.value, Number(given.iat.value) * 1_000])
  },
  reaches: ['success', 'ERR_SEALBUS_MALFORMED'],
  reset() {
    opener = newOpener()
  },
})
