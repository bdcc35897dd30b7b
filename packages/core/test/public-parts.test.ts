import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { publicParts } from '../src/public-parts.ts'
import { createSealer } from '../src/seal.ts'
import { createStaticDirectory } from '../src/static-directory.ts'
import { codeOf } from './support/thrown.ts'

describe('public parts', () => {
  const jwk = (kid: string, curve = 'P-256') => ({ ...generateKeyPairSync('ec', { namedCurve: curve }).publicKey.export({ format: 'jwk' }), kid })
  const rsa = { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' }), kid: 'shipping-1' }
  const channels = defineChannels({ orders: { to: ['billing', 'shipping'] }, invoices: { to: ['billing'] } })
  const sealer = createSealer({ directory: createStaticDirectory({ billing: jwk('billing-1'), shipping: rsa }), channels, realm: 'eu' })

  it('say what a native envelope says of itself, without a key', () => {
    const { bytes, id } = sealer.sealSync('{"total":9}', { channel: 'orders', contentType: 'application/json' })
    expect(publicParts(bytes)).toEqual({
      native: true,
      enc: 'A256GCM',
      recipients: [{ kid: 'billing-1', alg: 'ECDH-ES+A256KW' }, { kid: 'shipping-1', alg: 'RSA-OAEP-256' }],
      id,
      time: expect.any(Date),
      channel: 'orders',
      to: ['billing', 'shipping'],
      realm: 'eu',
      contentType: 'application/json',
      size: 11,
    })
    expect(publicParts(sealer.sealSync('x', { channel: 'invoices' }).bytes)).toMatchObject({ recipients: [{ kid: 'billing-1', alg: 'ECDH-ES+A256KW' }], contentType: undefined })
    expect(Math.abs((publicParts(bytes).time?.getTime() ?? 0) - Date.now())).toBeLessThan(10_000)
  })

  it('of a foreign JWE are its header only', () => {
    const header = Buffer.from(JSON.stringify({ enc: 'A256GCM', kid: 'k', alg: 7 })).toString('base64url')
    const foreign = `${header}.AAAA.${Buffer.alloc(12).toString('base64url')}.AAAA.${Buffer.alloc(16).toString('base64url')}`
    expect(publicParts(Buffer.from(foreign))).toEqual({ native: false, enc: 'A256GCM', recipients: [{ kid: 'k', alg: undefined }], id: undefined, time: undefined, channel: undefined, to: undefined, realm: undefined, contentType: undefined, size: 3 })
  })

  it('are none of what is no envelope', () => {
    expect(codeOf(() => publicParts(Buffer.from('plain')))).toBe('ERR_SEALBUS_MALFORMED')
    expect(codeOf(() => publicParts('text' as never))).toBe('ERR_SEALBUS_INVALID_OPTION')
  })
})
