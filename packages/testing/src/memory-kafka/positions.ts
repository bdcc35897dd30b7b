import type { Group } from './group.ts'
import type { Partition } from './partition.ts'
import type { OffsetsOfTopics } from './shape.ts'

/** Where a consumer is in each of its partitions, and what of that its group has committed. */
export interface Positions {
  /** The offset to read next. */
  next(place: AssignedPartition): number
  /** Moves the place behind an offset. */
  resolve(topic: string, partition: number, offset: number): void
  seek(place: AssignedPartition, offset: number): void
  uncommitted(): OffsetsOfTopics
  /** How many offsets are resolved and not committed. */
  countUncommitted(): number
  committed(offsets: OffsetsOfTopics): void
}

export interface AssignedPartition {
  readonly topic: string
  readonly partition: number
  readonly log: Partition
  readonly fromBeginning: boolean
}

interface Position {
  /** The group's, or where it begins without one. */
  committed: number
  resolved: number | undefined
}

export function createPositions(group: Group, assigned: readonly AssignedPartition[]): Positions {
  const begin = ({ log, fromBeginning }: AssignedPartition): number => (fromBeginning ? 0 : log.high)
  const places = new Map(
    assigned.map((place) => {
      const position: Position = { committed: group.committed(place.topic, place.partition)?.offset ?? begin(place), resolved: undefined }
      return [keyOf(place.topic, place.partition), { place, position }]
    }),
  )
  const open = (): { place: AssignedPartition; position: Position; resolved: number }[] =>
    [...places.values()].flatMap(({ place, position }) => (position.resolved === undefined || position.resolved === position.committed ? [] : [{ place, position, resolved: position.resolved }]))

  return {
    next(place): number {
      const { position } = places.get(keyOf(place.topic, place.partition)) ?? { position: { committed: begin(place), resolved: undefined } }
      const next = position.resolved ?? position.committed
      if (next <= place.log.high) return next
      // Behind the end there is nothing to read, ever: kafkajs begins anew.
      position.committed = begin(place)
      position.resolved = undefined
      return position.committed
    },
    resolve(topic, partition, offset): void {
      const known = places.get(keyOf(topic, partition))
      if (known) known.position.resolved = offset + 1
    },
    seek({ topic, partition }, offset): void {
      const known = places.get(keyOf(topic, partition))
      if (known) known.position.resolved = offset
    },
    uncommitted(): OffsetsOfTopics {
      const byTopic = Map.groupBy(open(), ({ place }) => place.topic)
      return { topics: [...byTopic].map(([topic, each]) => ({ topic, partitions: each.map(({ place, resolved }) => ({ partition: place.partition, offset: `${resolved}` })) })) }
    },
    countUncommitted: () => open().reduce((sum, { position, resolved }) => sum + resolved - position.committed, 0),
    committed({ topics }): void {
      for (const { topic, partitions } of topics) {
        for (const { partition, offset } of partitions) {
          const known = places.get(keyOf(topic, partition))
          if (known) known.position.committed = Number(offset)
        }
      }
    },
  }
}

const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`
