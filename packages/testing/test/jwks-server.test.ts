import { createJwksDirectory, createSealer, defineChannels } from '@sealbus/core'
import { describe, expect, it } from 'vitest'
import { createTestService, startJwksServer } from '../src/index.ts'

const channels = defineChannels({ orders: { to: ['billing'] } })

describe('JWKS server', () => {
  it('publishes the key in use of each service, to a real directory, and counts', async () => {
    const billing = await createTestService('billing')
    const shipping = await createTestService('ship ping')
    await using server = await startJwksServer({ billing: billing.identities, 'ship ping': shipping.identities })
    using directory = createJwksDirectory({ recipients: { billing: server.url('billing'), shipping: server.url('ship ping') }, allowInsecureLoopback: true })
    expect((await directory.resolve('shipping')).kid).toBe('ship ping-1')
    const sealer = createSealer({ directory, channels })
    const { bytes } = await sealer.seal('x', { channel: 'orders' })
    expect(billing.opener(channels).openSync(bytes, { channel: 'orders' }).plaintext).toEqual(Buffer.from('x'))
    await billing.rotate()
    using later = createJwksDirectory({ recipients: { billing: server.url('billing') }, allowInsecureLoopback: true })
    expect((await later.resolve('billing')).kid).toBe('billing-2')
    expect([server.requests('billing'), server.requests('ship ping')]).toEqual([2, 1])
  })

  it('fails, stalls and recovers, one service at a time', async () => {
    const billing = await createTestService('billing')
    const server = await startJwksServer({ billing: billing.identities, shipping: (await createTestService('shipping')).identities }, { maxAgeSeconds: 60 })
    const answerOf = async (name: string): Promise<[number, string | null]> => {
      const response = await fetch(server.url(name))
      await response.arrayBuffer()
      return [response.status, response.headers.get('cache-control')]
    }
    expect(await answerOf('billing')).toEqual([200, 'public, max-age=60, stale-if-error=3600'])
    server.fail('billing')
    expect(await answerOf('billing')).toEqual([503, 'no-store'])
    server.fail('billing', 404)
    expect((await answerOf('billing'))[0]).toBe(404)
    expect((await answerOf('shipping'))[0]).toBe(200)

    server.stall('billing')
    let answered = false
    const waiting = answerOf('billing').then(([status]) => {
      answered = true
      return status
    })
    await expect.poll(() => server.requests('billing')).toBe(4)
    expect((await answerOf('shipping'))[0]).toBe(200)
    expect(answered).toBe(false)
    server.restore('billing')
    expect(await waiting).toBe(200)

    server.stall('billing')
    const cut = fetch(server.url('billing'))
    await expect.poll(() => server.requests('billing')).toBe(5)
    await Promise.all([server.close(), expect(cut).rejects.toThrow()])
    await server.close()
    await expect(fetch(server.url('billing'))).rejects.toThrow()
  })

  it('answers 404 for what it does not have, and knows no other names', async () => {
    await using server = await startJwksServer({ billing: (await createTestService('billing')).identities })
    const { origin } = new URL(server.url('billing'))
    for (const path of ['/', '/shipping/jwks.json', '/constructor/jwks.json', '/%E0%A4%A/jwks.json']) expect((await fetch(origin + path)).status).toBe(404)
    expect(() => server.url('shipping')).toThrow(RangeError)
    expect(() => server.fail('constructor')).toThrow(RangeError)
    expect(server.requests('billing')).toBe(0)
  })
})
