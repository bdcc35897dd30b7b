import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { confirmed } from '../../src/keys/confirmation.ts'

it.each([
  ['destroy\n', true],
  [' destroy \n', true],
  ['y\n', false],
  ['\n', false],
  ['', false],
])('the answer %j: %s', async (answer, expected) => {
  const input = new PassThrough()
  const output = new PassThrough()
  input.end(answer)
  expect(await confirmed('It is gone then.', 'destroy', { input, output })).toBe(expected)
  expect(String(output.read())).toBe('It is gone then.\nType destroy to go on: ')
})
