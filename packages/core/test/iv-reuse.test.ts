import type * as Crypto from 'node:crypto'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { defineChannels } from '../src/channels.ts'
import { createSealer } from '../src/seal.ts'
import { testDirectory, testKey } from './support/keys.ts'

/** What was ever begun with a key: an IV counts as used from there on, whether a message came out or not. */
const begun: { key: string; iv: string }[] = []
const failing = { randomFillSync: 0, createCipheriv: 0, update: 0, final: 0, getAuthTag: 0 }
const injected = new Error('injected')
let turn = 0

/** Fails every n-th time. */
function mayFail(step: keyof typeof failing): void {
  if (failing[step] > 0 && ++turn % failing[step] === 0) throw injected
}

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof Crypto>()
  return {
    ...crypto,
    randomFillSync: ((...given: Parameters<typeof crypto.randomFillSync>) => {
      mayFail('randomFillSync')
      return crypto.randomFillSync(...given)
    }) as typeof crypto.randomFillSync,
    createCipheriv: ((algorithm: string, key: Crypto.KeyObject, iv: Buffer, options: object) => {
      const cipher = crypto.createCipheriv(algorithm, key, iv, options)
      if (!algorithm.endsWith('-gcm')) return cipher
      mayFail('createCipheriv')
      begun.push({ key: key.export().toString('hex'), iv: iv.toString('hex') })
      for (const step of ['update', 'final', 'getAuthTag'] as const) {
        const inner = Reflect.get(cipher, step) as (...args: unknown[]) => unknown
        Reflect.set(cipher, step, (...args: unknown[]) => {
          mayFail(step)
          return inner.apply(cipher, args)
        })
      }
      return cipher
    }) as typeof crypto.createCipheriv,
  }
})

describe('an IV is never used twice with one content key', () => {
  beforeEach(() => {
    begun.length = 0
    turn = 0
    Object.assign(failing, { randomFillSync: 0, createCipheriv: 0, update: 0, final: 0, getAuthTag: 0 })
  })

  it.each(['randomFillSync', 'createCipheriv', 'update', 'final', 'getAuthTag'] as const)('also when %s fails now and then', async (step) => {
    const key = await testKey('P-256', 'k')
    const sealer = createSealer({ directory: testDirectory({ a: key.recipientKey }), channels: defineChannels({ orders: { to: ['a'] }, narrow: { to: ['a'], bind: { headers: ['h'] } } }), session: { messages: 50 } })
    // Without IVs drawn ahead, every message would ask; blocks of 8 KiB are asked for rarely, so that fails each second time.
    failing[step] = step === 'randomFillSync' ? 2 : 3
    const outcomes = { sealed: 0, failed: 0, refused: 0 }
    for (let message = 0; message < 3_000; message++) {
      try {
        // One in ten fails after its content key was claimed: its header is too large.
        if (message % 10 === 0) sealer.sealSync('x', { channel: 'narrow', headers: { h: 'h'.repeat(20_000) } })
        else sealer.sealSync(`message ${message}`, { channel: 'orders' })
        outcomes.sealed++
      } catch (error) {
        if (error === injected) outcomes.failed++
        else outcomes.refused++
      }
    }
    expect(outcomes.sealed).toBeGreaterThan(500)
    expect(outcomes.failed).toBeGreaterThan(0)
    expect(outcomes.refused).toBeGreaterThan(100)
    expect(begun.length).toBeGreaterThanOrEqual(outcomes.sealed)
    expect(new Set(begun.map(({ key: each, iv }) => `${each} ${iv}`)).size).toBe(begun.length)
    expect(new Set(begun.map(({ key: each }) => each)).size).toBeGreaterThan(10)
    expect(begun.every(({ iv }) => iv.length === 24 && iv !== '00'.repeat(12))).toBe(true)
  })

  it('also across reset(), as after a restored snapshot', async () => {
    const key = await testKey('P-256', 'k')
    const sealer = createSealer({ directory: testDirectory({ a: key.recipientKey }), channels: defineChannels({ orders: { to: ['a'] } }) })
    for (let message = 0; message < 500; message++) {
      sealer.sealSync('x', { channel: 'orders' })
      if (message % 7 === 0) sealer.reset()
    }
    expect(new Set(begun.map(({ key: each, iv }) => `${each} ${iv}`)).size).toBe(500)
    expect(new Set(begun.map(({ key: each }) => each)).size).toBe(73)
  })
})
