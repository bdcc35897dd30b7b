import { describe, expect, it } from 'vitest'
import { type ChannelDeclarations, defineChannels } from '../src/channels.ts'
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

  it.each<[string, unknown]>([
    ['no recipients', { a: { to: [] } }],
    ['a misspelt option', { a: { to: ['x'], acept: 'sealed' } }],
    ['a misspelt option of bind', { a: { to: ['x'], bind: { keys: false } } }],
    ['an unknown accept', { a: { to: ['x'], accept: 'plain' } }],
    ['an empty match', { a: { to: ['x'], match: [] } }],
    ['a recipient twice', { a: { to: ['x', 'x'] } }],
    ['a recipient without a name', { a: { to: [''] } }],
    ['`to` that is a string', { a: { to: 'x' } }],
    ['an unknown compression', { a: { to: ['x'], compress: 'br' } }],
    ['`foreign` that is no boolean', { a: { to: ['x'], foreign: 'yes' } }],
    ['a channel without a name', { '': { to: ['x'] } }],
    ['a misspelt plaintext', { a: 'plain' }],
    ['101 recipients', { a: { to: Array.from({ length: 101 }, (_, index) => `r${index}`) } }],
  ])('%s is refused at construction', (_title, declarations) => {
    expect(codeOf(() => defineChannels(declarations as ChannelDeclarations))).toMatch(/^ERR_SEALBUS_(INVALID_OPTION|NO_RECIPIENTS)$/)
  })

  it('what was given may change afterwards, and the declaration does not', () => {
    const to = ['billing']
    const declared = defineChannels({ orders: { to } })
    to.pop()
    expect(declared.get('orders').to).toEqual(['billing'])
  })
})
