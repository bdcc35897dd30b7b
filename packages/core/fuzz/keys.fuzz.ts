import { inspect } from 'node:util'
import fc from 'fast-check'
import { expect } from 'vitest'
import { loadIdentities } from '../src/identities.ts'
import type { IdentityStore } from '../src/identity.ts'
import { type KeySet, parseKeySet } from '../src/jwks/parse.ts'
import { selectKey } from '../src/jwks/select.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import type { RecipientDirectory } from '../src/recipient.ts'
import { unwrapLocal, wrapKey } from '../src/wrap.ts'
import { KEYS } from './corpus.ts'
import { excerpt, shownAs } from './counterexample.ts'
import { edits } from './edits.ts'
import { textOf, treeEdits, treeOf } from './json-tree.ts'
import { fuzz } from './property.ts'

const CONTENT_KEY = Buffer.alloc(32, 7)
const pairs = Object.values(KEYS)
const publicSet = { keys: pairs.map(({ publicJwk }) => publicJwk) }
const privateKeys = pairs.map(({ privateKey, publicJwk }) => ({ ...privateKey.export({ format: 'jwk' }), ...publicJwk }))
const secrets = privateKeys.flatMap((jwk) => Object.entries(jwk).flatMap(([member, value]) => (['d', 'p', 'q', 'dp', 'dq', 'qi'].includes(member) && typeof value === 'string' ? [value] : [])))

const someKeys = <Key>(keys: readonly Key[]): fc.Arbitrary<readonly Key[]> => fc.subarray([...keys], { minLength: 1, maxLength: 2 })

fuzz('a key set that was changed keeps only keys that can be sealed for', {
  share: 0.02,
  values: fc.oneof(
    fc.tuple(someKeys(publicSet.keys), treeEdits).map(([keys, edit]) => Buffer.from(textOf(edit(treeOf({ keys }))))),
    fc.tuple(someKeys(publicSet.keys), edits).map(([keys, edit]) => edit(Buffer.from(JSON.stringify({ keys })))),
  ).map((bytes) => shownAs(bytes, (each) => excerpt(each.toString('latin1')))),
  run: (bytes): KeySet | string => parseKeySet(bytes),
  check({ result }) {
    if (typeof result !== 'object') return
    for (const key of result.keys) {
      // Two are usual: an edit can hardly make a third.
      const known = pairs.find(({ recipientKey }) => recipientKey.thumbprint === key.thumbprint)
      const { epk, encryptedKey } = wrapKey(key, CONTENT_KEY)
      if (known) expect(unwrapLocal(known.privateKey, { kid: key.kid, alg: key.alg, enc: 'A256GCM', encryptedKey, ...(epk && { epk }) })?.equals(CONTENT_KEY)).toBe(true)
    }
    const selected = selectKey(result.keys, Date.now())
    if (selected) expect(result.keys).toContain(selected)
  },
  reaches: ['success'],
})

/** Objects that a program passes are no JSON texts: they may hold anything. */
const jwk = fc.tuple(fc.constantFrom(...publicSet.keys), fc.dictionary(fc.constantFrom('kty', 'crv', 'x', 'y', 'n', 'e', 'kid', 'alg', 'use', 'key_ops', 'nbf', 'exp', 'iat', 'd'), fc.anything({ maxDepth: 1 }), { maxKeys: 2 })).map(([key, changed]) => ({ ...key, ...changed }))

fuzz('a static directory of any keys', {
  share: 0.01,
  values: fc.oneof({ weight: 5, arbitrary: jwk }, { weight: 1, arbitrary: fc.array(jwk, { maxLength: 2 }).map((keys) => ({ keys })) }),
  run: (given): RecipientDirectory => createStaticDirectory({ billing: given }),
  check({ result, error }) {
    if (error) expect(error.code).toBe('ERR_SEALBUS_NO_USABLE_KEY')
    else expect(() => result.peek('shipping')).toThrow('no recipient')
  },
  reaches: ['success', 'ERR_SEALBUS_NO_USABLE_KEY'],
})

const privateJwk = fc.constantFrom(...privateKeys)

fuzz('identities from any private set: loaded whole, or refused without a word of it', {
  share: 0.015,
  values: fc.oneof(
    fc.tuple(privateJwk, treeEdits).map(([key, edit]): unknown => {
      try {
        return JSON.parse(textOf(edit(treeOf(key))))
      } catch {
        return key
      }
    }),
    fc.tuple(privateJwk, fc.constantFrom('d', 'x', 'y', 'n', 'p', 'dp', 'qi'), edits).map(([key, member, edit]) => ({ ...key, [member]: edit(Buffer.from(String(Reflect.get(key, member)))).toString('latin1') })),
    fc.tuple(privateJwk, privateJwk, fc.constantFrom('d', 'x', 'y', 'n', 'e', 'p', 'crv')).map(([key, other, member]) => ({ ...key, [member]: Reflect.get(other, member) })),
    fc.tuple(privateJwk, fc.constantFrom('active', 'archived', 'revoked', 'destroyed', 'unknown', null)).map(([key, state]) => ({ ...key, state })),
  ),
  run: (key): Promise<IdentityStore> => loadIdentities({ keys: [key as never] }),
  check({ result, error }, key) {
    // A kid or a coordinate is public, whatever was put there.
    const named = JSON.stringify(Object.entries(key ?? {}).filter(([member]) => ['kid', 'x', 'y', 'n', 'e'].includes(member)))
    const shown = error ? inspect(error, { depth: 5, showHidden: true }) : inspect(result?.list(), { depth: 5 })
    for (const secret of secrets) if (!named.includes(secret)) expect(shown).not.toContain(secret)
    if (error) expect(error.code).toBe('ERR_SEALBUS_INVALID_KEY')
  },
  reaches: ['success', 'ERR_SEALBUS_INVALID_KEY'],
})
