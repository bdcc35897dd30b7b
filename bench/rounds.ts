/** Something to run again and again; a promise is awaited. */
export type Contestant = () => unknown
export type Rates = Readonly<Record<string, number>>

const ROUNDS = 7

/** Runs all contestants in turns, so that a noisy machine is noisy for all of them. Operations per second, for each round. */
export async function runRounds(contestants: Readonly<Record<string, Contestant>>, sliceMs: number): Promise<readonly Rates[]> {
  const rounds: Rates[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    const rates: Record<string, number> = {}
    for (const [name, contestant] of Object.entries(contestants)) rates[name] = await rate(contestant, sliceMs)
    // The first round warms up.
    if (round > 0) rounds.push(rates)
  }
  return rounds
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

export const medianRate = (rounds: readonly Rates[], name: string): number => Math.round(median(rounds.map((rates) => rates[name] ?? 0)))

/** Rates divided, round by round, and the median of that: machines drift, neighbours in time do not. */
export const ratio = (rounds: readonly Rates[], a: string, b: string): number =>
  Number(median(rounds.map((rates) => (rates[a] ?? 0) / (rates[b] ?? 1))).toPrecision(3))
