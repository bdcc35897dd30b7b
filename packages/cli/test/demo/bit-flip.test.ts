import { expect, it } from 'vitest'
import { flipCiphertextBit } from '../../src/demo/brokers/bit-flip.ts'

it('changes one bit of the ciphertext, and nothing else', () => {
  const jwe = { protected: 'eyJhIjoxfQ', recipients: [], iv: 'AAAA', ciphertext: Buffer.from('ciphertext').toString('base64url'), tag: 'BBBB' }
  const changed = JSON.parse(flipCiphertextBit(Buffer.from(JSON.stringify(jwe))).toString()) as typeof jwe
  expect({ ...changed, ciphertext: jwe.ciphertext }).toEqual(jwe)
  const [before, after] = [jwe, changed].map(({ ciphertext }) => Buffer.from(ciphertext, 'base64url'))
  const flipped = before?.map((byte, index) => byte ^ (after?.[index] ?? 0)) ?? []
  expect([...flipped].reduce((bits, byte) => bits + byte.toString(2).replaceAll('0', '').length, 0)).toBe(1)
})
