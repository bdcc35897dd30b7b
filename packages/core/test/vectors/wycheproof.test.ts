import { createPrivateKey, createSecretKey, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { type ContentEncryptionRow, contentEncryption, curve } from '../../src/algorithms.ts'
import { defineChannels } from '../../src/channels.ts'
import { decryptContent, encryptContent } from '../../src/content.ts'
import { isSealbusError } from '../../src/errors.ts'
import { loadIdentities } from '../../src/identities.ts'
import type { JsonObject } from '../../src/json.ts'
import { readKeys } from '../../src/jwks/parse.ts'
import { checkPublicKey, PRIVATE_MEMBERS } from '../../src/jwks/public-key.ts'
import { createOpener } from '../../src/open.ts'
import { aesKeyUnwrap, aesKeyWrap, deriveWrappingKey, readEphemeralKey, unwrapLocal } from '../../src/wrap.ts'
import { type Group, judged, type Tally, tally, type Test, wycheproof, wycheproofMissing } from './wycheproof.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const same = (made: Buffer | null, expected: Buffer): 'right' | 'wrong' | 'refused' => (made === null ? 'refused' : made.equals(expected) ? 'right' : 'wrong')

const missing = wycheproofMissing
if (missing !== undefined) {
  console.warn(`\nNOT RUN: ${missing}: JWE, key, AES-GCM, AES-CBC-HMAC, AES-KW, ECDH, X25519 and RSA-OAEP vectors\n`)
  describe('Wycheproof', () => {
    it.runIf(process.env['SEALBUS_REQUIRE_VECTORS'] === '1')('is there, because SEALBUS_REQUIRE_VECTORS is set', () => expect.fail(missing))
    it.skip(missing, () => {})
  })
}

describe.runIf(missing === undefined)('Wycheproof, on the functions that core uses', () => {
  interface AeadTest extends Test {
    readonly key: string
    readonly iv: string
    readonly aad: string
    readonly msg: string
    readonly ct: string
    readonly tag: string
  }

  const aead = (row: ContentEncryptionRow, test: AeadTest): string => {
    const key = createSecretKey(hex(test.key))
    const aad = hex(test.aad)
    const decrypted = decryptContent(row, key, hex(test.iv), aad, hex(test.ct), hex(test.tag))
    if (row.seals && test.result === 'valid') {
      const { ciphertext, tag } = encryptContent(row, key, hex(test.iv), aad, hex(test.msg))
      if (!ciphertext.equals(hex(test.ct)) || !tag.equals(hex(test.tag))) return `AGAINST EXPECTATION: ${test.tcId} encrypts otherwise`
    }
    return judged(test, same(decrypted, hex(test.msg)))
  }

  it('AES-GCM', () => {
    const rows: Readonly<Record<string, ContentEncryptionRow | undefined>> = { 128: contentEncryption('A128GCM'), 256: contentEncryption('A256GCM') }
    expect(tally(wycheproof<AeadTest>('aes_gcm_test.json'), (test, { ivSize, keySize, tagSize }) => {
      const row = rows[String(keySize)]
      if (!row) return 'not run: A192GCM is not in the table'
      if (ivSize !== 96 || tagSize !== 128) return 'not run: an IV that is not of 12 bytes never reaches the cipher'
      return aead(row, test)
    })).toEqual({
      'valid: right': 79,
      'invalid: refused': '41-67 130-156',
      'not run: A192GCM is not in the table': '157-239 261-262 269-272 287-298 313-314',
      'not run: an IV that is not of 12 bytes never reaches the cipher': '68-90 240-260 263-268 273-286 299-312 315-316',
    })
  })

  it('A256CBC-HS512', () => {
    const row = contentEncryption('A256CBC-HS512') ?? expect.fail('no such row')
    expect(tally(wycheproof<AeadTest>('a256cbc_hs512_test.json'), (test) => aead(row, test))).toEqual({ 'valid: right': 67, 'invalid: refused': '68-94' })
  })

  it('AES-KW', () => {
    interface WrapTest extends Test {
      readonly key: string
      readonly msg: string
      readonly ct: string
    }
    const unwrapped = (test: WrapTest): Buffer | null => {
      try {
        return aesKeyUnwrap(hex(test.key), hex(test.ct))
      } catch {
        return null
      }
    }
    expect(tally(wycheproof<WrapTest>('aes_wrap_test.json'), (test, { keySize }) => {
      if (keySize !== 256) return 'not run: the wrapping key has 256 bits'
      const ciphertextSize = hex(test.ct).length
      if (![24, 40, 72].includes(ciphertextSize)) return `not run: an encrypted_key of another length than a content key's never reaches the cipher`
      if (test.result === 'valid' && !aesKeyWrap(hex(test.key), hex(test.msg)).equals(hex(test.ct))) return `AGAINST EXPECTATION: ${test.tcId} wraps otherwise`
      return judged(test, same(unwrapped(test), hex(test.msg)))
    })).toEqual({
      'valid: right': 8,
      'invalid: refused': '127 129-130 132-133 135-136 138-139 141-142 144-145 147-148 150-151 153-154 156-157 159-160 162',
      'not run: the wrapping key has 256 bits': '1-97',
      "not run: an encrypted_key of another length than a content key's never reaches the cipher": '101-103 107-126 128 131 134 137 140 143 146 149 152 155 158 161 164',
    })
  })

  interface AgreementTest extends Test {
    readonly public: JsonObject
    readonly private: JWK
    readonly shared: string
  }

  /** Whether unwrapping agrees on the expected secret: a key that was wrapped with it comes back. */
  const agreement = (test: AgreementTest, kty: string, crv: string): string => {
    const row = curve(kty, crv) ?? expect.fail('no such curve')
    const epk = readEphemeralKey(test.public, row)
    if (!epk) return judged(test, 'refused')
    const contentKey = Buffer.alloc(32, 7)
    const encryptedKey = aesKeyWrap(deriveWrappingKey(hex(test.shared), 'ECDH-ES+A256KW'), contentKey)
    const unwrapped = unwrapLocal(createPrivateKey({ key: test.private, format: 'jwk' }), { kid: 'x', alg: 'ECDH-ES+A256KW', enc: 'A256GCM', epk, encryptedKey })
    return judged(test, same(unwrapped, contentKey))
  }

  it('ECDH on P-256', () => {
    expect(tally(wycheproof<AgreementTest>('ecdh_secp256r1_webcrypto_test.json'), (test) => agreement(test, 'EC', 'P-256'))).toEqual({ 'valid: right': 330, 'invalid: refused': '331-353' })
  })

  /** In both of the sets for X25519. */
  const LOW_ORDER = '32-33 63-86 117-118 154 165-166'

  it('X25519, keys as JWK', () => {
    expect(tally(wycheproof<AgreementTest>('x25519_jwk_test.json'), (test) => agreement(test, 'OKP', 'X25519'))).toEqual({
      'valid: right': 264,
      // Points of the twist and such that are not reduced are taken, as RFC 7748 has it; the 31 of low order give zero.
      'acceptable: right': 223,
      'acceptable: refused': LOW_ORDER,
      'invalid: refused': '519-531',
    })
  })

  it('X25519, raw keys', () => {
    interface RawTest extends Test {
      readonly public: string
      readonly private: string
      readonly shared: string
    }
    expect(tally(wycheproof<RawTest>('x25519_test.json'), (test) => {
      const privateKey = createPrivateKey({ key: Buffer.concat([hex('302e020100300506032b656e04220420'), hex(test.private)]), format: 'der', type: 'pkcs8' })
      const jwk = { kty: 'OKP', crv: 'X25519', x: hex(test.public).toString('base64url') }
      return agreement({ ...test, public: jwk, private: privateKey.export({ format: 'jwk' }) }, 'OKP', 'X25519')
    })).toEqual({ 'valid: right': 264, 'acceptable: right': 223, 'acceptable: refused': LOW_ORDER })
  })

  it('RSA-OAEP with SHA-256', () => {
    interface OaepTest extends Test {
      readonly msg: string
      readonly ct: string
      readonly label: string
    }
    const keys = new Map<unknown, KeyObject>()
    expect(tally(wycheproof<OaepTest>('rsa_oaep_2048_sha256_mgf1sha256_test.json'), (test, group) => {
      const privateKey = keys.get(group) ?? createPrivateKey(String(group['privateKeyPem']))
      keys.set(group, privateKey)
      const unwrapped = unwrapLocal(privateKey, { kid: 'x', alg: 'RSA-OAEP-256', enc: 'A256GCM', encryptedKey: hex(test.ct) })
      if (test.label !== '' && unwrapped === null) return 'refused: JWE has no OAEP label'
      return judged(test, same(unwrapped, hex(test.msg)))
    })).toEqual({ 'valid: right': 10, 'invalid: refused': '12-20 23-32', 'refused: JWE has no OAEP label': '8-10 33-37' })
  })

  interface JweTest extends Test {
    /** Compact, or an object. */
    readonly jwe?: unknown
    readonly pt?: string
  }

  const channels = defineChannels({ any: { to: ['billing'], foreign: true } })

  const PERMITTED = new Set(['ECDH-ES+A256KW', 'RSA-OAEP-256'])

  /** Opens as a foreign envelope with the group's key, whatever `alg` that key says. */
  const opened = async (test: JweTest, group: Group<JweTest>): Promise<string> => {
    const { alg: _alg, ...key } = group.private as JWK
    const jwe = typeof test.jwe === 'string' ? test.jwe : JSON.stringify(test.jwe)
    try {
      const opener = createOpener({ name: 'billing', identities: await loadIdentities({ keys: [key] }), channels })
      const { plaintext } = await opener.open(Buffer.from(jwe), { channel: 'any' })
      return judged(test, test.pt === undefined || plaintext.equals(hex(test.pt)) ? 'right' : 'wrong')
    } catch (error) {
      if (!isSealbusError(error)) throw error
      if (test.result === 'invalid') return `invalid: ${error.code}`
      const { alg, enc } = JSON.parse(Buffer.from(jwe.split('.')[0] ?? '', 'base64url').toString()) as { alg: string; enc: string }
      return `valid, not within the policy: ${PERMITTED.has(alg) ? enc : alg}`
    }
  }

  const openedAll = async (file: string): Promise<Tally> => {
    const outcomes = new Map<JweTest, string>()
    const groups = wycheproof<JweTest>(file).map((group) => ({ ...group, tests: group.tests.filter(({ jwe }) => jwe !== undefined) }))
    for (const group of groups) for (const test of group.tests) outcomes.set(test, await opened(test, group))
    return tally(groups, (test) => outcomes.get(test) ?? 'not run')
  }

  it('JWE', async () => {
    expect(await openedAll('json_web_encryption_test.json')).toEqual({
      'valid: right': 7,
      'valid, not within the policy: A128KW': '69 134-135',
      'valid, not within the policy: A192KW': '70',
      'valid, not within the policy: A256KW': '1 23 28-32',
      'valid, not within the policy: A128GCMKW': '71',
      'valid, not within the policy: A192GCMKW': '72',
      'valid, not within the policy: A256GCMKW': '73-75 133',
      'valid, not within the policy: dir': '132',
      'valid, not within the policy: ECDH-ES': '76-81 131',
      'valid, not within the policy: ECDH-ES+A128KW': '33-35 52-59 130',
      'valid, not within the policy: ECDH-ES+A192KW': '60-61',
      'valid, not within the policy: RSA-OAEP': '82-87 129',
      'valid, not within the policy: RSA1_5': '100-105 112 128',
      'valid, not within the policy: A128CBC-HS256': '67 91',
      'valid, not within the policy: A192CBC-HS384': '92',
      'valid, not within the policy: A192GCM': '89',
      // A symmetric key is no identity.
      'invalid: ERR_SEALBUS_INVALID_KEY': '2-22 24-27 106-109 136-139',
      // Tags that are cut short.
      'invalid: ERR_SEALBUS_MALFORMED': '63-65',
      // RSA1_5 without a kid: no key of ours is for it.
      'invalid: ERR_SEALBUS_NOT_A_RECIPIENT': '94-99 110-111 113-120 122-127',
      // A segment, or the header, is missing.
      'invalid: ERR_SEALBUS_NOT_SEALED': '38 41 44 47 49-50',
      // A128CBC-HS256 is not in the table.
      'invalid: ERR_SEALBUS_REFUSED': '36-37 39-40 42-43 45-46 48 51',
    })
  })

  it('JWE of the set for web cryptography', async () => {
    expect(await openedAll('json_web_crypto_test.json')).toEqual({
      'valid, not within the policy: A256KW': '50',
      'valid, not within the policy: ECDH-ES+A128KW': '67',
      // For the same reasons as above.
      'invalid: ERR_SEALBUS_INVALID_KEY': '51-66',
      'invalid: ERR_SEALBUS_NOT_SEALED': '70 73 76 79 81-82',
      'invalid: ERR_SEALBUS_REFUSED': '68-69 71-72 74-75 77-78 80 83',
    })
  })

  interface KeyGroup extends Group<Test> {
    readonly private?: JWK & { readonly keys?: readonly JWK[] }
    readonly public?: JWK & { readonly keys?: readonly JWK[] }
  }

  const keyGroups = (): readonly KeyGroup[] => [...wycheproof<Test>('json_web_key_test.json'), ...wycheproof<Test>('json_web_crypto_test.json')]
  const keysOf = ({ public: publicKey, private: privateKey }: KeyGroup): readonly JWK[] => {
    const key = publicKey ?? privateKey ?? {}
    return key.keys ?? [key]
  }

  it('keys, as they are: all are for signing, or for what is not in the table', () => {
    const reasons: Record<string, string[]> = {}
    for (const group of keyGroups()) {
      for (const key of keysOf(group)) {
        const set = readKeys([key])
        ;(reasons[typeof set === 'string' ? set : (set.rejected[0]?.reason ?? 'accepted')] ??= []).push(String(group.comment))
      }
    }
    expect(reasons).toEqual({
      'its use is not enc': [
        'jws_mixedSymmetryKeyset', 'jws_mixedSymmetryKeyset', 'jws_keyset', 'jws_keyset', 'jws_duplicate_kid', 'jws_duplicate_kid', 'rs256', 'jws_rsa_roca_key', 'keysize_too_small', 'exponentOne',
        'HS256', 'HS384', 'HS512', 'HS256', 'HS384', 'HS512', 'HS256', 'HS384', 'HS512', 'wrong_algorithm', 'invalid_algorithm', 'invalid_point', 'wrong_curve', 'wrong_kty',
        'invalid_aes_gcm_key', 'invalid_aes_kw_key', 'jws_aes', 'jws_ec', 'jws_rsa', 'jws_rsa_roca_key', 'jws_mixedSymmetryKeyset', 'jws_mixedSymmetryKeyset', 'jws_keyset', 'jws_keyset',
      ],
      'it holds private members: that key is compromised': ['jwe_aes', 'jwe_ec'],
      'its key type, curve or alg is not permitted': ['rs256', 'invalid_use'],
    })
  })

  it('keys, as if they were published for encryption', () => {
    const reasons: Record<string, string[]> = {}
    for (const group of keyGroups()) {
      for (const key of keysOf(group)) {
        if (key.kty === 'oct') continue
        const checked = checkPublicKey(Object.fromEntries(Object.entries(key).filter(([name]) => !['alg', 'use', ...PRIVATE_MEMBERS].includes(name))))
        ;(reasons['reason' in checked ? checked.reason : 'accepted'] ??= []).push(String(group.comment))
      }
    }
    expect(reasons).toEqual({
      // What was wrong with most of these is an `alg` or a `use`, which this leaves out. jws_rsa_roca_key has primes
      // that can be guessed (CVE-2017-15361): nothing looks for that.
      accepted: ['jws_mixedSymmetryKeyset', 'rs256', 'rs256', 'jws_rsa_roca_key', 'wrong_algorithm', 'invalid_algorithm', 'invalid_use', 'jws_ec', 'jws_rsa', 'jws_rsa_roca_key', 'jws_mixedSymmetryKeyset', 'jwe_ec'],
      'its modulus has 1024 bits, not 2048 to 4096': ['keysize_too_small'],
      'its exponent is not odd, and from 65,537 to 2,147,483,647': ['exponentOne'],
      'it is not a valid public key': ['invalid_point'],
      'its members are not canonical base64url of the right size': ['wrong_curve', 'wrong_kty'],
    })
  })
})
