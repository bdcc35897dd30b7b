import { describe, expect, it, vi } from 'vitest'
import { abortable } from '../src/abortable.ts'

const reason = (): Error => new Error('left')

describe('a wait that a signal ends', () => {
  it('gives what is awaited, and listens no longer', async () => {
    const { signal } = new AbortController()
    const [added, removed] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')]
    expect(await abortable(Promise.resolve(7), signal, reason)).toBe(7)
    expect(added).toHaveBeenCalledOnce()
    expect(removed).toHaveBeenCalledExactlyOnceWith('abort', added.mock.calls[0]?.[1])
  })

  it('is left when the signal aborts, and at once when it did before', async () => {
    const controller = new AbortController()
    const left = abortable(new Promise(() => {}), controller.signal, reason)
    controller.abort()
    await expect(left).rejects.toThrow('left')
    await expect(abortable(new Promise(() => {}), controller.signal, reason)).rejects.toThrow('left')
  })

  it('passes on a rejection, and one that comes after everybody left is nobody\u2019s', async () => {
    const { signal } = new AbortController()
    await expect(abortable(Promise.reject(new Error('its own')), signal, reason)).rejects.toThrow('its own')
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const late = Promise.withResolvers<never>()
    await expect(abortable(late.promise, AbortSignal.abort(), reason)).rejects.toThrow('left')
    late.reject(new Error('too late'))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })
})
