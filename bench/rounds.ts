/** Something to run again and again; a promise is awaited. */
export type Contestant = () => unknown
/** Something that measures itself: operations per second. */
export type Measurement = () => Promise<number>
export type Rates = Readonly<Record<string, number>>

const ROUNDS = 7

/** Runs all contestants in turns, so that a noisy machine is noisy for all of them. Operations per second, for each round. */
export function runRounds(contestants: Readonly<Record<string, Contestant>>, sliceMs: number): Promise<readonly Rates[]> {
  return measureInRounds(Object.fromEntries(Object.entries(contestants).map(([name, contestant]) => [name, () => rate(contestant, sliceMs)])))
}

export async function measureInRounds(measurements: Readonly<Record<string, Measurement>>): Promise<readonly Rates[]> {
  const rounds: Rates[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const rates: Record<string, number> = {}
    for (const [name, measure] of Object.entries(measurements)) rates[name] = await measure()
    // The first round warms up.
    if (round > 0) rounds.push(rates)
  }
  return rounds
}

/** How many milliseconds `b` takes longer than `a` in the 99th percentile: one by one in turns, and the median of the rounds. */
export async function addedP99(a: Contestant, b: Contestant, count: number): Promise<number> {
  const added: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const [ofA, ofB]: [number[], number[]] = [[], []]
    for (let turn = 0; turn < count; turn++) {
      // Who follows whom changes: the one before may leave something to the one after.
      for (const [contestant, times] of turn % 2 === 0 ? [[a, ofA] as const, [b, ofB] as const] : [[b, ofB] as const, [a, ofA] as const]) {
        const start = performance.now()
        await contestant()
        times.push(performance.now() - start)
      }
    }
    if (round > 0) added.push(p99(ofB) - p99(ofA))
  }
  return Number(median(added).toFixed(3))
}

async function rate(contestant: Contestant, sliceMs: number): Promise<number> {
  // Nobody pays for another's garbage. (A full collection would also throw compiled code away.)
  globalThis.gc?.({ type: 'minor', execution: 'sync' })
  const start = performance.now()
  let count = 0
  let elapsed = 0
  while (elapsed < sliceMs) {
    const result = contestant()
    if (result instanceof Promise) await result
    count++
    // Reading the clock costs; not every time for what takes microseconds.
    if (count % 16 === 0 || elapsed === 0 || result instanceof Promise) elapsed = performance.now() - start
  }
  return (count / elapsed) * 1_000
}

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const p99 = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0

export const medianRate = (rounds: readonly Rates[], name: string): number => Math.round(median(rounds.map((rates) => rates[name] ?? 0)))

/** Rates divided, round by round, and the median of that: machines drift, neighbours in time do not. */
export const ratio = (rounds: readonly Rates[], a: string, b: string): number =>
  Number(median(rounds.map((rates) => (rates[a] ?? 0) / (rates[b] ?? 1))).toPrecision(3))
