import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ERROR_CODES, isSealbusError, type SealbusError, type SealbusErrorCode } from '../src/errors.ts'

/** Cases of a whole run, over all properties: `FUZZ=long` for the long one. */
const ALL_CASES = process.env['FUZZ'] === 'long' ? 1_000_000 : 100_000
/** Repeats a run: every failure prints it. */
const SEED = Number(process.env['FUZZ_SEED'])

/** No case may take longer, warm, or a few hostile messages stop a consumer. */
const SLOWEST_MS = 50
/** Timed once only below this: nearly all cases. */
const NOTEWORTHY_MS = 2
/** What may stay on the heap after the warm-up; caches that fill up are within it. */
const HEAP_GROWTH = 8 * 1_048_576

export type Outcome<Result> = { readonly result: Result; readonly error?: never } | { readonly result?: never; readonly error: SealbusError }

export interface Property<Value, Result> {
  /** Its part of all cases. */
  readonly share: number
  readonly values: fc.Arbitrary<Value>
  /** The code under test, and nothing else: it is timed. */
  readonly run: (value: Value) => Result | Promise<Result>
  readonly check: (outcome: Outcome<Result>, value: Value) => void
  /** Outcomes that must come up: values that all fail at the door would prove little. */
  readonly reaches: readonly ('success' | 'nothing' | SealbusErrorCode)[]
  /** Forgets what earlier cases left behind, so that a slow case can be timed again. */
  readonly reset?: () => void
}

/**
 * Runs a property over its share of the cases. Beside what it checks, for each case: nothing but a documented
 * SealbusError escapes, and it is not slow; and the heap stays flat over all of them.
 */
export function fuzz<Value, Result>(name: string, property: Property<Value, Result>): void {
  const cases = Math.ceil(ALL_CASES * property.share)
  it(`${name}: ${cases.toLocaleString('en')} cases`, async () => {
    const warm = Math.ceil(cases / 5)
    let done = 0
    let slowest = 0
    const outcomes = new Map<string, number>()
    let heap = 0
    const one = async (value: Value): Promise<void> => {
      const started = performance.now()
      // An await for a result that is there already would let other work into the time.
      const pending = attempt(property, value)
      const outcome = pending instanceof Promise ? await pending : pending
      let took = performance.now() - started
      // What would be a new record is timed again, so that the figure is no collection's, nor another process's.
      if (done > warm && took > Math.max(slowest, NOTEWORTHY_MS)) {
        took = Math.min(took, await timedAgain(property, value))
        if (took > SLOWEST_MS) {
          collectGarbage()
          took = await timedAgain(property, value)
        }
        if (took > SLOWEST_MS) throw new Error(`it took ${took.toFixed(1)} ms, three times`)
      }
      if (done > warm) slowest = Math.max(slowest, took)
      if (++done === warm) heap = await liveBytes()
      const kind = outcome.error?.code ?? (outcome.result === undefined ? 'nothing' : 'success')
      outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1)
      property.check(outcome, value)
    }
    await fc.assert(fc.asyncProperty(property.values, one), { numRuns: cases, seed: SEED })
    const growth = (await liveBytes()) - heap
    // oxlint-disable-next-line no-console -- the run reports its figures
    console.info(`${name}: slowest ${slowest.toFixed(2)} ms, heap ${(growth / 1_048_576).toFixed(2)} MiB, FUZZ_SEED=${SEED}`, Object.fromEntries(outcomes))
    expect([...outcomes.keys()]).toEqual(expect.arrayContaining([...property.reaches]))
    expect(growth, 'bytes that stay on the heap').toBeLessThan(HEAP_GROWTH)
  })
}

function attempt<Value, Result>({ run }: Property<Value, Result>, value: Value): Outcome<Result> | Promise<Outcome<Result>> {
  try {
    const result = run(value)
    return result instanceof Promise ? result.then((each) => ({ result: each }), refusal) : { result }
  } catch (error) {
    return refusal(error)
  }
}

/** @throws anything that is no documented SealbusError */
function refusal(error: unknown): { error: SealbusError } {
  if (!isSealbusError(error) || !ERROR_CODES.includes(error.code)) throw error
  return { error }
}

/** Once more, by this thread's own time. */
async function timedAgain<Value, Result>(property: Property<Value, Result>, value: Value): Promise<number> {
  property.reset?.()
  const { user, system } = process.threadCpuUsage()
  await attempt(property, value)
  const after = process.threadCpuUsage()
  return (after.user - user + after.system - system) / 1_000
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Once what the current turn still holds has been let go of. */
async function liveBytes(): Promise<number> {
  await setImmediate()
  collectGarbage()
  await setImmediate()
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
