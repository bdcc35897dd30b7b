import { SealbusError } from '@sealbus/core'
import { describe, expect, it, vi } from 'vitest'
import type { BatchPayload, DeliveredRecord, InnerConsumer, RunConfig } from '../src/client-shape.ts'
import { toEachBatch } from '../src/consuming.ts'
import { createHolds, type Holds } from '../src/holds.ts'
import type { Opening } from '../src/opening.ts'
import { record } from './support/fakes.ts'
import { makePayload } from './support/payload.ts'

type Outcome = 'passed' | 'halted' | 'ended' | 'message'
const consumer: InnerConsumer = { run: async () => {}, pause: () => {}, resume: () => {}, seek: () => {}, stop: async () => {}, disconnect: async () => {} }

/** A consumer whose records open as the list says, by offset; those beyond it are messages. */
function withOutcomes(outcomes: readonly Outcome[], config: RunConfig, opening?: (offset: string) => Promise<unknown>): { eachBatch: (payload: BatchPayload) => Promise<void>; holds: Holds; resolved: string[]; abort: AbortController } {
  const [holds, abort, resolved] = [createHolds(consumer), new AbortController(), [] as string[]]
  const open = async (_place: object, message: DeliveredRecord): Promise<Opening> => {
    await opening?.(message.offset)
    const outcome = outcomes[Number(message.offset)] ?? 'message'
    return outcome === 'message' ? { message } : outcome
  }
  return { eachBatch: toEachBatch({ config, autoCommit: config.autoCommit !== false, open, holds, signal: () => abort.signal, onResolved: (_place, offset) => void resolved.push(offset) }), holds, resolved, abort }
}
const records = (count: number): DeliveredRecord[] => Array.from({ length: count }, (_, index) => record(index, Buffer.from(`${index}`)))

