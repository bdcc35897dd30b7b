import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { createCallerPauses } from '../src/caller-pauses.ts'
import type { TopicPartitions } from '../src/client-shape.ts'

const SubscriptionState = createRequire(import.meta.url)('kafkajs/src/consumer/subscriptionState.js') as new () => {
  pause(topicPartitions: readonly TopicPartitions[]): void
  resume(topicPartitions: readonly TopicPartitions[]): void
  isPaused(topic: string, partition: number): boolean
}

describe("the caller's pauses", () => {
  it('follow the rules of kafkajs: the same answers after every step of 2,000 random ones', () => {
    const [client, pauses] = [new SubscriptionState(), createCallerPauses()]
    // A fixed sequence, so that a failure can be repeated.
    let seed = 7
    const random = (below: number): number => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below
    const places = ['a', 'b'].flatMap((topic) => [0, 1, 2].map((partition) => ({ topic, partition })))
    for (let step = 0; step < 2_000; step++) {
      const action = random(2_048) < 1_024 ? 'pause' : 'resume'
      const named = [0, 1, 2].filter(() => random(2_048) < 1_024)
      const given: TopicPartitions[] = [{ topic: random(2_048) < 1_024 ? 'a' : 'b', ...(random(4_096) > 1_024 && { partitions: named }) }]
      client[action](given)
      pauses[action](given)
      expect(places.map((place) => pauses.has(place)), `step ${step}: ${action} ${JSON.stringify(given)}`).toEqual(places.map(({ topic, partition }) => client.isPaused(topic, partition)))
    }
    pauses.clear()
    expect(places.some((place) => pauses.has(place))).toBe(false)
  })
})
