import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { curve } from '../../src/algorithms.ts'
import { defineChannels } from '../../src/channels.ts'
import type { SealbusErrorCode } from '../../src/errors.ts'
import { loadIdentities } from '../../src/identities.ts'
import { createOpener } from '../../src/open.ts'
import { readEphemeralKey, unwrapLocal } from '../../src/wrap.ts'
import type { JsonObject } from '../../src/json.ts'
import { rejectionOf } from '../support/thrown.ts'
import { decryptWithJose } from './jose.ts'

/** The examples of RFC 7516 appendix A and RFC 7520 §5, each in all the serializations that are printed there. */
interface Example {
  readonly name: string
  readonly plaintext: string
  readonly keys: readonly JWK[]
  readonly jwes: readonly string[]
  readonly contentKey?: string
}

const examples = JSON.parse(readFileSync(new URL('rfc-examples.json', import.meta.url), 'utf8')) as readonly Example[]
const channels = defineChannels({ any: { to: ['billing'], foreign: true } })

const REFUSED = 'ERR_SEALBUS_REFUSED'
const MALFORMED = 'ERR_SEALBUS_MALFORMED'
const NOT_SEALED = 'ERR_SEALBUS_NOT_SEALED'
/** Of a symmetric key, which no identity can be; or a sole entry without kid that fits no identity. */
const STRANGER = 'ERR_SEALBUS_NOT_A_RECIPIENT'

/** Not one of them is within the policy. Codes in the order of the serializations: one for each. */
const EXPECTED: Readonly<Record<string, readonly [reason: string, ...codes: SealbusErrorCode[]]>> = {
  'RFC 7516 A.1': ['RSA-OAEP with SHA-1, and no kid', STRANGER],
  'RFC 7516 A.2': ['RSA1_5, A128CBC-HS256', REFUSED],
  'RFC 7516 A.3': ['A128KW, A128CBC-HS256', REFUSED],
  'RFC 7516 A.4': ['an unprotected header, with jku', REFUSED],
  'RFC 7516 A.5': ['an unprotected header, with jku', REFUSED],
  'RFC 7520 5.1': ['RSA1_5, A128CBC-HS256', REFUSED, REFUSED, REFUSED],
  'RFC 7520 5.2': ['RSA-OAEP with SHA-1', REFUSED, REFUSED, REFUSED],
  'RFC 7520 5.3': ['PBES2, A128CBC-HS256', REFUSED, REFUSED, REFUSED],
  'RFC 7520 5.4': ['ECDH-ES+A128KW', REFUSED, REFUSED, REFUSED],
  'RFC 7520 5.5': ['ECDH-ES without wrapping, A128CBC-HS256', REFUSED, REFUSED, REFUSED],
  'RFC 7520 5.6': ['dir: there is no encrypted_key, which only Compact has as an empty one', STRANGER, MALFORMED, MALFORMED],
  'RFC 7520 5.7': ['A256GCMKW, A128CBC-HS256', REFUSED, REFUSED, REFUSED],
  'RFC 7520 5.8': ['A128KW', STRANGER, STRANGER, STRANGER],
  'RFC 7520 5.9': ['zip', REFUSED, REFUSED, REFUSED],
  'RFC 7520 5.10': ['aad', REFUSED, REFUSED],
  'RFC 7520 5.11': ['an unprotected header', REFUSED, REFUSED],
  'RFC 7520 5.12': ['no protected header', NOT_SEALED, NOT_SEALED],
  'RFC 7520 5.13': ['an unprotected header, RSA1_5, A128CBC-HS256', REFUSED],
}

describe('RFC 7516 appendix A and RFC 7520 §5', () => {
  it('has an expectation for each example', () => expect(examples.map(({ name }) => name)).toEqual(Object.keys(EXPECTED)))

  it.each(examples)('$name is refused', async ({ name, keys, jwes }) => {
    const [, ...codes] = EXPECTED[name] ?? []
    expect(await Promise.all(jwes.map((jwe) => codeFor(jwe, keys)))).toEqual(codes)
  })

  it.each(examples.filter(({ keys }) => keys.some(({ kty }) => kty !== 'oct')))('$name is typed as it is printed: jose opens it, where it has the algorithm', async ({ name, keys, jwes, plaintext }) => {
    const opened = await Promise.all(jwes.flatMap((jwe) => keys.filter(({ kty }) => kty !== 'oct').map((key) => decryptWithJose(Buffer.from(jwe), key))))
    const texts = opened.flatMap((bytes) => bytes?.toString() ?? [])
    expect(texts.length > 0).toBe(!ONLY_RSA1_5.has(name))
    for (const text of texts) expect(text).toBe(plaintext)
  })

  it('5.13: the entry that uses ECDH-ES+A256KW unwraps to the content key', () => {
    const { keys, jwes, contentKey } = examples.find(({ name }) => name === 'RFC 7520 5.13') ?? expect.fail('no such example')
    const key = keys.find(({ kty }) => kty === 'EC') ?? expect.fail('no such key')
    const { recipients } = JSON.parse(jwes[0] ?? '') as { recipients: { encrypted_key: string; header: { kid: string; epk: JsonObject } }[] }
    const entry = recipients.find(({ header }) => header.kid === key.kid) ?? expect.fail('no such entry')
    const row = curve(key.kty, key.crv) ?? expect.fail('no such curve')
    const epk = readEphemeralKey(entry.header.epk, row) ?? expect.fail('no epk')
    const unwrapped = unwrapLocal(createPrivateKey({ key, format: 'jwk' }), { kid: entry.header.kid, alg: 'ECDH-ES+A256KW', enc: 'A256GCM', epk, encryptedKey: Buffer.from(entry.encrypted_key, 'base64url') })
    expect(unwrapped?.toString('base64url')).toBe(contentKey)
  })
})

const ONLY_RSA1_5 = new Set(['RFC 7516 A.2', 'RFC 7516 A.4', 'RFC 7520 5.1'])

async function codeFor(jwe: string, keys: readonly JWK[]): Promise<SealbusErrorCode> {
  const usable = keys.filter(({ kty }) => kty !== 'oct').map(({ alg: _alg, ...key }) => key as JWK)
  const opener = createOpener({ name: 'billing', identities: await loadIdentities({ keys: usable }), channels })
  return rejectionOf(opener.open(Buffer.from(jwe), { channel: 'any' }))
}
