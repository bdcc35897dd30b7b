import { expect, it } from 'vitest'
import type { StoredMessage } from '../../src/demo/brokers/broker.ts'
import { readableMessages } from '../../src/demo/plaintext-search.ts'

const stored = (bytes: string, headers: Record<string, string> = {}): StoredMessage => ({ reference: 'A-1', bytes: Buffer.from(bytes), headers })
const SECRETS = ['Ada Lovelace', '4000123412341234']

it.each([
  ['as it stands', stored('{"customer":"Ada Lovelace"}')],
  ['in base64url, inside of JSON', stored(JSON.stringify({ ciphertext: Buffer.from('card 4000123412341234').toString('base64url') }))],
  ['in a header', stored('{}', { trace: 'Ada Lovelace' })],
  ['in base64url in a header', stored('{}', { trace: Buffer.from('Ada Lovelace').toString('base64url') })],
])('finds a secret %s', (_, message) => {
  expect(readableMessages([stored('{}'), message], SECRETS)).toBe(1)
})

it('finds nothing where there is nothing', () => {
  expect(readableMessages([stored('{"ciphertext":"QWRhIExvdmU"}', { id: '4000' })], SECRETS)).toBe(0)
})
