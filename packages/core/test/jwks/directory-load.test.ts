import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { beforeAll, describe, expect, it } from 'vitest'
import { createJwksDirectory } from '../../src/jwks/directory.ts'
import { set } from '../support/directories.ts'
import { json, startEndpoint } from '../support/endpoint.ts'
import { testKey, type TestKey } from '../support/keys.ts'

let one: TestKey
beforeAll(async () => {
  one = await testKey('P-256', 'one')
})

/** V8's own collector, which a test runner does not expose. */
function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

describe('directory: many recipients', () => {
  it('[7.16] 3,000 recipients at once through 500 entries: none rejected, and no more than 6 fetches at a time', { timeout: 120_000 }, async () => {
    let [under, most] = [0, 0]
    const endpoint = await startEndpoint((request, response) => {
      most = Math.max(most, ++under)
      response.on('close', () => under--)
      setImmediate(() => json(set(one))(request, response))
    })
    const names = Array.from({ length: 3_000 }, (_, index) => `r${index}`)
    using directory = createJwksDirectory({ recipients: Object.fromEntries(names.map((name) => [name, endpoint.url])), maxEntries: 500, allowInsecureLoopback: true })
    const keys = await Promise.all(names.map((name) => directory.resolve(name)))
    expect(keys.every(({ kid }) => kid === 'one')).toBe(true)
    expect(most).toBeLessThanOrEqual(6)
  })

  it('[7.16] 100,000 recipients through 1,000 entries: heap and open handles stay as they are', { timeout: 240_000 }, async () => {
    const body = JSON.stringify(set(one))
    const fetch: typeof globalThis.fetch = async () => new Response(body)
    using directory = createJwksDirectory({ recipients: (name) => `https://${name}.keys.example/`, hosts: ['*.keys.example'], fetch })
    const gc = collector()
    const sample = (): { heap: number; handles: number } => (gc(), { heap: process.memoryUsage().heapUsed, handles: process.getActiveResourcesInfo().length })
    const run = async (from: number, to: number): Promise<void> => {
      for (let first = from; first < to; first += 500) await Promise.all(Array.from({ length: 500 }, (_, index) => directory.resolve(`r${first + index}`)))
      // Time-outs of fetches that are over go with their signals.
      await nextTurn()
    }
    await run(0, 20_000)
    const before = sample()
    await run(20_000, 100_000)
    const after = sample()
    expect(directory.health()).toHaveLength(1_000)
    expect(after.heap - before.heap).toBeLessThan(20_000_000)
    expect(after.handles).toBeLessThanOrEqual(before.handles + 2)
  })
})
