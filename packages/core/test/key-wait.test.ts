import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { SealbusError } from '../src/errors.ts'
import { checkKeyWaitMs, createKeyWait, type KeyWait } from '../src/key-wait.ts'

const orders = [{ channel: 'orders' }]
const invoices = [{ channel: 'invoices' }]
const late = expect.objectContaining({ code: 'ERR_SEALBUS_KEYS_NOT_READY' })

let inMemory: Set<string>
let keys: Map<string, PromiseWithResolvers<void>>
let handed: string[]
let wait: KeyWait

const sealer = {
  isReady: ({ channel }: { channel: string }) => inMemory.has(channel),
  async ready({ messages = [] }: { messages?: readonly { channel: string }[] } = {}): Promise<void> {
    for (const { channel } of messages) {
      if (inMemory.has(channel)) continue
      const fetched = keys.get(channel) ?? Promise.withResolvers<void>()
      keys.set(channel, fetched)
      await fetched.promise
    }
  },
}

beforeEach(() => {
  inMemory = new Set()
  keys = new Map()
  handed = []
  // Longer than a test may take: what ends a wait here is not the time.
  wait = createKeyWait(sealer, 60_000)
})

const hand = (name: string) => async (): Promise<string> => {
  handed.push(name)
  return name
}
const arrive = (channel: string): void => {
  inMemory.add(channel)
  keys.get(channel)?.resolve()
}

describe('what has its keys', () => {
  it('goes in the same call', async () => {
    inMemory.add('orders')
    expect(wait.now(['a'], orders)).toBe(true)
    const gone = wait.inOrder(['a'], orders, hand('one'))
    expect(handed).toEqual(['one'])
    expect(await gone).toBe('one')
    expect(keys.size).toBe(0)
  })

  it('stays behind what waits on one of its lanes, and before no other lane', async () => {
    inMemory.add('orders')
    const all = [wait.inOrder(['a'], invoices, hand('first')), wait.inOrder(['a', 'b'], orders, hand('second')), wait.inOrder(['b'], [], hand('third')), wait.inOrder(['c'], orders, hand('other'))]
    expect(wait.now(['b'], [])).toBe(false)
    await sleep(5)
    expect(handed).toEqual(['other'])
    arrive('invoices')
    expect(await Promise.all(all)).toEqual(['first', 'second', 'third', 'other'])
    expect(handed).toEqual(['other', 'first', 'second', 'third'])
    expect(wait.now(['a', 'b'], orders)).toBe(true)
  })

  it('waits where any of its messages lacks a key', () => {
    inMemory.add('orders')
    expect(wait.now(['a'], [...orders, ...invoices])).toBe(false)
  })

  it('stays behind the next one in line too', async () => {
    const [first] = [wait.inOrder(['a'], orders, hand('first')), wait.inOrder(['a'], invoices, hand('second'))]
    await sleep(5)
    arrive('orders')
    await first
    await sleep(5)
    expect(wait.now(['a'], orders)).toBe(false)
  })

  it('gives up its place when it is handed over, however long the answer takes', async () => {
    const answer = Promise.withResolvers<string>()
    const first = wait.inOrder(['a'], orders, () => answer.promise)
    const second = wait.inOrder(['a'], orders, hand('second'))
    await sleep(5)
    arrive('orders')
    expect(await second).toBe('second')
    answer.resolve('first')
    expect(await first).toBe('first')
  })
})

describe('a wait ends', () => {
  it.each(['heeds', 'does not heed'])('after its time, where the directory %s the signal', async (how) => {
    const ready = ({ signal }: { signal?: AbortSignal } = {}): Promise<void> =>
      new Promise((_, reject) => how === 'heeds' && signal?.addEventListener('abort', () => reject(new SealbusError('ERR_SEALBUS_CLOSED', 'aborted'))))
    await expect(createKeyWait({ ...sealer, ready }, 10).inOrder(['a'], orders, hand('one'))).rejects.toThrow(late)
    expect(handed).toEqual([])
  })

  it('with end(), behind others too, and the next one waits anew', async () => {
    const ended = [wait.inOrder(['a'], orders, hand('one')), wait.inOrder(['a'], orders, hand('two'))].map((each) => expect(each).rejects.toThrow(late))
    wait.end()
    await Promise.all(ended)
    const next = wait.inOrder(['a'], orders, hand('next'))
    await sleep(5)
    arrive('orders')
    expect(await next).toBe('next')
    expect(handed).toEqual(['next'])
  })

  it('without keeping the process alive until then', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
    const before = timers()
    const ended = expect(wait.inOrder(['a'], orders, hand('one'))).rejects.toThrow(late)
    expect(timers()).toBe(before)
    wait.end()
    await ended
  })

  it('with what the directory rejects with, and lets nobody past those that were before it', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    const first = wait.inOrder(['a'], orders, hand('first'))
    const failed = expect(wait.inOrder(['a'], invoices, hand('failed'))).rejects.toThrow('no such recipient')
    const last = wait.inOrder(['a'], orders, hand('last'))
    await sleep(5)
    expect(keys.has('invoices')).toBe(false)
    arrive('orders')
    await first
    await sleep(5)
    keys.get('invoices')?.reject(new Error('no such recipient'))
    await failed
    expect([await last, handed]).toEqual(['last', ['first', 'last']])
    await sleep(5)
    process.off('unhandledRejection', unhandled)
    expect(unhandled).not.toHaveBeenCalled()
  })

  it('also where what it hands over throws', async () => {
    const failed = expect(wait.inOrder(['a'], orders, () => { throw new Error('too large') })).rejects.toThrow('too large')
    await sleep(5)
    arrive('orders')
    await failed
    await sleep(1)
    expect(wait.now(['a'], orders)).toBe(true)
  })
})

it.each([-1, 1.5, Number.NaN, 2 ** 31])('a time of %s is none', (value) => {
  expect(() => checkKeyWaitMs(value)).toThrow(expect.objectContaining({ code: 'ERR_SEALBUS_INVALID_OPTION' }))
})

it('is 5 s by default', () => {
  expect([checkKeyWaitMs(), checkKeyWaitMs(0)]).toEqual([5_000, 0])
})
