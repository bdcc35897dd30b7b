import { randomUUID } from 'node:crypto'
import { createExchange, type Exchange } from './exchange.ts'
import { ChannelFailure, inequivalent, locked, noExchange, noQueue } from './failure.ts'
import { copyProperties } from './properties.ts'
import { createQueue, type Queue, type QueuedMessage } from './queue.ts'

/** The parts of a message that a sender writes, and that a malicious broker can change. */
export type MessageContents = Pick<QueuedMessage, 'content' | 'properties'>
/** Answers with what is to stand in a message's place; undefined leaves it as it is. */
export type ChangeMessage = (message: QueuedMessage) => Partial<MessageContents> | undefined

/** Exchanges and queues: everything that outlives a connection. Methods throw `ChannelFailure`. */
export interface Broker {
  exchange(name: string): Exchange
  declareExchange(name: string, type: string, options: { durable?: boolean; autoDelete?: boolean }): void
  deleteExchange(name: string, ifUnused: boolean): void
  /** `user` is the connection that asks: an exclusive queue is only its owner's. */
  queue(name: string, user: object): Queue
  declareQueue(name: string, options: { durable?: boolean; autoDelete?: boolean; exclusive?: boolean }, user: object): Queue
  /** The number of messages that went with it; 0 where there is no such queue. */
  deleteQueue(name: string, options: { ifUnused?: boolean; ifEmpty?: boolean }, user: object): number
  bind(queue: string, exchange: string, pattern: string, user: object): void
  unbind(queue: string, exchange: string, pattern: string): void
  /** A consumer went: its queue goes too, where it is to. */
  consumerLeft(queue: Queue): void
  /** Whether any queue took it. */
  publish(message: QueuedMessage): boolean
  disconnect(user: object): void
  /** Whoever looks from outside sees every queue; none where there is no such queue. */
  inspect(queue: string): { readonly ready: readonly QueuedMessage[]; readonly unacked: readonly QueuedMessage[] }
  tamper(queue: string, change: ChangeMessage): () => void
}

