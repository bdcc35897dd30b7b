import fc from 'fast-check'

/**
 * JSON as written: members in order, names that may come twice, and atoms as any text. So a tree can say what no
 * object can.
 */
export type Tree = { readonly members: readonly Member[] } | { readonly elements: readonly Tree[] } | { readonly text: string }

export interface Member {
  /** As written, with its quotes. */
  readonly name: string
  readonly value: Tree
}

export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { elements: value.map(treeOf) }
  if (typeof value === 'object' && value !== null) {
    return { members: Object.entries(value).filter(([, each]) => each !== undefined).map(([name, each]) => ({ name: JSON.stringify(name), value: treeOf(each) })) }
  }
  return { text: JSON.stringify(value) }
}

export function textOf(tree: Tree): string {
  if ('text' in tree) return tree.text
  if ('elements' in tree) return `[${tree.elements.map(textOf).join(',')}]`
  return `{${tree.members.map(({ name, value }) => `${name}:${textOf(value)}`).join(',')}}`
}

/** Names that mean something somewhere in an envelope, and some that mean something to JavaScript. */
const NAMES = [
  'protected', 'unprotected', 'recipients', 'header', 'encrypted_key', 'iv', 'ciphertext', 'tag', 'aad',
  'alg', 'enc', 'kid', 'epk', 'apu', 'apv', 'typ', 'cty', 'kc', 'msg', 'zip', 'crit', 'jku', 'jwk', 'x5u', 'x5c',
  'kty', 'crv', 'x', 'y', 'd', 'n', 'e', 'use', 'key_ops', 'state', 'nbf', 'exp',
  'v', 'id', 'iat', 'ch', 'to', 'key', 'ce', 're', 'realm', 'z', 'hdr', '__proto__', 'constructor', 'toString', '', 'more',
] as const

const name: fc.Arbitrary<string> = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...NAMES).map((each) => JSON.stringify(each)) },
  { weight: 1, arbitrary: fc.constantFrom(...NAMES).map((each) => `"${each.replace(/./g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`) },
  { weight: 1, arbitrary: fc.string({ maxLength: 12, unit: 'binary' }).map((each) => JSON.stringify(each)) },
)

/** Values that fit many members' places, and values that fit none. */
const WORDS = [
  'ECDH-ES+A256KW', 'RSA-OAEP-256', 'RSA1_5', 'dir', 'ECDH-ES', 'A256KW', 'PBES2-HS512+A256KW', 'A256GCM', 'A128GCM', 'A256CBC-HS512', 'A192GCM',
  'sealbus+jwe', 'application/SEALBUS+JWE', 'JWE', 'jose', 'application/jose', 'json', 'P-256', 'P-384', 'P-521', 'X25519', 'secp256k1', 'EC', 'OKP', 'RSA', 'oct', 'enc', 'sig',
  'solo', 'same', 'mixed', 'gzip', 'zstd', 'DEF', 'ec-1', 'ec-2', 'okp-1', 'rsa-1', 'large-1', '', 'AA', 'AAAA', 'A', '=', 'AB', 'constructor', '__proto__', 'active', 'revoked', 'destroyed',
] as const
const ATOMS = ['null', 'true', 'false', '0', '-0', '1', '-1', '1.5', '1e400', '-1e400', '4503599627370497', '8640000000000', '8640000000001', '[]', '{}', '[[[[[[[[[1]]]]]]]]]', '"\\ud800"', '"\u0000"', 'undefined', 'NaN', '01', "'x'"] as const

const value: fc.Arbitrary<Tree> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...WORDS).map((word) => ({ text: JSON.stringify(word) })) },
  { weight: 4, arbitrary: fc.constantFrom(...ATOMS).map((text) => ({ text })) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 70 }).map((bytes) => ({ text: `"${Buffer.from(bytes).toString('base64url')}"` })) },
  { weight: 1, arbitrary: fc.string({ maxLength: 300, unit: 'binary' }).map((text) => ({ text: JSON.stringify(text) })) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }).map(treeOf) },
  { weight: 1, arbitrary: fc.array(fc.constantFrom(...WORDS), { maxLength: 3 }).map(treeOf) },
)

