import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ERROR_CODES, isSealbusError, SealbusError } from '../src/errors.ts'

describe('errors', () => {
  it('every code is explained in docs/ERRORS.md, and nothing else is', () => {
    const text = readFileSync(new URL('../../../docs/ERRORS.md', import.meta.url), 'utf8')
    expect([...text.matchAll(/^## (\w+)$/gm)].map(([, code]) => code)).toEqual(ERROR_CODES)
    for (const code of ERROR_CODES) expect(text).toMatch(new RegExp(`## ${code}\\n\\n${new SealbusError(code, '').transient ? 'Transient\\.' : '(?!Transient)'}`))
  })

  it('never carry what would make kafkajs end a consumer: `retriable`, or the name of a native error', () => {
    for (const code of ERROR_CODES) {
      const error = new SealbusError(code, 'x')
      expect('retriable' in error).toBe(false)
      expect(error).not.toBeInstanceOf(TypeError)
      expect(error.name).toBe('SealbusError')
      expect(error.docs.endsWith(`#${code.toLowerCase()}`)).toBe(true)
    }
  })

  it('are recognized across copies of the package', () => {
    expect(isSealbusError(new SealbusError('ERR_SEALBUS_CLOSED', 'x'))).toBe(true)
    expect(isSealbusError(Object.assign(new Error('x'), { [Symbol.for('sealbus.error')]: true }))).toBe(true)
    for (const other of [new Error('x'), null, undefined, 'ERR_SEALBUS_CLOSED']) expect(isSealbusError(other)).toBe(false)
  })

  it('lead to their section of the documentation, and carry a cause and a time only where there is one', () => {
    const bare = new SealbusError('ERR_SEALBUS_CLOSED', 'x')
    expect(bare.docs).toBe('https://github.com/sealbus/sealbus/blob/main/docs/ERRORS.md#err_sealbus_closed')
    for (const name of ['cause', 'retryAfterMs']) expect(Object.hasOwn(bare, name)).toBe(false)
    const full = new SealbusError('ERR_SEALBUS_CLOSED', 'x', { cause: bare, retryAfterMs: 5 })
    expect(full).toMatchObject({ cause: bare, retryAfterMs: 5 })
    // The brand is true, and not listed: other copies ask for it by name.
    expect(Reflect.get(bare, Symbol.for('sealbus.error'))).toBe(true)
  })
})
