import { describe, expect, it, vi } from 'vitest'
import { type ChannelDeclarations, defineChannels } from '../src/channels.ts'
import { LIMITS } from '../src/limits.ts'
import { codeOf } from './support/thrown.ts'

describe('channels', () => {
  const channels = defineChannels({
    orders: { to: ['billing'], match: ['orders', /^orders\.retry\.\d+$/g] },
    invoices: { to: ['billing'], match: [/^(invoices|orders\.retry\.9)$/] },
    metrics: 'plaintext',
  })

  it('destinations map by exact name and by pattern, again and again', () => {
    for (let round = 0; round < 3; round++) {
      expect(channels.at('orders').name).toBe('orders')
      expect(channels.at('orders.retry.1').name).toBe('orders')
      expect(channels.at('metrics').plaintext).toBe(true)
    }
    // `g` makes test() remember where it ended: the second name would not match.
    for (let name = 10; name < 15; name++) expect(channels.at(`orders.retry.${name}`).name).toBe('orders')
  })

  it('a name in two channels: at first use for patterns, at construction for strings', () => {
    expect(codeOf(() => channels.at('orders.retry.9'))).toBe('ERR_SEALBUS_AMBIGUOUS_CHANNEL')
    expect(codeOf(() => defineChannels({ a: { to: ['x'], match: ['t'] }, b: { to: ['x'], match: ['t'] } }))).toBe('ERR_SEALBUS_AMBIGUOUS_CHANNEL')
  })

  it.each(['unknown', '', '__proto__', 'constructor', 'toString', 'orders.retry.x'])('%j is not declared', (name) => {
    expect(codeOf(() => channels.at(name))).toBe('ERR_SEALBUS_UNDECLARED_CHANNEL')
    expect(codeOf(() => channels.get(name))).toBe('ERR_SEALBUS_UNDECLARED_CHANNEL')
  })

  it.each<[string, unknown, string]>([
    ['no recipients', { a: { to: [] } }, 'channel "a" has no recipients: nothing is sent'],
    ['a misspelt option', { a: { to: ['x'], acept: 'sealed' } }, 'channel "a": "acept" is not an option of a channel'],
    ['`bind` that is no object', { a: { to: ['x'], bind: 'key' } }, '`bind` is an object'],
    ['`bind` that is null', { a: { to: ['x'], bind: null } }, '`bind` is an object'],
    ['a misspelt option of bind', { a: { to: ['x'], bind: { keys: false } } }, '"keys" is not an option of `bind`'],
    ['`bind.key` that is no boolean', { a: { to: ['x'], bind: { key: 'no' } } }, '`bind.key` is a boolean'],
    ['`bind.headers` that is no list', { a: { to: ['x'], bind: { headers: 'tenant' } } }, '`bind.headers` is a list of names'],
    ['`bind.headers` with an empty name', { a: { to: ['x'], bind: { headers: [''] } } }, '`bind.headers` is a list of names'],
    ['an unknown accept', { a: { to: ['x'], accept: 'plain' } }, "`accept` is 'sealed' or 'sealed-or-plain'"],
    ['an empty match', { a: { to: ['x'], match: [] } }, '`match` is a list that is not empty'],
    ['a match that is no list', { a: { to: ['x'], match: 'orders' } }, '`match` is a list that is not empty'],
    ['a matcher that is no text', { a: { to: ['x'], match: [7] } }, '`match` holds names and regular expressions'],
    ['an empty matcher', { a: { to: ['x'], match: [''] } }, '`match` holds names and regular expressions'],
    ['a recipient twice', { a: { to: ['x', 'x'] } }, '`to` names a recipient twice'],
    ['a recipient without a name', { a: { to: [''] } }, "a recipient's name is a text that is not empty"],
    ['`to` that is a string', { a: { to: 'x' } }, '`to` is a list of names or a function'],
    ['`to` that is an object', { a: { to: { length: 1, 0: 'x' } } }, '`to` is a list of names or a function'],
    ['an unknown compression', { a: { to: ['x'], compress: 'br' } }, "`compress` is 'gzip' or 'zstd'"],
    ['`foreign` that is no boolean', { a: { to: ['x'], foreign: 'yes' } }, '`foreign` is a boolean'],
    ['a channel without a name', { '': { to: ['x'] } }, "a channel's name is a text of 1 to 255 characters"],
    ['a plaintext channel without a name', { '': 'plaintext' }, "a channel's name is a text of 1 to 255 characters"],
    ['a misspelt plaintext', { a: 'plain' }, "a channel is 'plaintext' or an object with `to`"],
    ['a declaration that is null', { a: null }, "a channel is 'plaintext' or an object with `to`"],
    ['a declaration that is a function', { a: () => ['x'] }, "a channel is 'plaintext' or an object with `to`"],
    ['101 recipients', { a: { to: Array.from({ length: 101 }, (_, index) => `r${index}`) } }, 'at most 100 recipients, not 101'],
  ])('%s is refused at construction, and the error says what is wrong', (_title, declarations, words) => {
    const declare = () => defineChannels(declarations as ChannelDeclarations)
    expect(codeOf(declare)).toBe(words.includes('no recipients') ? 'ERR_SEALBUS_NO_RECIPIENTS' : 'ERR_SEALBUS_INVALID_OPTION')
    expect(declare).toThrow(words)
  })

  it('100 recipients are declared, and a name may match twice in one channel', () => {
    const to = Array.from({ length: 100 }, (_, index) => `r${index}`)
    expect(defineChannels({ a: { to } }).get('a').to).toHaveLength(100)
    expect(defineChannels({ a: { to: ['x'], match: ['t', 't'] } }).at('t').name).toBe('a')
  })

  it('a plaintext channel seals for nobody, takes no foreign envelope, and binds nothing', () => {
    expect(channels.get('metrics')).toEqual({ name: 'metrics', plaintext: true, to: [], accept: 'sealed', foreign: false, bindKey: false, bindHeaders: [] })
  })

  it('what is undeclared or ambiguous is named, with the way out', () => {
    expect(() => channels.get('unknown')).toThrow('channel "unknown" is not declared')
    expect(() => channels.at('unknown')).toThrow('no channel is declared for "unknown": add it to the channels, or to a channel\'s `match`')
    expect(() => channels.at('orders.retry.9')).toThrow('"orders.retry.9" falls in several channels: "orders", "invoices"')
    expect(() => defineChannels({ a: { to: ['x'], match: ['t'] }, b: { to: ['x'], match: ['t'] } })).toThrow('"t" falls in several channels: "a", "b"')
    expect(() => channels.get('x'.repeat(500))).toThrow(`channel "${'x'.repeat(80)}" is not declared`)
  })

  it('patterns are asked once per destination, and what is remembered of them is bounded', () => {
    const asked: string[] = []
    const spy = vi.spyOn(RegExp.prototype, 'test').mockImplementation(function (this: RegExp, destination: string) {
      asked.push(destination)
      return this.exec(destination) !== null
    })
    try {
      const many = defineChannels({ any: { to: ['x'], match: [/^t/] } })
      for (let round = 0; round < 3; round++) expect(many.at('t').name).toBe('any')
      expect(asked).toEqual(['t'])
      // The bound is reached by the last one: all is forgotten, and asked anew.
      for (let index = 1; index < LIMITS.resolvedDestinations; index++) many.at(`t${index}`)
      asked.length = 0
      many.at('t')
      expect(asked).toEqual([])
      many.at('t-one-more')
      many.at('t')
      expect(asked).toEqual(['t-one-more', 't'])
    } finally {
      spy.mockRestore()
    }
  })

  it('what was given may change afterwards, and the declaration does not', () => {
    const to = ['billing']
    const declared = defineChannels({ orders: { to } })
    to.pop()
    expect(declared.get('orders').to).toEqual(['billing'])
  })
})