/** A change of one place of a tree. */
export type TreeEdit = (tree: Tree) => Tree

type Change = (place: Tree, whole: Tree) => Tree

const withChild = (change: (children: readonly Member[], pick: number) => readonly Member[]): fc.Arbitrary<Change> =>
  fc.nat({ max: 63 }).map((pick) => (place) => {
    if ('members' in place) return { members: change(place.members, pick) }
    if ('elements' in place) return { elements: change(place.elements.map((each) => ({ name: '', value: each })), pick).map((each) => each.value) }
    return place
  })

const index = (list: readonly unknown[], pick: number): number => (list.length === 0 ? 0 : pick % list.length)

const drop = withChild((children, pick) => children.filter((_, at) => at !== index(children, pick)))
const twice = withChild((children, pick) => [...children, ...children.slice(index(children, pick), index(children, pick) + 1)])
const last = withChild((children, pick) => [...children.filter((_, at) => at !== index(children, pick)), ...children.slice(index(children, pick), index(children, pick) + 1)])
const rename = name.chain((given) => withChild((children, pick) => children.map((each, at) => (at === index(children, pick) ? { ...each, name: given } : each))))
const add = fc.tuple(name, value).chain(([given, added]) => withChild((children) => [...children, { name: given, value: added }]))
const put = fc.tuple(name, value).chain(([given, added]) => withChild((children, pick) => [...children.slice(0, index(children, pick)), { name: given, value: added }, ...children.slice(index(children, pick))]))
const replace: fc.Arbitrary<Change> = value.map((given) => () => given)
const reset: fc.Arbitrary<Change> = fc.tuple(fc.nat({ max: 63 }), value).map(([pick, given]) => (place) =>
  'members' in place ? { members: place.members.map((each, at) => (at === index(place.members, pick) ? { ...each, value: given } : each)) } : given,
)
/** A part of the same tree in another place: an entry's `epk` as the tag, say. */
const transplant: fc.Arbitrary<Change> = fc.nat({ max: 255 }).map((pick) => (_place, whole) => {
  const all = places(whole)
  return all[pick % all.length] ?? whole
})

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 3, arbitrary: drop },
  { weight: 2, arbitrary: twice },
  { weight: 1, arbitrary: last },
  { weight: 2, arbitrary: rename },
  { weight: 3, arbitrary: add },
  { weight: 1, arbitrary: put },
  { weight: 2, arbitrary: replace },
  { weight: 4, arbitrary: reset },
  { weight: 1, arbitrary: transplant },
)

/** Every node, parents first. */
function places(tree: Tree): readonly Tree[] {
  if ('text' in tree) return [tree]
  const children = 'members' in tree ? tree.members.map((each) => each.value) : tree.elements
  return [tree, ...children.flatMap((each) => places(each))]
}

function replaced(tree: Tree, place: Tree, by: Tree): Tree {
  if (tree === place) return by
  if ('text' in tree) return tree
  if ('elements' in tree) return { elements: tree.elements.map((each) => replaced(each, place, by)) }
  return { members: tree.members.map((each) => ({ name: each.name, value: replaced(each.value, place, by) })) }
}

const treeEdit: fc.Arbitrary<TreeEdit> = fc.tuple(fc.nat({ max: 255 }), change).map(([pick, apply]) => (tree) => {
  const all = places(tree)
  const place = all[pick % all.length] ?? tree
  return replaced(tree, place, apply(place, tree))
})

export const treeEdits: fc.Arbitrary<TreeEdit> = fc.array(treeEdit, { minLength: 1, maxLength: 3 }).map((list) => (tree) => list.reduce((changed, edit) => edit(changed), tree))