describe('eachBatch', () => {
  it.each<[Outcome[], string[], string]>([
    [['message', 'message', 'message'], ['0', '1', '2'], '2'],
    [['message', 'message', 'halted'], ['0', '1'], '1'],
    [['message', 'passed', 'halted'], ['0'], '1'],
    [['passed', 'passed', 'halted'], [], '1'],
    [['passed', 'passed', 'passed'], [], '2'],
    [['passed', 'message', 'passed'], ['1'], '2'],
  ])('%j: the handler gets %j, and the place moves past %s', async (outcomes, handled, end) => {
    const eachBatch = vi.fn<(payload: BatchPayload) => Promise<void>>(async () => {})
    const payload = makePayload(records(3))
    const { resolved } = await run(outcomes, { eachBatch }, payload)
    expect(eachBatch.mock.calls.flatMap(([{ batch }]) => batch.messages.map(({ offset }) => offset))).toEqual(handled)
    expect(payload.resolved.at(-1)).toBe(end)
    expect(resolved).toEqual(payload.resolved)
  })

  it("a batch that is copied by spreading has its facts, as the client's own has", async () => {
    const copies: object[] = []
    await run([], { eachBatch: async ({ batch }) => void copies.push({ ...batch }) }, makePayload(records(1), { topic: 'orders', partition: 3 }))
    expect(copies).toMatchObject([{ topic: 'orders', partition: 3, messages: [{ offset: '0' }] }])
  })

  it('what a batch opens to is bounded, however small its messages were: the rest comes as the next batch', async () => {
    const opened = { message: { ...record(0, Buffer.alloc(16 * 1_024 ** 2)) } }
    const shown: [number, unknown][] = []
    const eachBatch = toEachBatch({
      config: { eachBatch: async ({ batch }) => void shown.push([batch.messages.length, (batch as typeof batch & { lastOffset(): string }).lastOffset()]) },
      autoCommit: true,
      open: (_place, { offset }) => ({ message: { ...opened.message, offset } }),
      holds: createHolds(consumer),
      signal: () => new AbortController().signal,
      onResolved: () => {},
    })
    const all = records(10)
    for (let next = 0, rounds = 0; next < all.length && rounds < 10; rounds++) {
      const payload = makePayload(all.slice(next))
      await eachBatch(payload)
      next = Number(payload.resolved.at(-1)) + 1
    }
    expect(shown).toEqual([[4, '3'], [4, '7'], [2, '9']])
  })

  it('a batch whose first message is held: no handler, nothing resolved', async () => {
    const eachBatch = vi.fn<(payload: BatchPayload) => Promise<void>>(async () => {})
    const payload = makePayload(records(3))
    await run(['halted'], { eachBatch }, payload)
    expect([eachBatch.mock.calls.length, payload.resolved]).toEqual([0, []])
  })

  it('a client that calls a batch stale because a hold paused it: what opened before is handled all the same, and settled', async () => {
    const payload = makePayload(records(3))
    const seen: (string | boolean)[] = []
    await run(['message', 'message', 'halted'], { eachBatch: async ({ batch, isStale }) => void seen.push(isStale(), ...batch.messages.map(({ offset }) => offset)) }, payload, async (offset) => {
      if (offset === '2') payload.stale = true
    })
    expect([seen, payload.resolved]).toEqual([[false, '0', '1'], ['1']])
  })

  it('a turn that ended while a message was settled delivers nothing', async () => {
    const eachBatch = vi.fn<(payload: BatchPayload) => Promise<void>>(async () => {})
    const payload = makePayload(records(2))
    await run(['message', 'ended'], { eachBatch }, payload)
    expect([eachBatch.mock.calls.length, payload.resolved]).toEqual([0, []])
  })

  it('a batch that became stale in its handler is not resolved for it', async () => {
    const payload = makePayload(records(2))
    await run([], { eachBatch: async () => void (payload.stale = true) }, payload)
    expect(payload.resolved).toEqual([])
  })

  it("the handler has every member of the client's payload, and of its batch", async () => {
    const own = makePayload(records(3))
    const payload = { ...own, batch: Object.assign(own.batch, { highWatermark: '9' }), uncommittedOffsets: () => ({ topics: [] }) }
    const seen: BatchPayload[] = []
    await run([], { eachBatch: async (given) => void seen.push(given) }, payload)
    expect(Object.keys(seen[0] ?? {}).toSorted()).toEqual(Object.keys(payload).toSorted())
    expect(seen[0]).toHaveProperty('uncommittedOffsets', payload.uncommittedOffsets)
    const batch = seen[0]?.batch as typeof payload.batch & { lastOffset(): string; isEmpty(): boolean }
    expect([batch.topic, batch.partition, batch.highWatermark, batch.lastOffset(), batch.isEmpty()]).toEqual(['orders', 0, '9', '2', false])
  })

  it('resolving reaches over what was passed right behind, and never to what is held', async () => {
    const payload = makePayload(records(5))
    await run(['message', 'passed', 'message', 'halted'], { eachBatchAutoResolve: false, eachBatch: async ({ resolveOffset }) => {
      resolveOffset('0')
      resolveOffset('2')
      // The client's own batch is to be seen through `rawMessages`: its last message was not handled.
      resolveOffset('4')
    } }, payload)
    expect(payload.resolved).toEqual(['1', '2', '2'])
  })

  it('a handler that resolves nothing moves the place nowhere', async () => {
    const payload = makePayload(records(3))
    await run(['message', 'passed', 'passed'], { eachBatchAutoResolve: false, eachBatch: async () => {} }, payload)
    expect(payload.resolved).toEqual([])
  })

  it('resolving each message of a large batch, with parked ones among them, takes no quadratic time', async () => {
    const payload = makePayload(records(20_000))
    const outcomes = Array.from({ length: 20_000 }, (_, index): Outcome => (index % 10 === 9 ? 'passed' : 'message'))
    const start = Date.now()
    await run(outcomes, { eachBatchAutoResolve: false, eachBatch: async ({ batch, resolveOffset }) => {
      for (const { offset } of batch.messages) resolveOffset(offset)
    } }, payload)
    expect(payload.resolved.at(-1)).toBe('19999')
    expect(Date.now() - start).toBeLessThan(3_000)
  })

  it("pitfall 13: a handler's own offsets reach the client's commit, and its failure the handler and the client, as the same object", async () => {
    const thrown = new Error('the coordinator moved')
    const offsets = { topics: [] }
    const asked: unknown[] = []
    const seen: unknown[] = []
    const payload: BatchPayload = { ...makePayload(records(2)), commitOffsetsIfNecessary: async (given) => {
      asked.push(given)
      throw thrown
    } }
    const handled = run([], { eachBatch: async ({ commitOffsetsIfNecessary }) => {
      await commitOffsetsIfNecessary(offsets).catch((error: unknown) => seen.push(error))
      await commitOffsetsIfNecessary()
    } }, payload)
    await expect(handled).rejects.toBe(thrown)
    expect(seen[0]).toBe(thrown)
    expect(asked[0]).toBe(offsets)
    expect(asked).toHaveLength(2)
  })

  it('pitfall 11: heartbeats go on while a batch opens slowly', async () => {
    const payload = makePayload(records(6))
    await run([], { eachBatch: async () => {} }, payload, () => new Promise((resolve) => void setTimeout(resolve, 300)))
    expect(payload.heartbeats).toBeGreaterThanOrEqual(2)
  })

  it('pitfall 12: a place that was moved while the batch opened is not handled', async () => {
    const eachBatch = vi.fn<(payload: BatchPayload) => Promise<void>>(async () => {})
    const payload = makePayload(records(3))
    await run(['passed'], { eachBatch }, payload, async (offset) => void (payload.stale ||= offset === '1'))
    expect([eachBatch.mock.calls.length, payload.resolved]).toEqual([0, []])
  })

  it('a client that stopped while the batch opened gets nothing handled, and nothing resolved', async () => {
    const eachBatch = vi.fn<(payload: BatchPayload) => Promise<void>>(async () => {})
    const payload = makePayload(records(3))
    await run(['passed'], { eachBatch }, payload, async (offset) => void (payload.running &&= offset !== '1'))
    expect([eachBatch.mock.calls.length, payload.resolved]).toEqual([0, []])
  })
})

