import { readFileSync } from 'node:fs'
import { SealbusError, type SealbusErrorCode } from '@sealbus/core'
import { createDispositions } from '@sealbus/core/adapter'
import { describe, expect, it } from 'vitest'
import { columns } from '../../src/columns.ts'
import { explain } from '../../src/parked/explanation.ts'
import { printable } from '../../src/printable.ts'
import { run, SEALBUS } from '../support/child-process.ts'

describe('sealbus parked', () => {
  it.each([
    [['parked']],
    [['parked', 'list']],
    [['parked', 'list', '--topic', 'a', '--queue', 'b']],
    [['parked', 'list', '--queue', 'b', '--limit', '0']],
    [['parked', 'list', '--queue', 'b', '--amqp-url', 'http://user:hunter2@127.0.0.1']],
    [['parked', 'why', '--queue', 'b']],
    [['parked', 'redrive', '--queue', 'b']],
    [['parked', 'redrive', '--queue', 'b', '--by', 'c', '--limit', '1e3']],
    [['parked', 'redrive', '--topic', 'a', '--by', 'c', '--kafka-brokers', 'no-port']],
  ])('%j is wrong usage: exit code 2, nothing on stdout, no password', async (args) => {
    const { code, stdout, stderr } = await run(SEALBUS, args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).not.toContain('hunter2')
    expect(stderr).not.toContain('    at ')
  })

  it.each([
    [['parked', 'list', '--topic', 'a', '--kafka-brokers', '127.0.0.1:1'], /^error: cannot reach Kafka at 127\.0\.0\.1:1: /],
    [['parked', 'list', '--queue', 'a', '--amqp-url', 'amqp://user:hunter2@127.0.0.1:1'], /^error: cannot reach RabbitMQ at amqp:\/\/127\.0\.0\.1:1: /],
  ])('%j: no broker is exit code 3, without the password', async (args, message) => {
    const { code, stdout, stderr } = await run(SEALBUS, args)
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain('hunter2')
  })

  it('explains each code that parks in the words of docs/ERRORS.md: what it means, and what to do', async () => {
    const docs = readFileSync(new URL('../../../../docs/ERRORS.md', import.meta.url), 'utf8')
    const dispositions = createDispositions({}, true)
    const codes = [...docs.matchAll(/^## (ERR_SEALBUS_\w+)$/gm)].map(([, code]) => code as SealbusErrorCode)
    const parking = codes.filter((code) => dispositions.decide(new SealbusError(code, ''), { attempts: 0, heldSinceMs: Date.now() - 3_600_000 }).disposition === 'park')
    expect(parking.length).toBeGreaterThan(8)
    for (const code of parking) {
      const paragraphs = await explain(code)
      expect(paragraphs.length, code).toBeGreaterThanOrEqual(2)
      for (const paragraph of paragraphs) expect(docs).toContain(paragraph)
    }
    expect(await explain('ERR_SEALBUS_OF_THE_FUTURE')).toEqual([expect.stringContaining('newer Sealbus')])
  })
})

describe('what a terminal is given', () => {
  it('has no control characters, and nothing that turns the direction of text', () => {
    expect(printable('a\u001b[2Jb\u0007\u202ec\u2028d\u009b')).toBe('a\ufffd[2Jb\ufffd\ufffdc\ufffdd\ufffd')
    expect(printable('Bücher-队列 🐇')).toBe('Bücher-队列 🐇')
  })

  it('stands in columns, a line a row', () => {
    expect(columns([['A', 'LONG', ''], ['1234', 'b', 'c']])).toEqual(['A     LONG', '1234  b     c'])
  })
})
