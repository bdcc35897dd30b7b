import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createClosing } from '../../src/jwks/closing.ts'
import { type Deadline, withDeadline } from '../../src/jwks/deadline.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** A step that runs until it is told to end, and what its deadline says. */
function begin(closing = createClosing()): { seen: () => { aborted: boolean | undefined; passed: boolean | undefined }; end: (error?: Error) => void; running: Promise<string>; closing: typeof closing } {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let deadline: Deadline | undefined
  const running = withDeadline(1_000, closing, (given) => ((deadline = given), promise))
  return { seen: () => ({ aborted: deadline?.signal.aborted, passed: deadline?.passed }), end: (error) => (error ? reject(error) : resolve('done')), running, closing }
}

describe('a deadline', () => {
  it('ends a step when its time is over, and no earlier', () => {
    const { seen } = begin()
    vi.advanceTimersByTime(999)
    expect(seen()).toEqual({ aborted: false, passed: false })
    vi.advanceTimersByTime(1)
    expect(seen()).toEqual({ aborted: true, passed: true })
  })

  it('ends it with the directory, which is no time-out, also one that begins after that', () => {
    const { seen, closing } = begin()
    closing.close()
    expect(seen()).toEqual({ aborted: true, passed: false })
    expect(begin(closing).seen()).toEqual({ aborted: true, passed: false })
  })

  it.each<[string, Error | undefined]>([['was done', undefined], ['failed', new Error('failed')]])('leaves nothing behind of a step that %s', async (_title, error) => {
    const { seen, end, running, closing } = begin()
    end(error)
    expect(await running.catch((reason: unknown) => reason)).toBe(error ?? 'done')
    expect(vi.getTimerCount()).toBe(0)
    closing.close()
    expect(seen()).toEqual({ aborted: false, passed: false })
  })

  it('does without a directory', async () => {
    expect(await withDeadline(1_000, undefined, async ({ signal }) => signal.aborted)).toBe(false)
  })
})