describe('eachMessage', () => {
  it('handles, resolves, and sends a heartbeat for each message, as the client does; commits are its own rules', async () => {
    const steps: string[] = []
    const payload = makePayload(records(3))
    const { eachBatch } = withOutcomes(['message', 'passed', 'message'], { eachMessage: async ({ message }) => void steps.push(`handle ${message.offset}`) })
    await eachBatch({ ...payload, resolveOffset: (offset) => void steps.push(`resolve ${offset}`), heartbeat: async () => void steps.push('heartbeat'), commitOffsetsIfNecessary: async () => void steps.push('commit if due') })
    expect(steps).toEqual(['handle 0', 'resolve 0', 'heartbeat', 'commit if due', 'resolve 1', 'heartbeat', 'commit if due', 'handle 2', 'resolve 2', 'heartbeat', 'commit if due'])
  })

  it('pitfall 13: a commit that fails reaches the client as the same object, and nothing more is handled', async () => {
    const thrown = new Error('the coordinator moved')
    const handled: string[] = []
    const { eachBatch } = withOutcomes([], { eachMessage: async ({ message }) => void handled.push(message.offset) })
    await expect(eachBatch({ ...makePayload(records(2)), commitOffsetsIfNecessary: () => Promise.reject(thrown) })).rejects.toBe(thrown)
    expect(handled).toEqual(['0'])
  })

  it('commits nothing for a manual committer', async () => {
    const payload = makePayload(records(2))
    const { eachBatch } = withOutcomes([], { autoCommit: false, eachMessage: async () => {} })
    await eachBatch({ ...payload, commitOffsetsIfNecessary: () => expect.fail('committed') })
    expect(payload.resolved).toEqual(['0', '1'])
  })

  it('ends where the handler paused, and keeps its place', async () => {
    const payload = makePayload(records(3))
    let resume = (): void => {}
    const { eachBatch, holds } = withOutcomes([], { eachMessage: async ({ pause }) => {
      resume = pause()
    } })
    await eachBatch(payload)
    expect(payload.resolved).toEqual(['0'])
    expect(holds.isPaused({ topic: 'orders', partition: 0 })).toBe(true)
    resume()
    expect(holds.isPaused({ topic: 'orders', partition: 0 })).toBe(false)
  })

  it('a message that opened only after the client stopped is not handled', async () => {
    const { eachBatch, abort } = withOutcomes([], { eachMessage: () => expect.fail('handled') }, async () => abort.abort())
    const payload = makePayload(records(2))
    await eachBatch(payload)
    expect(payload.resolved).toEqual([])
  })

  it('ends where the client stopped by itself, and keeps its place', async () => {
    const payload = makePayload(records(3))
    const handled: string[] = []
    const { eachBatch } = withOutcomes([], { eachMessage: async ({ message }) => {
      handled.push(message.offset)
      payload.running = message.offset !== '1'
    } })
    await eachBatch(payload)
    expect([handled, payload.resolved]).toEqual([['0', '1'], ['0', '1']])
  })

  it('a handler that returns no promise is one too, and what it throws goes through as it is', async () => {
    const thrown = new SealbusError('ERR_SEALBUS_MALFORMED', "the handler's own")
    const { eachBatch } = withOutcomes([], { eachMessage: (({ message }: { message: DeliveredRecord }) => {
      if (message.offset === '1') throw thrown
    }) as unknown as NonNullable<RunConfig['eachMessage']> })
    const payload = makePayload(records(3))
    await expect(eachBatch(payload)).rejects.toBe(thrown)
    expect(payload.resolved).toEqual(['0'])
  })
})

async function run(outcomes: readonly Outcome[], config: RunConfig, payload: BatchPayload, opening?: (offset: string) => Promise<unknown>): Promise<{ resolved: string[] }> {
  const { eachBatch, resolved } = withOutcomes(outcomes, config, opening)
  await eachBatch(payload)
  return { resolved }
}
