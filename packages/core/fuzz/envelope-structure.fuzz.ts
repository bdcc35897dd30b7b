import fc from 'fast-check'
import { expect } from 'vitest'
import { factsOf, type Facts, KEYS, SAMPLES } from './corpus.ts'
import { envelopeExample, shownAs } from './counterexample.ts'
import { authenticate, keyMembers, knownContentKey } from './forgery.ts'
import { textOf, type Tree, treeEdits, treeOf } from './json-tree.ts'
import { forgetOpeners, openerOf } from './openers.ts'
import { fuzz } from './property.ts'

const JSON_SAMPLES = SAMPLES.filter(({ bytes }) => bytes[0] === 0x7b).map((sample) => {
  const { protected: encoded, ...rest } = JSON.parse(sample.bytes.toString()) as { protected: string }
  return { ...sample, header: treeOf(JSON.parse(Buffer.from(encoded, 'base64url').toString())), rest: treeOf(rest) }
})

/** `protected` goes first, whatever else was changed, unless the changed rest has one of its own. */
function envelope(header: string, rest: Tree): Buffer {
  if (!('members' in rest)) return Buffer.from(textOf(rest))
  return Buffer.from(textOf({ members: [{ name: '"protected"', value: treeOf(Buffer.from(header).toString('base64url')) }, ...rest.members] }))
}

const unchanged = fc.constant((tree: Tree): Tree => tree)

fuzz('an envelope of changed members opens to the same message, or not at all', {
  share: 0.15,
  values: fc
    .tuple(fc.constantFrom(...JSON_SAMPLES), fc.oneof({ weight: 4, arbitrary: treeEdits }, { weight: 1, arbitrary: unchanged }), fc.oneof({ weight: 1, arbitrary: treeEdits }, { weight: 3, arbitrary: unchanged }))
    .map(([sample, editRest, editHeader]) => shownAs({ sample, bytes: envelope(textOf(editHeader(sample.header)), editRest(sample.rest)) }, (made) => `${sample.name}: ${envelopeExample(made.bytes, sample.key)}`)),
  run: ({ sample, bytes }): Facts => factsOf(openerOf(sample.key).openSync(bytes, sample.options)),
  check({ result }, { sample }) {
    if (result) expect(result).toEqual(sample.facts)
  },
  reaches: ['success', 'ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_REFUSED', 'ERR_SEALBUS_NOT_A_RECIPIENT', 'ERR_SEALBUS_KEY_MISSING', 'ERR_SEALBUS_UNSUPPORTED_VERSION'],
  reset: forgetOpeners,
})

const PAYLOAD = Buffer.from('{"total":9}')
const insiders = [
  { key: KEYS.ec, known: knownContentKey('A256GCM', [KEYS.ec, KEYS.okp]) },
  { key: KEYS.ec, known: knownContentKey('A256CBC-HS512', [KEYS.ec, KEYS.rsa]) },
  { key: KEYS.okp, known: knownContentKey('A128GCM', [KEYS.okp, KEYS.ec]) },
]

/** A recipient has the content key, and can authenticate any header: the tag fits, so all that stands behind it is reached. */
fuzz('what a recipient forges says of itself what its header says', {
  share: 0.15,
  values: fc.tuple(fc.constantFrom(...insiders), fc.constantFrom('solo', 'foreign', 'gzip'), treeEdits, fc.boolean()).map(([{ key, known }, channel, edit, sole]) => {
    const { alg, kid, epk, ...common } = keyMembers(known)
    const msg = { v: 1, id: 'id-1', iat: 1_790_000_000, ch: channel, to: ['ec'], ce: 'br', re: 'request-1' }
    const header = textOf(edit(treeOf(sole ? { ...common, alg, kid, epk, msg } : { ...common, cty: 'json', msg })))
    const aad = Buffer.from(header).toString('base64url')
    const recipients = known.entries.map((entry) => ({ header: { alg: entry.alg, kid: entry.kid, epk: entry.epk }, encrypted_key: entry.encryptedKey }))
    const entries = sole ? [{ encrypted_key: known.entries[0]?.encryptedKey }] : recipients
    const bytes = Buffer.from(JSON.stringify({ protected: aad, recipients: entries, ...authenticate(known, aad, PAYLOAD) }))
    return shownAs({ key, channel, header, bytes }, () => `${channel}: ${header} in ${envelopeExample(bytes, key)}`)
  }),
  run: ({ key, channel, bytes }): Facts => factsOf(openerOf(key).openSync(bytes, { channel, key: null })),
  check({ result }, { key, channel, header }) {
    if (!result) return
    const { typ, msg } = JSON.parse(header) as { typ?: unknown; msg?: { id: string; iat: number; ce?: string; re?: string } }
    const native = typeof typ === 'string' && /^(application\/)?sealbus\+jwe$/i.test(typ)
    expect(result).toMatchObject({ channel, kid: key.kid, plaintext: PAYLOAD.toString('base64'), sender: undefined })
    expect(result.id).toBe(native ? msg?.id : undefined)
    expect(result.time).toBe(native && msg ? msg.iat * 1_000 + 0 : undefined)
    expect([result.contentEncoding, result.inReplyTo]).toEqual(native ? [msg?.ce, msg?.re] : [undefined, undefined])
  },
  reaches: ['success', 'ERR_SEALBUS_DECRYPT_FAILED', 'ERR_SEALBUS_MALFORMED', 'ERR_SEALBUS_REFUSED', 'ERR_SEALBUS_CONTEXT_MISMATCH', 'ERR_SEALBUS_UNSUPPORTED_VERSION'],
  reset: forgetOpeners,
})
