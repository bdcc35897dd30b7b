import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createScreen, fold, foldCode, type Screen, wrap } from '../src/screen.ts'

/** A stream that passes for a terminal of 16 colours, and what was written to it. */
function terminal(columns: number): { screen: Screen; lines: () => string[] } {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns, getColorDepth: () => (process.env.NO_COLOR ? 1 : 4) })
  return { screen: createScreen(stream), lines: () => String(stream.read() ?? '').split('\n') }
}

afterEach(() => vi.unstubAllEnvs())

describe('a screen', () => {
  it.each([
    [80, 80],
    [110, 110],
    [200, 110],
    [40, 60],
  ])('in a terminal of %i columns, a table fills %i', (columns, expected) => {
    vi.stubEnv('FORCE_COLOR', undefined)
    const { screen, lines } = terminal(columns)
    screen.table({ head: ['A', 'B', 'C'], rows: [[screen.tone('good', 'one\ntwo'), 'x', 'words that are more than fit into one line of this cell, '.repeat(3)]], shares: [1, 2, 3] })
    const written = lines().filter((line) => line !== '').map(stripVTControlCharacters)
    expect(new Set(written.map((line) => line.length))).toEqual(new Set([expected]))
  })

  it('has colours in a terminal, none with NO_COLOR, and none in a pipe', () => {
    vi.stubEnv('FORCE_COLOR', undefined)
    vi.stubEnv('NO_COLOR', undefined)
    expect(terminal(80).screen.tone('good', 'x')).toBe('\u001B[32mx\u001B[39m')
    vi.stubEnv('NO_COLOR', '1')
    expect(terminal(80).screen.tone('good', 'x')).toBe('x')
    vi.stubEnv('NO_COLOR', undefined)
    expect(createScreen(new PassThrough()).tone('good', 'x')).toBe('x')
  })

  it('hangs the lines of an item on its mark', () => {
    const { screen, lines } = terminal(60)
    screen.item('✓', 'word '.repeat(20).trim())
    const [first = '', ...rest] = lines().slice(0, -1)
    expect(first.startsWith('  ✓  word')).toBe(true)
    expect(rest.length).toBeGreaterThan(0)
    for (const line of rest) expect(line).toMatch(/^ {5}word/)
  })
})

describe('lines', () => {
  it('wrap breaks at blanks, and colours take no room', () => {
    expect(wrap('aa bb cc', 5)).toEqual(['aa bb', 'cc'])
    expect(wrap('\u001B[32maa\u001B[39m bb cc', 5)).toEqual(['\u001B[32maa\u001B[39m bb', 'cc'])
  })

  it('fold shows the beginning, and says where there was more', () => {
    expect(fold('abcdef', 3, 2)).toEqual(['abc', 'def'])
    expect(fold('abcdefg', 3, 2)).toEqual(['abc', 'de…'])
  })

  it('foldCode breaks behind underscores and loses none', () => {
    expect(foldCode('ERR_SEALBUS_NOT_A_RECIPIENT', 16)).toEqual(['ERR_SEALBUS_', 'NOT_A_', 'RECIPIENT'])
    expect(foldCode('ERR_SEALBUS_NOT_A_RECIPIENT', 40)).toEqual(['ERR_SEALBUS_NOT_A_RECIPIENT'])
  })
})