export function createBroker(): Broker {
  const predeclared = (['direct', 'fanout', 'topic'] as const).map((type) => createExchange(`amq.${type}`, type))
  const exchanges = new Map<string, Exchange>(predeclared.map((each) => [each.name, each]))
  const queues = new Map<string, Queue>()
  const changes = new Map<string, Set<ChangeMessage>>()

  const exchange = (name: string): Exchange => {
    const known = exchanges.get(name)
    if (!known) throw noExchange(name)
    return known
  }
  const queue = (name: string, user: object): Queue => {
    const known = queues.get(name)
    if (!known) throw noQueue(name)
    if (known.owner && known.owner !== user) throw locked(name)
    return known
  }
  const drop = (known: Queue): void => {
    queues.delete(known.name)
    for (const each of exchanges.values()) {
      each.unbindAll(known.name)
      removeSpent(each)
    }
    for (const consumer of known.consumers) consumer.cancelled()
  }
  const removeSpent = (each: Exchange): void => {
    if (each.autoDelete && each.isSpent()) exchanges.delete(each.name)
  }

  return {
    exchange,
    declareExchange(name, type, { durable = true, autoDelete = false }): void {
      const known = exchanges.get(name)
      if (known) {
        for (const [argument, received, current] of [['type', type, known.type], ['durable', durable, known.durable], ['auto_delete', autoDelete, known.autoDelete]]) {
          if (received !== current) throw inequivalent('exchange', name, String(argument), received, current)
        }
        return
      }
      if (name === '' || name.startsWith('amq.')) throw new ChannelFailure(403, `exchange name '${name}' contains reserved prefix 'amq.*'`)
      exchanges.set(name, createExchange(name, type, { durable, autoDelete }))
    },
    deleteExchange(name, ifUnused): void {
      const known = exchanges.get(name)
      if (name === '' || predeclared.some((each) => each === known)) throw new ChannelFailure(403, `operation not permitted on the default exchange`)
      if (ifUnused && known?.isUsed()) throw new ChannelFailure(406, `exchange '${name}' in vhost '/' in use`)
      exchanges.delete(name)
    },
    queue,
    declareQueue(name, { durable = true, autoDelete = false, exclusive = false }, user): Queue {
      // Also one that the broker named itself.
      if (name.startsWith('amq.')) throw new ChannelFailure(403, `queue name '${name}' contains reserved prefix 'amq.*'`)
      const owner = exclusive ? user : undefined
      const known = queues.get(name)
      if (known) {
        if (known.owner !== owner) throw locked(name)
        for (const [argument, received, current] of [['durable', durable, known.durable], ['auto_delete', autoDelete, known.autoDelete]] as const) {
          if (received !== current) throw inequivalent('queue', name, argument, received, current)
        }
        return known
      }
      const made = createQueue({ name: name === '' ? `amq.gen-${randomUUID()}` : name, durable, autoDelete, owner })
      queues.set(made.name, made)
      return made
    },
    deleteQueue(name, { ifUnused = false, ifEmpty = false }, user): number {
      if (!queues.has(name)) return 0
      const known = queue(name, user)
      const count = known.ready().length
      if (ifUnused && known.consumers.length > 0) throw new ChannelFailure(406, `queue '${name}' in vhost '/' in use`)
      if (ifEmpty && count > 0) throw new ChannelFailure(406, `queue '${name}' in vhost '/' not empty`)
      drop(known)
      return count
    },
    bind(name, source, pattern, user): void {
      const bound = queue(name, user)
      if (source === '') throw new ChannelFailure(403, 'operation not permitted on the default exchange')
      exchange(source).bind(bound.name, pattern)
    },
    unbind(name, source, pattern): void {
      const known = exchanges.get(source)
      known?.unbind(name, pattern)
      if (known) removeSpent(known)
    },
    consumerLeft(left): void {
      if (left.autoDelete && left.consumers.length === 0 && queues.get(left.name) === left) drop(left)
    },
    publish(message): boolean {
      const { headers } = message.properties
      const keys = [message.routingKey, ...keysIn(headers?.['CC']), ...keysIn(headers?.['BCC'])]
      const names = message.exchange === '' ? keys : keys.flatMap((key) => exchange(message.exchange).route(key))
      const taking = [...new Set(names)].flatMap((name) => queues.get(name) ?? [])
      for (const each of taking) {
        const properties = copyProperties(message.properties)
        if (properties.headers) delete properties.headers['BCC']
        let queued: QueuedMessage = { ...message, properties, content: Buffer.from(message.content) }
        for (const change of changes.get(each.name) ?? []) queued = changed(queued, change)
        each.push(queued)
        each.dispatch()
      }
      return taking.length > 0
    },
    disconnect(user): void {
      for (const each of queues.values()) if (each.owner === user) drop(each)
    },
    inspect(name): { ready: readonly QueuedMessage[]; unacked: readonly QueuedMessage[] } {
      const known = queues.get(name)
      return { ready: (known?.ready() ?? []).map(copy), unacked: (known?.unacked() ?? []).map(copy) }
    },
    tamper(name, change): () => void {
      queues.get(name)?.rewrite((message) => changed(message, change))
      const all = changes.get(name) ?? new Set()
      changes.set(name, all.add(change))
      return () => void all.delete(change)
    },
  }
}

const keysIn = (header: unknown): string[] => (Array.isArray(header) ? header.map(String) : [])

const copy = (message: QueuedMessage): QueuedMessage => ({ ...message, properties: copyProperties(message.properties), content: Buffer.from(message.content) })

function changed(message: QueuedMessage, change: ChangeMessage): QueuedMessage {
  const { content, properties } = change(copy(message)) ?? {}
  return copy({ ...message, ...(content && { content }), ...(properties && { properties }) })
}
