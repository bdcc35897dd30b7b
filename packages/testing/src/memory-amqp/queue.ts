import type { MessageProperties } from './shape.ts'

/** A message as a queue holds it. */
export interface QueuedMessage {
  readonly exchange: string
  readonly routingKey: string
  readonly properties: MessageProperties
  readonly content: Buffer
  readonly redelivered: boolean
}

/** One place in a queue: a message that is given back goes there again. */
export interface Place {
  readonly sequence: number
  readonly message: QueuedMessage
}

/** The queue's view of a consumer. */
export interface QueueConsumer {
  readonly exclusive: boolean
  /** Whether it takes another message now. */
  hasRoom(): boolean
  take(place: Place): void
  /** The queue is gone. */
  cancelled(): void
}

export interface Queue {
  readonly name: string
  readonly durable: boolean
  readonly autoDelete: boolean
  /** The connection that it belongs to. */
  readonly owner: object | undefined
  readonly consumers: readonly QueueConsumer[]
  ready(): readonly QueuedMessage[]
  unacked(): readonly QueuedMessage[]
  push(message: QueuedMessage): void
  /** Takes the first one out: it is unacked then, until it is settled or given back. */
  pull(): Place | undefined
  settle(place: Place): void
  giveBack(places: readonly Place[]): void
  purge(): number
  rewrite(change: (message: QueuedMessage) => QueuedMessage): void
  addConsumer(consumer: QueueConsumer): void
  removeConsumer(consumer: QueueConsumer): void
  /** Hands out what consumers have room for, in turn. */
  dispatch(): void
}

export function createQueue({ name, durable, autoDelete, owner }: Pick<Queue, 'name' | 'durable' | 'autoDelete' | 'owner'>): Queue {
  let ready: Place[] = []
  const unacked = new Set<Place>()
  let consumers: QueueConsumer[] = []
  let sequence = 0

  const pull = (): Place | undefined => {
    const place = ready.shift()
    if (place) unacked.add(place)
    return place
  }
  return {
    name,
    durable,
    autoDelete,
    owner,
    get consumers(): readonly QueueConsumer[] {
      return consumers
    },
    ready: () => ready.map(({ message }) => message),
    unacked: () => [...unacked].map(({ message }) => message),
    push(message): void {
      ready.push({ sequence: sequence++, message })
    },
    pull,
    settle(place): void {
      unacked.delete(place)
    },
    giveBack(places): void {
      for (const place of places) unacked.delete(place)
      const again = places.map(({ sequence, message }) => ({ sequence, message: { ...message, redelivered: true } }))
      ready = [...again, ...ready].sort((one, other) => one.sequence - other.sequence)
    },
    purge(): number {
      const count = ready.length
      ready = []
      return count
    },
    rewrite(change): void {
      ready = ready.map(({ sequence, message }) => ({ sequence, message: change(message) }))
    },
    addConsumer(consumer): void {
      consumers.push(consumer)
    },
    removeConsumer(consumer): void {
      consumers = consumers.filter((each) => each !== consumer)
    },
    dispatch(): void {
      while (ready.length > 0) {
        const next = consumers.find((each) => each.hasRoom())
        const place = next && pull()
        if (!next || !place) return
        consumers = [...consumers.filter((each) => each !== next), next]
        next.take(place)
      }
    },
  }
}
