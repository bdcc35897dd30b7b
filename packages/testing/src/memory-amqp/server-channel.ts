import { randomUUID } from 'node:crypto'
import type { MissingInAmqp } from '../features.ts'
import { NotSimulatedError } from '../not-simulated.ts'
import type { Broker } from './broker.ts'
import { ChannelFailure } from './failure.ts'
import type { Place, Queue, QueueConsumer, QueuedMessage } from './queue.ts'

/** Where the broker's side of a channel talks to the client's. */
export interface ClientSide {
  delivered(consumerTag: string, deliveryTag: number, message: QueuedMessage): void
  cancelled(consumerTag: string): void
  returned(message: QueuedMessage): void
}

/** The broker's side of a channel: its consumers, and what it has delivered that is not settled. Methods throw `ChannelFailure`. */
export interface ServerChannel {
  publish(message: QueuedMessage, mandatory: boolean): void
  prefetch(count: number, global: boolean): void
  /** `started` is called with the tag before anything is delivered. */
  consume(queue: string, options: { tag: string; noAck: boolean; exclusive: boolean }, started: (tag: string) => void): void
  cancel(tag: string): void
  get(queue: string, noAck: boolean): { readonly deliveryTag: number; readonly message: QueuedMessage; readonly messageCount: number } | undefined
  /** Tag 0 with `upTo` is all of them. */
  settle(deliveryTag: number, upTo: boolean, end: 'done' | 'requeue'): void
  recover(): void
  /** What is not settled goes back. */
  close(): void
}

interface Delivery {
  readonly queue: Queue
  readonly place: Place
  readonly consumer: string | undefined
}

export function createServerChannel(broker: Broker, user: object, client: ClientSide): ServerChannel {
  const unsettled = new Map<number, Delivery>()
  const consumers = new Map<string, { readonly queue: Queue; readonly consumer: QueueConsumer }>()
  let lastTag = 0
  /** For consumers that start from now on, and for all of the channel together; 0 is no limit. */
  const limits = { each: 0, all: 0 }

  const deliver = (queue: Queue, place: Place, noAck: boolean, consumer?: string): number => {
    lastTag++
    if (noAck) queue.settle(place)
    else unsettled.set(lastTag, { queue, place, consumer })
    return lastTag
  }

  const giveBack = (tags: readonly number[]): void => {
    const byQueue = Map.groupBy(tags.flatMap((tag) => unsettled.get(tag) ?? []), ({ queue }) => queue)
    for (const tag of tags) unsettled.delete(tag)
    for (const [queue, deliveries] of byQueue) queue.giveBack(deliveries.map(({ place }) => place))
    for (const queue of byQueue.keys()) queue.dispatch()
  }

  const dispatchAll = (): void => {
    for (const queue of new Set([...consumers.values()].map((each) => each.queue))) queue.dispatch()
  }

  const remove = (tag: string): void => {
    const known = consumers.get(tag)
    if (!known) return
    consumers.delete(tag)
    known.queue.removeConsumer(known.consumer)
    broker.consumerLeft(known.queue)
  }

  return {
    publish(message, mandatory): void {
      if (message.exchange !== '') broker.exchange(message.exchange)
      if (!broker.publish(message) && mandatory) client.returned(message)
    },
    prefetch(count, global): void {
      limits[global ? 'all' : 'each'] = count
      if (global) dispatchAll()
    },
    consume(name, { tag: asked, noAck, exclusive }, started): void {
      const queue = broker.queue(name, user)
      if (queue.consumers.some((each) => each.exclusive) || (exclusive && queue.consumers.length > 0)) throw new ChannelFailure(403, `queue '${name}' in vhost '/' in exclusive use`)
      const tag = asked === '' ? `amq.ctag-${randomUUID()}` : asked
      const feature: MissingInAmqp = 'connectionErrors'
      if (consumers.has(tag)) throw new NotSimulatedError(feature, `the consumer tag ${JSON.stringify(tag)} used twice`)
      const limit = limits.each
      const held = (): number => [...unsettled.values()].filter((each) => each.consumer === tag).length
      const consumer: QueueConsumer = {
        exclusive,
        hasRoom: () => noAck || ((limit === 0 || held() < limit) && (limits.all === 0 || unsettled.size < limits.all)),
        take: (place) => client.delivered(tag, deliver(queue, place, noAck, tag), place.message),
        cancelled(): void {
          consumers.delete(tag)
          client.cancelled(tag)
        },
      }
      consumers.set(tag, { queue, consumer })
      started(tag)
      queue.addConsumer(consumer)
      queue.dispatch()
    },
    cancel: remove,
    get(name, noAck): ReturnType<ServerChannel['get']> {
      const queue = broker.queue(name, user)
      const place = queue.pull()
      return place && { deliveryTag: deliver(queue, place, noAck), message: place.message, messageCount: queue.ready().length }
    },
    settle(deliveryTag, upTo, end): void {
      const all = upTo && deliveryTag === 0
      if (!all && !unsettled.has(deliveryTag)) throw new ChannelFailure(406, `unknown delivery tag ${deliveryTag}`)
      const tags = upTo ? [...unsettled.keys()].filter((tag) => all || tag <= deliveryTag) : [deliveryTag]
      if (end === 'requeue') {
        giveBack(tags)
      } else {
        for (const tag of tags) {
          const delivery = unsettled.get(tag)
          delivery?.queue.settle(delivery.place)
          unsettled.delete(tag)
        }
      }
      dispatchAll()
    },
    recover(): void {
      giveBack([...unsettled.keys()])
    },
    close(): void {
      const ended = [...consumers.keys()]
      for (const { queue, consumer } of consumers.values()) queue.removeConsumer(consumer)
      giveBack([...unsettled.keys()])
      for (const tag of ended) remove(tag)
    },
  }
}
