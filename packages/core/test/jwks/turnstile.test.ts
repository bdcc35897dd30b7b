import { describe, expect, it } from 'vitest'
import { createClosing } from '../../src/jwks/closing.ts'
import { createTurnstile } from '../../src/jwks/turnstile.ts'

/** Someone inside, who stays until told. */
function visit(): { enter: () => Promise<string>; leave: (how?: Error) => void; readonly entered: boolean } {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const visitor = { entered: false, enter: () => ((visitor.entered = true), promise), leave: (how?: Error) => (how ? reject(how) : resolve('left')) }
  return visitor
}
const turns = async (): Promise<void> => {
  for (let count = 0; count < 5; count++) await Promise.resolve()
}
const PATIENT = { closing: createClosing(), leftMs: (): number => 60_000 }

describe('a turnstile', () => {
  it('lets so many in for each key, the others in turn, and holds nobody of another key up', async () => {
    const { pass } = createTurnstile({ perKey: () => 2, total: 10 })
    const [a1, a2, a3, a4, b1] = [visit(), visit(), visit(), visit(), visit()]
    const passing = [a1, a2, a3, a4].map((each) => pass('a', PATIENT, each.enter))
    const other = pass('b', PATIENT, b1.enter)
    await turns()
    expect([a1, a2, a3, a4, b1].map(({ entered }) => entered)).toEqual([true, true, false, false, true])
    a2.leave()
    await turns()
    expect([a3, a4].map(({ entered }) => entered)).toEqual([true, false])
    a1.leave(new Error('fell'))
    await expect(passing[0]).rejects.toThrow('fell')
    await turns()
    expect(a4.entered).toBe(true)
    for (const each of [a3, a4, b1]) each.leave()
    expect(await Promise.all([...passing.slice(1), other])).toEqual(['left', 'left', 'left', 'left'])
  })

  it('lets no more in than in total, and a place that is free goes to the first for whom there is room', async () => {
    const { pass } = createTurnstile({ perKey: () => 2, total: 3 })
    const all = Object.fromEntries(['a1', 'a2', 'a3', 'b1', 'b2', 'c1'].map((name) => [name, visit()]))
    const passing = Object.entries(all).map(([name, each]) => pass(name.charAt(0), PATIENT, each.enter))
    const inside = (): string => Object.entries(all).filter(([, { entered }]) => entered).map(([name]) => name).join(' ')
    await turns()
    expect(inside()).toBe('a1 a2 b1')
    all['b1']?.leave()
    await turns()
    // a3 was first, but its key is full.
    expect(inside()).toBe('a1 a2 b1 b2')
    all['a1']?.leave()
    await turns()
    expect(inside()).toBe('a1 a2 a3 b1 b2')
    all['a2']?.leave()
    await turns()
    expect(inside()).toBe('a1 a2 a3 b1 b2 c1')
    for (const each of Object.values(all)) each.leave()
    await Promise.all(passing)
  })

  it('a key whose width grows lets more in with the next who leaves', async () => {
    let width = 1
    const { pass } = createTurnstile({ perKey: () => width, total: 10 })
    const all = [visit(), visit(), visit(), visit()]
    const passing = all.map((each) => pass('a', PATIENT, each.enter))
    await turns()
    expect(all.map(({ entered }) => entered)).toEqual([true, false, false, false])
    width = 2
    all[0]?.leave()
    await turns()
    expect(all.map(({ entered }) => entered)).toEqual([true, true, true, false])
    for (const each of all) each.leave()
    await Promise.all(passing)
  })

  it('whoever loses patience leaves the line, and takes nobody else with them', async () => {
    const { pass } = createTurnstile({ perKey: () => 1, total: 1 })
    const [first, second, third] = [visit(), visit(), visit()]
    const closing = createClosing()
    const passing = pass('a', PATIENT, first.enter)
    const leaving = pass('a', { ...PATIENT, closing }, second.enter)
    const staying = pass('a', PATIENT, third.enter)
    closing.close()
    await expect(leaving).rejects.toThrow()
    await expect(pass('a', { ...PATIENT, closing }, second.enter)).rejects.toThrow()
    first.leave()
    third.leave()
    expect(await Promise.all([passing, staying])).toEqual(['left', 'left'])
    expect(second.entered).toBe(false)
  })

  it('asks again when the time is over, because there may be more by then', async () => {
    const { pass } = createTurnstile({ perKey: () => 1, total: 1 })
    const first = visit()
    const passing = pass('a', PATIENT, first.enter)
    const left = [5, 5, 0]
    await expect(pass('a', { ...PATIENT, leftMs: () => left.shift() ?? 0 }, visit().enter)).rejects.toThrow('left the line')
    expect(left).toEqual([])
    first.leave()
    await passing
  })
})
