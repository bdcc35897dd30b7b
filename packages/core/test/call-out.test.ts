import { afterEach, describe, expect, it, vi } from 'vitest'
import { callOut } from '../src/call-out.ts'

describe('calling the application back', () => {
  const tasks: (() => void)[] = []
  afterEach(() => void vi.unstubAllGlobals())

  it('is done at once', () => {
    const call = vi.fn()
    callOut(call)
    expect(call).toHaveBeenCalledOnce()
  })

  it('what it throws does not come between, and is not swallowed either', () => {
    vi.stubGlobal('queueMicrotask', (task: () => void) => void tasks.push(task))
    const fault = new Error('of the application')
    callOut(() => {
      throw fault
    })
    expect(tasks).toHaveLength(1)
    expect(() => tasks[0]?.()).toThrow(fault)
  })
})
