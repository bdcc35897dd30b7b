import type { MissingInKafka } from '../features.ts'
import { NotSimulatedError } from '../not-simulated.ts'

export interface CommittedOffset {
  readonly offset: number
  readonly metadata: string | null
}

/** A consumer group: its offsets, which outlive its members, and the one member that it can have at a time. */
export interface Group {
  committed(topic: string, partition: number): CommittedOffset | undefined
  topics(): readonly string[]
  commit(topic: string, partition: number, committed: CommittedOffset): void
  /** Returns a function that leaves. @throws NotSimulatedError where the group has a member. */
  join(): () => void
}

export interface Groups {
  named(groupId: string): Group
  forgetTopic(topic: string): void
}

export function createGroups(): Groups {
  const groups = new Map<string, { readonly group: Group; readonly offsets: Map<string, Map<number, CommittedOffset>> }>()
  return {
    named(groupId): Group {
      const known = groups.get(groupId)
      if (known) return known.group
      const offsets = new Map<string, Map<number, CommittedOffset>>()
      const group = createGroup(groupId, offsets)
      groups.set(groupId, { group, offsets })
      return group
    },
    forgetTopic(topic): void {
      for (const { offsets } of groups.values()) offsets.delete(topic)
    },
  }
}

function createGroup(groupId: string, offsets: Map<string, Map<number, CommittedOffset>>): Group {
  let member: symbol | undefined
  return {
    committed: (topic, partition) => offsets.get(topic)?.get(partition),
    topics: () => [...offsets.keys()],
    commit(topic, partition, committed): void {
      const ofTopic = offsets.get(topic) ?? new Map<number, CommittedOffset>()
      offsets.set(topic, ofTopic.set(partition, committed))
    },
    join(): () => void {
      const feature: MissingInKafka = 'rebalancing'
      if (member) throw new NotSimulatedError(feature, `a second member of the group ${JSON.stringify(groupId)}`)
      const joined = Symbol(groupId)
      member = joined
      return () => {
        if (member === joined) member = undefined
      }
    },
  }
}
